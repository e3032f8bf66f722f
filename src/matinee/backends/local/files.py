"""The Files port on a folder. A key becomes a path that any file system can hold, and back.

Letters that file systems fold or forbid are percent-encoded, folders end in `+` (so that `a` and `a/b` can both be
keys), and a long segment goes on in a folder that ends in `~+`. No key leaves the folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from matinee.errors import ConflictError, DiskError, LimitError, NotFoundError
from matinee.private_files import open_private

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-.")
_LONGEST = 200  # bytes of a path's segment: file systems allow 255
_UNFINISHED = ".partial"  # no key's: a leading dot is encoded
_ABANDONED_S = 24 * 3600.0  # a partial file this old was left by a killed process
_CHUNK = 1 << 20
_LONGEST_KEY = 1024  # bytes, as S3's


class FolderFiles:
    """Files under `folder`, made when first needed. Raises DiskError when the disk is full or not to be written."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        _sweep(self.folder / _UNFINISHED)

    def put(
        self,
        key: str,
        data: bytes | BinaryIO,
        *,
        media_type: str = "application/octet-stream",
        replace: bool = True,
    ) -> int:
        """Write a file and return its size in bytes. The media type travels in the reference to the file."""
        del media_type
        target = self._path(key)
        partial = self.folder / _UNFINISHED / os.urandom(12).hex()
        with _explain_errors(key, "written"):
            partial.parent.mkdir(parents=True, exist_ok=True)
            try:
                size_bytes = _write(partial, data)
                _move(partial, target, self.folder, replace=replace)
            except _TakenError as error:
                raise ConflictError(f"There is a file {key!r} already.") from error
            finally:
                partial.unlink(missing_ok=True)
        return size_bytes

    def read(self, key: str) -> bytes:
        """Return the whole file. Raises NotFoundError if there is none."""
        with self.open(key) as stream:
            return stream.read()

    def open(self, key: str) -> BinaryIO:
        """Return a stream of the file. Raises NotFoundError if there is none."""
        with _explain_errors(key, "read"):
            return self._path(key).open("rb")

    def download_url(self, key: str, *, name: str = "", media_type: str = "") -> str | None:
        """Return None: the app itself serves the file."""
        del key, name, media_type
        return None

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys under a prefix in order."""
        within = prefix.rpartition("/")[0]
        start = self.folder.joinpath(*_folders(within)) if "/" in prefix else self.folder
        with _explain_errors(prefix, "listed"):
            keys = sorted(_keys(start, within + "/" if "/" in prefix else ""))
        yield from (key for key in keys if key.startswith(prefix))

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files; missing keys are no error."""
        for key in keys:
            with _explain_errors(key, "deleted"), suppress(FileNotFoundError, NotADirectoryError):
                self._path(key).unlink()

    def _path(self, key: str) -> Path:
        if len(key.encode("utf-8", "surrogatepass")) > _LONGEST_KEY:
            raise LimitError(f"The file name {key[:40]!r}… is longer than {_LONGEST_KEY} bytes.", hint="Shorten it.")
        folder, _, last = key.rpartition("/")
        *continued, name = _pieces(last)
        parents = _folders(folder) if "/" in key else []
        return self.folder.joinpath(*parents, *(f"{piece}~+" for piece in continued), name)


class _TakenError(Exception):
    """There is a file of that name."""


def _folders(key: str) -> list[str]:
    """Return the folder names of a key whose segments are all folders."""
    names = []
    for segment in key.split("/"):
        *continued, last = _pieces(segment)
        names += [*(f"{piece}~+" for piece in continued), f"{last}+"]
    return names


def _pieces(segment: str) -> list[str]:
    """Encode one segment, cut where it would be too long for a file's name; an empty one is a lone percent sign."""
    pieces = [""]
    for byte in segment.encode("utf-8", "surrogatepass"):
        plain = byte in _PLAIN and not (byte == ord(".") and pieces == [""])
        text = chr(byte) if plain else f"%{byte:02x}"
        if len(pieces[-1]) + len(text) > _LONGEST:
            pieces.append("")
        pieces[-1] += text
    return pieces if segment else ["%"]


def _decode(encoded: str) -> str:
    if encoded == "%":
        return ""
    first, *rest = encoded.split("%")
    raw = first.encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in rest)
    return raw.decode("utf-8", "surrogatepass")


def _keys(folder: Path, prefix: str, begun: str = "") -> Iterator[str]:
    """Yield the keys of the files below; `begun` is the encoded beginning of a long segment."""
    try:
        children = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for child in children:
        if child.name == _UNFINISHED:
            continue
        if child.name.endswith("~+"):
            yield from _keys(Path(child.path), prefix, begun + child.name[:-2])
        elif child.name.endswith("+"):
            yield from _keys(Path(child.path), f"{prefix}{_decode(begun + child.name[:-1])}/")
        else:
            yield prefix + _decode(begun + child.name)


def _write(path: Path, data: bytes | BinaryIO) -> int:
    """Write all and wait until the disk has it; return the bytes."""
    with open_private(path, "xb") as stream:
        if isinstance(data, bytes | bytearray | memoryview):
            stream.write(data)
        else:
            while chunk := data.read(_CHUNK):
                stream.write(chunk)
        stream.flush()
        os.fsync(stream.fileno())
        return stream.tell()


def _move(partial: Path, target: Path, folder: Path, *, replace: bool) -> None:
    """Give the file its name, and make name and new folders last."""
    known = target.parent
    while known != folder and not known.exists():
        known = known.parent
    target.parent.mkdir(parents=True, exist_ok=True)
    if replace:
        partial.replace(target)
    else:
        _link(partial, target)
    made = target.parent
    while True:
        _sync_folder(made)
        if made == known:
            return
        made = made.parent


def _link(partial: Path, target: Path) -> None:
    """Give the file its name unless the name is taken."""
    try:
        os.link(partial, target)
    except FileExistsError as error:
        raise _TakenError from error


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Windows cannot open a folder
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(partial: Path) -> None:
    """Remove what killed processes left half-written."""
    with suppress(OSError):
        for child in list(os.scandir(partial)):
            if child.stat().st_mtime < time.time() - _ABANDONED_S:
                Path(child.path).unlink(missing_ok=True)


@contextmanager
def _explain_errors(key: str, done: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        if done == "written":
            raise DiskError(f"The file {key!r} cannot be written: {error.strerror}.") from error
        raise NotFoundError(f"There is no file {key!r}.") from error
    except OSError as error:
        hint = "Check that the disk has space and that you may write in its folder."
        raise DiskError(f"The file {key!r} cannot be {done}: {error.strerror}.", hint=hint) from error
