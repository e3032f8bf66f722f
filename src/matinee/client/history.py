"""What one user sees of runs that are recorded, and does with them: read, wait, cancel, share, rate."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from matinee.backends.factory import Backend
from matinee.errors import AccessError, ConflictError, InputError, NotFoundError, UsageError
from matinee.ports import Files, LogLine, RunQuery, Store
from matinee.queue.dispatch import cancel
from matinee.runs import (
    RATINGS,
    UNCHANGED,
    Entry,
    Feedback,
    Json,
    Run,
    Scale,
    Status,
    Unchanged,
    inputs_key,
    new_run_id,
    run_of_key,
)
from matinee.settings import Settings
from matinee.values import blobs, encode

CLOCKS_S = 1.0  # a run's time is its submitter's
_ENDED = {Status.SUCCEEDED: "succeeded", Status.FAILED: "failed", Status.CANCELLED: "been cancelled"}


@dataclass(frozen=True)
class _Queue:
    """A predictor's queue as read at `read_at`: the places of the runs that wait, and why none starts."""

    read_at: float
    places: dict[str, int]
    note: str


class RecordedRuns:
    """The part of `Client` that needs no predictor. Every method shows and changes only what the user may."""

    backend: Backend
    settings: Settings
    user: str
    owner: bool
    visibility: Visibility
    clock: Callable[[], float]

    def run(self, run_id: str) -> Run:
        """Return the run; NotFoundError if there is none, or it is not theirs to see."""
        run = self.backend.store.run(run_id)
        if run is None:
            raise _no_run(run_id)
        return self.see(run)

    def see(self, run: Run) -> Run:
        """Return a run as this user sees it (a traceback is the owner's); NotFoundError if it is not theirs to see."""
        if not self.visibility.sees(run):
            raise _no_run(run.id)
        return self._hide_traceback(run)

    def runs(self, query: RunQuery) -> list[Run]:
        """Return a page of runs, newest first: their own; an owner's query may be of everybody."""
        if not self.owner:
            if query.user not in (None, self.user):
                return []
            query = replace(query, user=self.user)
        return [self._hide_traceback(run) for run in self.backend.store.runs(query)]

    def entry(self, run: Run) -> Entry | None:
        """Return the queue entry (live progress) of an unfinished run."""
        self.see(run)
        return None if run.status.is_final else self.backend.store.entry(run.predictor, run.id)

    def queue_position(self, run: Run) -> int | None:
        """Return how many runs will start before this one; None when it does not wait (or stands beyond 1,000)."""
        queue = self._queue(run.predictor, self._queue_ttl_s)
        if run.id not in queue.places and queue.read_at < run.created_at + CLOCKS_S:
            queue = self._queue(run.predictor, 0.0)  # it was submitted since
        return queue.places.get(run.id)

    def why_waiting(self, run: Run) -> str:
        """Return why no worker starts, "" when nothing is wrong."""
        return self._queue(run.predictor, self._queue_ttl_s).note

    @property
    def _queue_ttl_s(self) -> float:
        return self.backend.traits.queue_age_s

    def _queue(self, predictor: str, max_age_s: float) -> _Queue:
        return self.backend.poll.read(("queue", predictor), max_age_s, lambda: self._read_queue(predictor))

    def _read_queue(self, predictor: str) -> _Queue:
        read_at, store = self.clock(), self.backend.store
        waiting = (entry.run_id for entry in store.entries(predictor) if not entry.is_leased)
        return _Queue(read_at, {run_id: place for place, run_id in enumerate(waiting)}, store.pool(predictor).note)

    def inputs(self, run: Run) -> Json:
        """Return the run's inputs as they were checked."""
        self.see(run)
        return self.visibility.inputs(run)

    def result(self, run: Run) -> Json:
        """Return the result as JSON; None unless the run succeeded."""
        self.see(run)
        return self.visibility.result(run)

    def read_blob(self, blob: Json) -> bytes:
        """Return the bytes of a blob value, inline or in Files; NotFoundError if the file is not theirs to read."""
        if "base64" not in blob:
            self.visibility.check_key(str(blob.get("key")), str(blob.get("run", "")))
        return blobs.Reader(self.backend.files)(blob)

    def upload(self, data: bytes, media_type: str, name: str) -> Json:
        """Return the bytes as a blob value; large ones are put into Files, as this user's."""
        return self._blob_writer()(data, media_type, name)

    def to_json(self, value: Any) -> Json:
        """Return any supported Python value as JSON; large files of it are put into Files."""
        return encode.to_json(value, self._blob_writer())

    def _blob_writer(self) -> blobs.PutBlob:
        return blobs.blob_writer(self.backend.files, f"{self.visibility.uploads}{new_run_id()}")

    def wait(
        self, run_id: str, *, timeout_s: float | None = None, watch: Callable[[Run, Entry | None], None] | None = None
    ) -> Run:
        """Wait until the run is finished, or `timeout_s` has passed; return it as it is then."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = 0.02
        while True:
            run = self.run(run_id)
            if watch:
                watch(run, self.entry(run))
            if run.status.is_final or (deadline is not None and time.monotonic() >= deadline):
                return run
            time.sleep(pause_s if deadline is None else max(0.0, min(pause_s, deadline - time.monotonic())))
            pause_s = min(0.5, pause_s * 1.3)

    def cancel(self, run_id: str) -> Run:
        """Cancel a queued run at once, ask a running one to stop; ConflictError if it is finished.

        Raises AccessError for a run that was only shared with this user.
        """
        run = self._run_of_own(run_id, "cancel")
        if run.status.is_final:
            raise ConflictError(f"Run {run.id} has already {_ENDED[run.status]}.", hint="There is nothing to cancel.")
        return self._hide_traceback(cancel(self.backend.store, run.id, self.clock()))

    def share(self, run_id: str) -> None:
        """Let everybody who may use the app see and rate the run; AccessError unless it is this user's."""
        run = self._run_of_own(run_id, "share")
        self.backend.store.put_document(SHARE, run.id, {"by": self.user, "at": self.clock()})

    def unshare(self, run_id: str) -> None:
        """Keep the run to oneself (and the owner) again; AccessError unless it is this user's."""
        self.backend.store.put_document(SHARE, self._run_of_own(run_id, "share").id, None)

    def is_shared(self, run_id: str) -> bool:
        """Whether everybody may see the run."""
        return self.visibility.is_shared(self.run(run_id).id)

    def logs(self, run_id: str) -> list[LogLine]:
        """Return what the run wrote, in order."""
        return self.backend.logs.read(self.run(run_id).id)

    def feedback(
        self,
        run_id: str,
        rating: int | Unchanged | None = UNCHANGED,
        comment: str | Unchanged = UNCHANGED,
        corrected: Json = UNCHANGED,
        *,
        scale: Scale = "thumbs",
    ) -> Feedback:
        """Store what this user says of the run; what is not named here stays as they said it before.

        `rating` is 1 or -1, on the scale of stars 1 to 5, or None: not rated. Raises UsageError for any other rating or
        scale, InputError for a right value that refers to a file that is not theirs.
        """
        if scale not in RATINGS:
            raise UsageError(f"There is no scale {scale!r}.", hint=f"There is: {', '.join(RATINGS)}.")
        if rating is not UNCHANGED and rating not in (None, *RATINGS[scale]):
            allowed = "1 or -1" if scale == "thumbs" else "1 to 5 stars"
            raise UsageError(f"A rating is {allowed}, not {rating!r}.", hint="Leave it out to store only a comment.")
        changes = named_fields(rating=rating, comment=comment, corrected=corrected)
        self.visibility.check_inputs({"corrected": changes.get("corrected")})
        if "rating" in changes:
            changes["scale"] = scale
        changes["updated_at"] = self.clock()
        return self.backend.store.change_feedback(self.run(run_id).id, self.user, changes)

    def feedback_of(self, run_id: str) -> list[Feedback]:
        """Return what this user said of the run; an owner sees what everybody said."""
        everybodys = self.backend.store.feedback(self.run(run_id).id)
        return [feedback for feedback in everybodys if self.owner or feedback.user == self.user]

    def close(self) -> None:
        """Let go of connections."""
        self.backend.store.close()

    def _run_of_own(self, run_id: str, verb: str) -> Run:
        run = self.run(run_id)
        if not self.visibility.owns(run):
            raise AccessError(
                f"You cannot {verb} run {run.id}: it is only shared with you.", hint="Ask whoever started it."
            )
        return run

    def _hide_traceback(self, run: Run) -> Run:
        if self.owner or run.failure is None or not run.failure.traceback:
            return run
        return replace(run, failure=replace(run.failure, traceback=""))


