"""Encoding of what is neither plain JSON nor a library's: records, enums, dates, sets, numpy scalars."""

from __future__ import annotations

import enum
from typing import Any

from matinee.errors import InputError
from matinee.schema import encode
from matinee.schema.encode import Json, PutBlob


def to_json(value: Any, put_blob: PutBlob, path: str) -> Json:
    """Return the value as JSON; InputError for a type that is unknown."""
    cls = type(value)
    if isinstance(value, enum.Enum):
        return encode.to_json(value.value, put_blob, path)
    if cls.__module__ == "matinee.schema.values":  # a result that becomes another predictor's input
        return value.json
    if hasattr(cls, "model_dump"):
        return encode.to_json(value.model_dump(by_alias=True), put_blob, path)
    if hasattr(cls, "__dataclass_fields__"):
        return _named({name: getattr(value, name) for name in cls.__dataclass_fields__}, put_blob, path)
    if isinstance(value, tuple):
        fields = getattr(cls, "_fields", None)
        return (
            _named(dict(zip(fields, value, strict=True)), put_blob, path) if fields else _items(value, put_blob, path)
        )
    plain = _plain(value)
    if plain is not value:
        return encode.to_json(plain, put_blob, path)
    return _collection(value, put_blob, path)


def _named(values: dict[str, Any], put_blob: PutBlob, path: str) -> Json:
    return encode.to_json(values, put_blob, path)


def _items(value: Any, put_blob: PutBlob, path: str) -> Json:
    return encode.to_json(list(value), put_blob, path)


def _plain(value: Any) -> Any:
    """Return a simpler value that says the same; the value itself if there is none."""
    for base in (str, int, float):  # subclasses: numpy.float64, a str of a library
        if isinstance(value, base):
            return base(value)
    library = type(value).__module__.partition(".")[0]
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()  # NaT
    if library in ("decimal", "uuid"):
        return str(value)
    if library == "numpy" and hasattr(value, "item"):
        return value.item()
    if library == "pandas":
        return None if type(value).__name__ == "NAType" else value.tolist() if hasattr(value, "tolist") else value
    return value


def _collection(value: Any, put_blob: PutBlob, path: str) -> Json:
    from collections.abc import Mapping, Sequence, Set

    if isinstance(value, Mapping):
        return encode.to_json(dict(value), put_blob, path)
    if isinstance(value, Set):
        return _items(_in_order(value), put_blob, path)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return _items(value, put_blob, path)
    return _by_pydantic(value, path)


def _in_order(values: Any) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return list(values)


def _by_pydantic(value: Any, path: str) -> Json:
    """Encode what only pydantic knows (URLs, addresses, durations …)."""
    name = type(value).__qualname__
    if not isinstance(value, (bytes, bytearray, memoryview, complex)):
        try:
            from pydantic_core import PydanticSerializationError, to_jsonable_python
        except ImportError:
            pass
        else:
            try:
                return to_jsonable_python(value)
            except PydanticSerializationError:
                pass
    raise InputError(
        path,
        f"is a {name}, which has no JSON form",
        hint="Return plain values, a dataclass, a pydantic model, a table, an array, a figure, or matinee.File(bytes).",
    )
