"""The releases of a stage: what was live when, to go back to, and what people call each version.

A short list is one document of the table; each release as a whole is a file in the bucket, because of its manifests.
Both are written before the release itself, which is the one commit point: an entry with a number above the live one
never went live.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from matinee.errors import ConflictError, NotFoundError
from matinee.manifest import ComponentManifest, Release, release_from_json, to_json
from matinee.ports import Files, Store

Json = Any
KEPT = 20  # releases that can be gone back to
_KIND, _KEY = "deploy", "history"


@dataclass(frozen=True)
class PastComponent:
    """A component in a release. `image` is its digest."""

    name: str
    hash: str
    label: str
    image: str


@dataclass(frozen=True)
class Past:
    """A release that was live, or is. `note` says how it came about, as in "rollback of plan to v3"."""

    number: int
    created_at: float
    by: str
    components: tuple[PastComponent, ...]
    images: tuple[str, ...] = ()  # digests of all images, the UI's too
    note: str = ""

    def component(self, name: str) -> PastComponent | None:
        """Return the component of that name."""
        return next((c for c in self.components if c.name == name), None)


@dataclass(frozen=True)
class History:
    """Releases, oldest first. `highest` has by component the largest number a version was ever called by."""

    releases: tuple[Past, ...] = ()
    highest: Mapping[str, int] = field(default_factory=dict)

    def with_release(self, past: Past) -> History:
        """Return the history with one release more, and no more than KEPT."""
        kept = [known for known in self.releases if known.number < past.number]
        numbers = {c.name: max(self.highest.get(c.name, 0), _number(c.label)) for c in past.components}
        return History((*kept, past)[-KEPT:], {**self.highest, **numbers})

    def live_at(self, number: int) -> History:
        """Return the history without what never went live."""
        return replace(self, releases=tuple(known for known in self.releases if known.number <= number))

    def label_of(self, component: ComponentManifest) -> str:
        """Return what this version is called: as before if it was here before, else the next of v1, v2, …"""
        for past in reversed(self.releases):
            known = past.component(component.name)
            if known and known.hash == component.hash:
                return known.label
        return f"v{self.highest.get(component.name, 0) + 1}"

    def before(self, live: Past, name: str = "") -> Past:
        """Return the newest release before `live` in which something (of one component) was different.

        Raises NotFoundError when there is none.
        """
        for past in reversed(self.releases):
            if past.number < live.number and _differs(past, live, name):
                return past
        what = f"version of {name}" if name else "release"
        raise NotFoundError(
            f"There is no {what} before the one that is live.", hint="`matinee versions` lists what there is."
        )

    def labelled(self, name: str, label: str) -> Past:
        """Return the newest release with this version of a component; NotFoundError names those there are."""
        found = [p for p in self.releases if (c := p.component(name)) and c.label == label]
        if found:
            return found[-1]
        known = list(dict.fromkeys(c.label for p in self.releases if (c := p.component(name))))
        raise NotFoundError(
            f"There is no version {label} of {name}.",
            hint=f"There is: {', '.join(known) or 'none'} (`matinee versions`).",
        )


def _number(label: str) -> int:
    return int(label[1:]) if label[1:].isdigit() else 0


def _differs(past: Past, live: Past, name: str) -> bool:
    if name:
        known, now = past.component(name), live.component(name)
        return known is not None and (now is None or known.hash != now.hash)
    return {(c.name, c.hash) for c in past.components} != {(c.name, c.hash) for c in live.components}


def document(store: Store) -> Json:
    """Return the stage's history as it is written, None if none is: what `record` replaces."""
    return store.document(_KIND, _KEY)


def of(written: Json) -> History:
    """Return a history from how it is written."""
    known = written or {}
    return History(tuple(map(_past, known.get("releases", []))), known.get("highest", {}))


def read(store: Store) -> History:
    """Return the stage's history."""
    return of(document(store))


def _past(data: Mapping[str, Json]) -> Past:
    components = tuple(PastComponent(**item) for item in data["components"])
    return Past(**{**data, "components": components, "images": tuple(data["images"])})


def record(store: Store, files: Files, release: Release, *, before: Json, by: str, note: str = "") -> History:
    """Write down that this release is about to be live, and return the history with it.

    `before` is the history as it was when the deployment began: of two at once, one gets ConflictError.
    """
    history = of(before).with_release(past_of(release, by, note))
    if not store.swap_document(_KIND, _KEY, before, json.loads(json.dumps(asdict(history)))):
        raise ConflictError(
            f"Another deployment went live while release {release.number} was made.", hint="Run the command again."
        )
    files.put(_file(release.number), json.dumps(to_json(release)).encode(), media_type="application/json")
    _forget(files, history.releases)
    return history


def past_of(release: Release, by: str = "", note: str = "") -> Past:
    """Return a release as the history has it."""
    components = tuple(PastComponent(c.name, c.hash, c.label, c.image) for c in release.components)
    images = {image.rpartition("@")[2] for image in release.aws.images.values()}
    return Past(release.number, release.created_at, by, components, tuple(sorted(images)), note)


def _forget(files: Files, kept: Sequence[Past]) -> None:
    """Delete the files of releases that are too old; one call a deployment, as there is one more each time."""
    oldest = kept[0].number - 1
    if oldest >= 1:
        files.delete([_file(oldest)])


def whole(files: Files, past: Past) -> Release:
    """Return a release as it was; NotFoundError when its file is gone."""
    return release_from_json(json.loads(files.read(_file(past.number))))


def _file(number: int) -> str:
    return f"releases/{number:06}.json"


def needed_images(history: History) -> set[str]:
    """Return the digests that the kept releases run."""
    return {digest for past in history.releases for digest in past.images}


def labelled(history: History, components: Iterable[ComponentManifest]) -> tuple[ComponentManifest, ...]:
    """Return the components with what their versions are called."""
    return tuple(replace(component, label=history.label_of(component)) for component in components)


def now() -> float:
    """Return the time, in epoch seconds."""
    return time.time()
