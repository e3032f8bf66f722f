"""Bytes beside JSON: small ones travel inside it (`base64`), large ones through Files (`key`); large payloads, too.

Here are the words that all codecs share as well. Imports next to nothing: a predictor starts fast.
"""
# ruff: noqa: PTH118 - importing pathlib costs a predictor's start 3 ms

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from matinee.errors import InputError, NotFoundError

Json = Any
ReadBlob = Callable[[dict[str, Any]], bytes]
PutBlob = Callable[[bytes, str, str], dict[str, Any]]  # (data, media type, name) → blob
Decoder = Callable[[Json, ReadBlob, str], Any]  # (value, read_blob, path for messages)
ToJson = Callable[[Any, PutBlob, str], Json]  # (value, put_blob, path for messages)

INLINE_LIMIT_BYTES = 256 * 1024
UNKNOWN_MEDIA_TYPE = "application/octet-stream"
_MEDIA_TYPE = (
    r"(?:application|audio|chemical|font|image|message|model|multipart|text|video|x-[a-z0-9-]{1,40})/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,99}"
    r"(?:; ?charset=[A-Za-z0-9_.:-]{1,40})?"
)

if TYPE_CHECKING:

    class PayloadFiles(Protocol):
        """The part of the port Files that payloads need."""

        def put(self, key: str, data: bytes, *, media_type: str = ...) -> int: ...
        def read(self, key: str) -> bytes: ...


def mismatch(path: str, expected: str) -> InputError:
    """Return the error of a value of the wrong kind: what lets a Union try its next member."""
    return InputError(path, f"must be {expected}")


# --- media types ------------------------------------------------------------------------------------------------------


def is_media_type(text: Any) -> bool:
    """Whether this is one media type of a family we know: no list of several, no line break, at most a charset."""
    import re

    return isinstance(text, str) and re.fullmatch(_MEDIA_TYPE, text) is not None


def media_type_of(text: str) -> str:
    """Return what a browser or a caller says a file is, without parameters; octet-stream for what is no media type.

    This is for what arrives as a file's own heading. Inside a value a wrong media type is refused by the validator.
    """
    plain = text.partition(";")[0].strip().lower()
    return plain if is_media_type(plain) else UNKNOWN_MEDIA_TYPE


# --- blobs ------------------------------------------------------------------------------------------------------------


def is_blob(value: Any) -> bool:
    """Whether the value is a blob: bytes inside (`base64`) or in Files (`key`)."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("$blob"), str)
        and isinstance(value.get("name", ""), str)
        and (isinstance(value.get("base64"), str) or isinstance(value.get("key"), str))
    )


def inline_blob(data: bytes, media_type: str, name: str) -> dict[str, Any]:
    """Return the blob that carries its bytes itself."""
    from binascii import b2a_base64

    return {"$blob": media_type, "name": name, "base64": b2a_base64(data, newline=False).decode()}


def inline_small_blob(data: bytes, media_type: str, name: str) -> dict[str, Any]:
    """Return the blob of a default or an example, which stands in the manifest; InputError for a large one."""
    check_manifest_bytes(len(data))
    return inline_blob(data, media_type, name)


def check_manifest_bytes(size: int, path: str = "") -> None:
    """Raise InputError for a file that is too large to stand in a manifest, which everybody reads."""
    if size > INLINE_LIMIT_BYTES:
        raise InputError(
            path,
            f"is a file of {size / 1000:,.0f} kB, and at most {INLINE_LIMIT_BYTES // 1024} kB stand in a manifest",
            hint="Write `… | None = None` and read the file inside the function, or take a smaller one.",
        )


def bytes_of(blob: dict[str, Any], read_blob: ReadBlob, path: str = "") -> bytes:
    """Return the bytes of a blob; `read_blob` is asked only for one that has a `key`."""
    if "base64" not in blob:
        return read_blob(blob)
    from binascii import Error, a2b_base64

    try:
        return a2b_base64(blob["base64"])
    except (Error, ValueError):
        raise InputError(path, "is not valid base64") from None


def file_name(blob: dict[str, Any], default: str = "file") -> str:
    """Return a blob's name as the name of one file: without folders, without what a file system refuses."""
    name = str(blob.get("name") or "").replace("\\", "/").rpartition("/")[2].replace("\0", "")
    return default if name in ("", ".", "..") else name


