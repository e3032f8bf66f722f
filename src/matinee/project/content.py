"""A component's version by content: the same files, Python and framework give the same hash on every machine."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
# Parts of the framework that never run inside a component: they change nothing about a prediction.
_OUTSIDE = {"cli", "images", "ops", "stack", "testing", "ui"}


def content_hash(source: Path, shared: tuple[Path, ...] = ()) -> str:
    """Return 16 hexadecimal digits over sources, dependencies (they are in the sources), shared, Python, framework."""
    digest = hashlib.sha256(f"python {sys.version_info[0]}.{sys.version_info[1]}\n{framework_hash()}\n".encode())
    for root in (source, *shared):
        for name, path in files_of(root):
            digest.update(f"{root.name}/{name}\0{_digest_now(path)}\n".encode())
    return digest.hexdigest()[:16]


def files_of(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name relative to `root`, path) of what belongs to a source, in order: no caches, no hidden files."""
    if root.is_file():
        yield "", root
        return
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(n for n in folders if _belongs(n) and not (here / n / "pyvenv.cfg").exists())
        for name in sorted(filter(_belongs, names)):
            path = here / name
            if path.is_file():
                yield path.relative_to(root).as_posix(), path


def _belongs(name: str) -> bool:
    return not name.startswith(".") and name != "__pycache__" and not name.endswith((".pyc", "~"))


def _digest_now(path: Path) -> str:
    stat = path.stat()
    return _digest(str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=10_000)  # weights can be large: an unchanged file is read once per process
def _digest(path: str, _size: int, _mtime_ns: int, _inode: int) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def framework_files() -> Iterator[tuple[str, Path]]:
    """Yield (name relative to the package, path) of what of the framework runs inside a component."""
    for name, path in files_of(PACKAGE):
        if name.endswith(".py") and name.split("/")[0] not in _OUTSIDE:
            yield name, path


@lru_cache(maxsize=1)
def framework_hash() -> str:
    """Return a hash of what of the framework runs inside a component."""
    # By content rather than by number: whoever works on the framework itself must never meet a stale manifest.
    digest = hashlib.sha256()
    for name, path in framework_files():
        digest.update(f"{name}\0{_digest_now(path)}\n".encode())
    return digest.hexdigest()