def named_fields(**fields: Json) -> dict[str, Json]:
    """Return the fields that a caller has named."""
    return {name: value for name, value in fields.items() if value is not UNCHANGED}


def _no_run(run_id: str) -> NotFoundError:
    return NotFoundError(f"There is no run {run_id!r}.", hint="`matinee runs list` shows the newest.")


# --- who may see a run ------------------------------------------------------------------------------------------------
# Who sees what: the one rule for runs and for the files they refer to.
#
# A person sees and changes their own runs; a shared run everybody sees and may rate; an owner sees and changes all.
# A file belongs to whoever uploaded it (`uploads/PERSON/…`) or to the run it was made for (`inputs/PREDICTOR/RUN…`,
# `results/RUN…`).
# A run may also refer to an upload of somebody else, as after "run again": then the reference names that run
# (`"run": id`), and whoever may see the run may read the file.

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
        if self._owner or (_is_plain(key) and (key.startswith(self.uploads) or self._may_read(key, run_id))):
            return
        raise NotFoundError(f"There is no file {key!r}.")

    def _may_read(self, key: str, run_id: str) -> bool:
        top = key.partition("/")[0]
        if top in ("inputs", "results"):
            run = self._store.run(run_of_key(key))
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
        inputs = self._load_payload(run.inputs, f"{inputs_key(run.predictor, run.id)}.", f"inputs/{run.id}.")
        return inputs if self._owner else _with_run_named(inputs, run.id, self.uploads)

    def result(self, run: Run) -> Json:
        """Return the run's result."""
        return self._load_payload(run.result, f"results/{run.id}/")

    def _load_payload(self, value: Json, *prefixes: str) -> Json:
        """Load a payload of this run alone: a result may be made of what a person typed."""
        key = value.get("$payload") if isinstance(value, dict) else None
        is_own = isinstance(key, str) and key.startswith(prefixes) and _is_plain(key)
        return blobs.load_payload(self._files, value) if is_own else value


def _is_plain(key: str) -> bool:
    return not any(part in ("", ".", "..") for part in key.split("/"))


def _references(value: Json) -> Iterator[dict[str, Json]]:
    """Yield every reference to a file in a value: what has a key, and is marked as a file or as rows."""
    waiting = [value] if _is_container(value) else []
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "$blob" in item and "key" in item:
                yield item
            if isinstance(rows := item.get("$rows"), dict) and "key" in rows:
                yield rows
        waiting += [inner for inner in (item.values() if isinstance(item, dict) else item) if _is_container(inner)]


def _is_container(value: Json) -> bool:
    return isinstance(value, dict | list)


def _with_run_named(value: Json, run_id: str, own: str) -> Json:
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
