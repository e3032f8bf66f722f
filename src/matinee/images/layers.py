"""Layers as archives, made once per content and kept: the builder unpacks them, and need not be sent them as files.

An archive of a layer takes the legacy builder half a second where its three thousand files take nine.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from matinee.environments.lock import locked
from matinee.environments.prepare import cache_folder
from matinee.errors import BackendError

KEPT_S = 30 * 24 * 3600.0  # since it was last used


def folder_of_layers() -> Path:
    """Return where archives are kept, on the file system of uv's cache where that is possible: unpacking is linking."""
    folder = cache_folder().parent / "images"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


def layer(name: str, parts: tuple[str, ...], make: Callable[[Path], None]) -> Path:
    """Return the archive of what `make` puts into a folder, from before if it was made of the same parts."""
    folder = folder_of_layers()
    file = folder / f"{name}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:20]}.tar"
    try:
        with locked(file.with_suffix(".lock")):
            if file.is_file():
                os.utime(file)
            else:
                _make(file, make)
                _forget_old(folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    return file


def unwritable(folder: Path, error: OSError) -> BackendError:
    """Return the error for a cache that cannot be written."""
    return BackendError(
        f"The image cannot be prepared in {folder}: {error.strerror or error}.",
        hint="Make room, or choose another folder with the variable XDG_CACHE_HOME.",
    )


def _make(file: Path, make: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(dir=file.parent) as work:
        make(Path(work))
        half = file.with_suffix(".half")
        pack(Path(work), half)
        half.replace(file)


def _forget_old(folder: Path) -> None:
    for file in folder.glob("*.tar"):
        if file.stat().st_mtime < time.time() - KEPT_S:
            file.unlink()


def pack(folder: Path, archive: Path) -> None:
    """Write what is in the folder as root's, readable by everybody, of no time: the same files are the same bytes."""
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as packed:
        for path in sorted(folder.rglob("*")):
            entry = packed.gettarinfo(path, path.relative_to(folder).as_posix())
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = "root"
            entry.mtime = 0
            entry.mode = readable(entry.mode)
            if entry.islnk():  # uv links files from its cache: here each is itself
                entry.type, entry.size = tarfile.REGTYPE, path.stat().st_size
            if entry.isreg():
                with path.open("rb") as content:
                    packed.addfile(entry, content)
            else:
                packed.addfile(entry)


def readable(mode: int) -> int:
    """Return the mode that lets everybody read what the owner reads, for an image runs as somebody else."""
    mode = stat.S_IMODE(mode)
    return 0o755 if mode & 0o100 else 0o644
