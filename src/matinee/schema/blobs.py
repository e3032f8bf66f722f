"""Bytes beside JSON: small ones travel inside it (`base64`), large ones through Files (`key`)."""

from __future__ import annotations

from typing import Any

from matinee.errors import InputError
from matinee.schema.decode import ReadBlob
from matinee.schema.encode import PutBlob, inline_blob

INLINE_LIMIT_BYTES = 256 * 1024


def bytes_of(blob: dict[str, Any], read_blob: ReadBlob, path: str = "") -> bytes:
    """Return the bytes of a blob; `read_blob` is asked only for one that has a `key`."""
    if "base64" not in blob:
        return read_blob(blob)
    from binascii import Error, a2b_base64

    try:
        return a2b_base64(blob["base64"])
    except (Error, ValueError):
        raise InputError(path, "is not valid base64") from None


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


def reader(files: Any) -> ReadBlob:
    """Return what reads blobs from the port Files."""

    def read_blob(blob: dict[str, Any]) -> bytes:
        if "base64" in blob:
            return bytes_of(blob, read_blob)
        if files is None:
            raise InputError("", f"the file {blob['key']} is not here")
        return bytes(files.read(blob["key"]))

    return read_blob


def writer(files: Any, prefix: str, *, inline_limit_bytes: int = INLINE_LIMIT_BYTES) -> PutBlob:
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