class Reader:
    """Reads blobs from the port Files; what a function gets as a path stands in its folder until it is closed."""

    def __init__(self, files: Any) -> None:
        self._files = files
        self._folder = ""
        self._count = 0

    def __call__(self, blob: dict[str, Any]) -> bytes:
        """Return the bytes of a blob; InputError when there is no port to ask."""
        if "base64" in blob:
            return bytes_of(blob, self)
        if self._files is None:
            raise InputError("", f"the file {blob['key']} is not here")
        return bytes(self._files.read(blob["key"]))

    def write(self, data: bytes, name: str) -> str:
        """Write a file into a folder of its own and return its path; `close` removes it."""
        import os
        import tempfile

        if not self._folder:
            self._folder = tempfile.mkdtemp(prefix="matinee-")
        self._count += 1
        folder = os.path.join(self._folder, str(self._count))
        os.mkdir(folder)  # noqa: PTH102
        path = os.path.join(folder, name.encode()[-200:].decode(errors="ignore"))
        with open(path, "wb") as stream:  # noqa: PTH123
            stream.write(data)
        return path

    def close(self) -> None:
        """Remove the files that were written."""
        if self._folder:
            from shutil import rmtree

            rmtree(self._folder, ignore_errors=True)
            self._folder = ""

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def blob_writer(files: Any, prefix: str, *, inline_limit_bytes: int = INLINE_LIMIT_BYTES) -> PutBlob:
    """Return what stores blobs: inline up to the limit or without `files`, else as `prefix/N-NAME` in Files."""
    count = 0

    def put_blob(data: bytes, media_type: str, name: str) -> dict[str, Any]:
        nonlocal count
        if files is None or len(data) <= inline_limit_bytes:
            return inline_blob(data, media_type, name)
        safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[-80:]
        key = f"{prefix}/{count}-{safe or 'file'}"
        count += 1
        size = files.put(key, data, media_type=media_type)
        return {"$blob": media_type, "name": name, "key": key, "size_bytes": size}

    return put_blob


# --- payloads ---------------------------------------------------------------------------------------------------------
# All inputs or a whole result, stored as a file with `{"$payload": key}` in their place.


def store_large(files: PayloadFiles, key: str, value: Json, limit_bytes: int) -> Json:
    """Return the value, or the reference to it after putting it under `key`, if its JSON is over `limit_bytes`."""
    data = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    if len(data) <= limit_bytes:
        return value
    files.put(key, data, media_type="application/json")
    return {"$payload": key}


def load_payload(files: PayloadFiles, value: Json) -> Json:
    """Return the value, read from Files if it is a reference; NotFoundError if what is there is gone or damaged."""
    if not (isinstance(value, dict) and isinstance(value.get("$payload"), str) and len(value) == 1):
        return value
    try:
        return json.loads(files.read(value["$payload"]))
    except ValueError as error:
        raise NotFoundError(f"The file {value['$payload']} is damaged: it is no JSON.") from error


def is_equal(one: Any, other: Any, read_blob: ReadBlob) -> bool:
    """Whether two JSON values are the same; blobs are by media type, name and bytes, wherever these are kept."""
    if isinstance(one, dict) and isinstance(other, dict):
        if "$blob" in one and "$blob" in other:
            return _is_equal_blob(one, other, read_blob)
        return one.keys() == other.keys() and all(is_equal(one[name], other[name], read_blob) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(lambda a, b: is_equal(a, b, read_blob), one, other))
    return bool(one == other)


def _is_equal_blob(one: dict[str, Any], other: dict[str, Any], read_blob: ReadBlob) -> bool:
    if any(one.get(name) != other.get(name) for name in ("$blob", "name")):
        return False
    if "key" in one and one.get("key") == other.get("key"):
        return True
    return bytes_of(one, read_blob) == bytes_of(other, read_blob)
