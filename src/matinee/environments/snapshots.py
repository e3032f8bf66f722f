"""Snapshots: the files of one version of a component as they were hashed. Every process of that version runs from one.

.matinee/snapshots/files/DIGEST   each content once, read-only
.matinee/snapshots/HASH/          the app's folder as this version has it: links to those files
.matinee/snapshots/HASH.lock      held by the processes that run from it
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from matinee.errors import ComponentError, DiskError, ProjectError
from matinee.own_paths import SNAPSHOTS
from matinee.project.content import file_digest
from matinee.project.model import Component

KEPT = 20  # snapshots that nothing runs from, for versions that come back; the oldest go
UNUSED_S = 3600.0  # a file that no snapshot links to goes when it is as old: another process may be about to
_TRIES = 5  # an editor replaces a file: for a moment it is not there


@dataclass(frozen=True)
class Snapshot:
    """A version. `component` has its paths in the snapshot, `digests` its files by name, `left_out` why others are."""

    hash: str
    component: Component
    digests: Mapping[str, str]
    left_out: Mapping[str, str]


class SnapshotFolder:
    """The snapshots of an app; any number of processes may use one folder."""

    def __init__(self, app: Path) -> None:
        self._folder = app / SNAPSHOTS
        self._files = self._folder / "files"

    def take(self, component: Component, opened: Collection[str] = ()) -> Snapshot:
        """Return the component as it is now. Raises ProjectError if it cannot be read, DiskError if not written."""
        for tries_left in reversed(range(_TRIES)):
            try:
                contents = component.contents(opened)
                digests = {name: file_digest(path) for name, path in contents.files.items()}
                with _disk_errors(self._folder):
                    digests = {name: self._store(path, digests[name]) for name, path in contents.files.items()}
                    target = self._folder / component.hash_of(digests)
                    self._link(target, digests)
            except FileNotFoundError as error:
                if not tries_left:
                    raise _unreadable(component, error) from error
            except OSError as error:
                raise _unreadable(component, error) from error
            else:
                return Snapshot(target.name, component.moved_to(target), digests, contents.left_out)
        raise AssertionError

    def check(self, snapshot: Snapshot) -> None:
        """Raise ComponentError if the files are no longer what was hashed: the component has changed them itself."""
        folder = self._folder / snapshot.hash
        for name, digest in snapshot.digests.items():
            if not _has_content(folder / name, digest):
                self._remove(folder)
                raise ComponentError(
                    f"Component {snapshot.component.name} changes its own file {name} while it is imported.",
                    hint="Write to a temporary folder instead: in the cloud, a component's files are read-only.",
                    file=str(snapshot.component.entry),
                )

    def remove_unused(self, live: Collection[str]) -> None:
        """Remove the oldest snapshots that are not live and that no process runs from, and files of none."""
        with suppress(OSError):
            others = [path for path in self._folder.glob("?" * 16) if path.name not in live]
            for folder in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
                with _exclusively(folder.with_suffix(".lock")) as is_unused:
                    if is_unused:
                        self._remove(folder)
            for file in self._files.iterdir():
                stat = file.stat()
                if stat.st_nlink == 1 and time.time() - stat.st_mtime > UNUSED_S:
                    file.unlink(missing_ok=True)

    # --- files --------------------------------------------------------------------------------------------------

    def _store(self, source: Path, digest: str) -> str:
        """Keep a file's content and return its digest, which is another one if the file has just changed."""
        is_executable = bool(source.stat().st_mode & 0o100)
        stored = self._path_of(digest + "x" * is_executable)
        if _has_content(stored, digest):
            return digest + "x" * is_executable
        self._files.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=self._files, prefix=".")
        hashed = hashlib.sha256()
        with os.fdopen(handle, "wb") as target, source.open("rb") as stream:
            while block := stream.read(1 << 20):
                hashed.update(block)
                target.write(block)
        name = hashed.hexdigest() + "x" * is_executable
        Path(partial).chmod(0o555 if is_executable else 0o444)
        Path(partial).replace(self._path_of(name))
        return name

    def _path_of(self, name: str) -> Path:
        return self._files / name

    def _link(self, target: Path, digests: Mapping[str, str]) -> None:
        """Make a snapshot, whole or not at all; one that is there already is only looked at."""
        if all(_has_content(target / name, digest) for name, digest in digests.items()):
            return
        partial = Path(tempfile.mkdtemp(dir=self._folder, prefix="."))
        for name, digest in digests.items():
            file = partial / name
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                file.hardlink_to(self._path_of(digest))
            except OSError:  # a file system without links
                shutil.copy2(self._path_of(digest), file)
        partial.chmod(0o755)
        if target.exists():
            self._remove(target)
        try:
            partial.rename(target)
        except OSError:  # another process was faster: it has the same content
            self._remove(partial)
        target.with_suffix(".lock").touch()

    def _remove(self, folder: Path) -> None:
        folder.with_suffix(".lock").unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _has_content(file: Path, digest: str) -> bool:
    try:
        return file_digest(file) == digest.removesuffix("x")
    except OSError:
        return False


@contextmanager
def _exclusively(lock: Path) -> Iterator[bool]:
    """Give whether nobody else holds the lock."""
    with lock.open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectError(
            f"Cannot write to {folder}: {error.strerror or error}.",
            hint="Make room, or give yourself the right to write there.",
        ) from error
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DiskError(
            f"A snapshot cannot be written to {folder}: {error.strerror or error}.",
            hint="Make room, or give yourself the right to write there.",
        ) from error


def _unreadable(component: Component, error: OSError) -> ProjectError:
    return ProjectError(f"Component {component.name} cannot be read: {error}.")
