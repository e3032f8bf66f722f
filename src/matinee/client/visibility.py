"""Who sees what: the one rule for runs and for the files they refer to.

A person sees and changes their own runs; a shared run everybody sees and may rate; an owner sees and changes all.
A file belongs to whoever uploaded it (`uploads/PERSON/…`) or to the run it was made for (`inputs/RUN…`,
`results/RUN…`).
A run may also refer to an upload of somebody else, as after "run again": then the reference names that run
(`"run": id`), and whoever may see the run may read the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from matinee.errors import InputError, NotFoundError
from matinee.ports import Files, Store
from matinee.runs import Run
from matinee.values import blobs

Json = Any
SHARE = "share"  # the kind of document that says a run is shared


class Visibility:
    """What this user may see. `owner` may see everything."""

    def __init__(self, store: Store, files: Files, user: str, *, owner: bool) -> None:
        self._store = store
        self._files = files
        self._user = user
        self._owner = owner
        self.uploads = f"uploads/{hashlib.sha256(user.encode()).hexdigest()[:32]}/"

    def owns(self, run: Run) -> bool:
        """Whether they may change it: cancel, share."""
        return self._owner or run.user == self._user

    def sees(self, run: Run) -> bool:
        """Whether they may see and rate it."""
        return self.owns(run) or self.is_shared(run.id)

    def is_shared(self, run_id: str) -> bool:
        """Whether everybody may see it."""
        return self._store.document(SHARE, run_id) is not None

    def check_key(self, key: str, run_id: str = "") -> None:
        """Raise NotFoundError unless they may read the file; `run_id` is the run that refers to it, if known."""
        if self._owner or (_is_plain(key) and (key.startswith(self.uploads) or self._reads(key, run_id))):
            return
        raise NotFoundError(f"There is no file {key!r}.")

    def _reads(self, key: str, run_id: str) -> bool:
        top, _, rest = key.partition("/")
        if top in ("inputs", "results"):
            run = self._store.run(rest.partition("/")[0].removesuffix(".json"))
            return run is not None and self.sees(run)
        run = self._store.run(run_id) if top == "uploads" and run_id else None
        return run is not None and self.sees(run) and key in self._keys_of(run)

    def _keys_of(self, run: Run) -> set[str]:
        return {str(reference["key"]) for reference in _references(self.inputs(run))}

    def check_inputs(self, inputs: Json) -> None:
        """Raise InputError, naming the field, if the inputs refer to a file that is not theirs to read."""
        if self._owner or not isinstance(inputs, dict):
            return
        if "$payload" in inputs:
            raise InputError("", "must be the values themselves, not a reference to them")
        for name, value in inputs.items():
            for reference in _references({name: value}):
                self._check_reference(reference, "" if name == "$rows" else name)

    def _check_reference(self, reference: dict[str, Json], field: str) -> None:
        try:
            self.check_key(str(reference["key"]), str(reference.get("run", "")))
        except NotFoundError:
            raise InputError(field, f"refers to a file that is not yours: {reference['key']}") from None

    def inputs(self, run: Run) -> Json:
        """Return the run's inputs; references to somebody else's upload name the run, so that they can be read."""
        inputs = self._loaded(run.inputs, f"inputs/{run.id}.")
        return inputs if self._owner else _named(inputs, run.id, self.uploads)

    def result(self, run: Run) -> Json:
        """Return the run's result."""
        return self._loaded(run.result, f"results/{run.id}/")

    def _loaded(self, value: Json, prefix: str) -> Json:
        """Load a payload of this run alone: a result may be made of what a person typed."""
        key = value.get("$payload") if isinstance(value, dict) else None
        is_own = isinstance(key, str) and key.startswith(prefix) and _is_plain(key)
        return blobs.load_payload(self._files, value) if is_own else value


def _is_plain(key: str) -> bool:
    return not any(part in ("", ".", "..") for part in key.split("/"))


def _references(value: Json) -> Iterator[dict[str, Json]]:
    """Yield every reference to a file in a value: what has a key, and is marked as a file or as rows."""
    waiting = [value] if _holds(value) else []
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "$blob" in item and "key" in item:
                yield item
            if isinstance(rows := item.get("$rows"), dict) and "key" in rows:
                yield rows
        waiting += [inner for inner in (item.values() if isinstance(item, dict) else item) if _holds(inner)]


def _holds(value: Json) -> bool:
    return isinstance(value, dict | list)


def _named(value: Json, run_id: str, own: str) -> Json:
    """Return the value, changed only where it refers to uploads of others."""
    for reference in _references(value):
        key = str(reference["key"])
        if key.startswith("uploads/") and not key.startswith(own):
            return _with_run(value, run_id)
    return value


def _with_run(value: Json, run_id: str) -> Json:
    if isinstance(value, list):
        return [_with_run(item, run_id) for item in value]
    if not isinstance(value, dict):
        return value
    if "$blob" in value and "key" in value:
        return {**value, "run": run_id}
    return {name: _with_run(item, run_id) for name, item in value.items()}
