"""Any Python value → JSON, by its runtime type. Nothing is ever pickled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matinee.errors import InputError
from matinee.schema import special

Json = Any
PutBlob = Callable[[bytes, str, str], dict[str, Any]]  # (data, media type, name) → blob

_PLAIN = (str, int, bool, type(None))


def inline_blob(data: bytes, media_type: str, name: str) -> dict[str, Any]:
    """Return the blob that carries its bytes itself."""
    from binascii import b2a_base64

    return {"$blob": media_type, "name": name, "base64": b2a_base64(data, newline=False).decode()}


def to_json(value: Any, put_blob: PutBlob = inline_blob, path: str = "") -> Json:
    """Return the value as JSON.

    `put_blob` stores bytes and returns the blob that stands for them. Raises InputError naming the part (`path`) that
    cannot be JSON: an unknown type, NaN or infinity as a plain number.
    """
    cls = type(value)
    if cls in _PLAIN:
        return value
    if cls is float:
        return _finite(value, path)
    if cls is dict:
        return {_key(k, path): to_json(v, put_blob, _join(path, k)) for k, v in value.items()}
    if cls in (list, tuple):
        return [to_json(item, put_blob, _join(path, i)) for i, item in enumerate(value)]
    marked = special.kind_of(cls)
    if marked:
        from matinee.schema import encode_special

        return encode_special.to_json(*marked, value, put_blob, path)
    from matinee.schema import encode_types

    return encode_types.to_json(value, put_blob, path)


def _join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)


def _finite(value: float, path: str) -> float:
    if value - value != 0:
        raise InputError(path, f"is {value}, which JSON cannot carry", hint="Use None for a number that is missing.")
    return value


def _key(key: Any, path: str) -> str:
    if type(key) is str:
        return key
    name = to_json(key, path=path)
    if isinstance(name, bool) or name is None:
        return {True: "true", False: "false", None: "null"}[name]
    if isinstance(name, (str, int, float)):
        return str(name)
    raise InputError(path, f"has the key {key!r}, and a key must be text or a number")
