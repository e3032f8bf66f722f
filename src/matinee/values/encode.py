"""Any Python value → JSON, by its runtime type. Nothing is ever pickled."""

from __future__ import annotations

from typing import Any

from matinee.errors import InputError
from matinee.values import registry
from matinee.values.blobs import Json, PutBlob, inline_blob
from matinee.values.homogeneous import is_json

_FEW_ITEMS = 8  # items that are sooner encoded one by one
_PLAIN = (str, int, bool, type(None))


def to_json(value: Any, put_blob: PutBlob = inline_blob, path: str = "") -> Json:
    """Return the value as JSON.

    `put_blob` stores bytes and returns the blob that stands for them. Raises InputError naming the part (`path`) that
    cannot be JSON: an unknown type, NaN or infinity as a plain number.
    """
    try:
        return _to_json(value, put_blob, path)
    except RecursionError:
        raise InputError(path, "is nested too deep, or holds itself") from None


def _to_json(value: Any, put_blob: PutBlob, path: str) -> Json:
    cls = type(value)
    if cls in _PLAIN:
        return value
    if cls is float:
        return _finite(value, path)
    if cls is dict:
        return {_key(k, path): _to_json(v, put_blob, _join(path, k)) for k, v in value.items()}
    if cls in (list, tuple):
        if len(value) > _FEW_ITEMS and is_json(value):
            return list(value)
        return [_to_json(item, put_blob, _join(path, i)) for i, item in enumerate(value)]
    found = registry.row_of_class(cls)
    if found:
        from matinee.values import codecs

        return codecs.to_json(found[1], value, put_blob, path, _to_json)
    return _built(value, put_blob, path)


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


# --- records and plain values -----------------------------------------------------------------------------------------


def _built(value: Any, put_blob: PutBlob, path: str) -> Json:
    """Return what is neither plain JSON nor marked; InputError for a type that is unknown."""
    import enum

    cls = type(value)
    if isinstance(value, enum.Enum):
        return _to_json(value.value, put_blob, path)
    if cls.__module__ == "matinee.values.records":  # a result that becomes another predictor's input
        return _to_json(dict(value), put_blob, path) if cls.__name__ == "Record" else value.json
    if hasattr(cls, "model_dump"):
        return _pydantic_model(value, put_blob, path)
    if hasattr(cls, "__dataclass_fields__"):
        return _to_json({name: getattr(value, name) for name in cls.__dataclass_fields__}, put_blob, path)
    if isinstance(value, tuple):
        names = getattr(cls, "_fields", None)
        return _to_json(dict(zip(names, value, strict=True)) if names else list(value), put_blob, path)
    plain = _plain(value, path)
    return _collection(value, put_blob, path) if plain is value else _to_json(plain, put_blob, path)


def _pydantic_model(value: Any, put_blob: PutBlob, path: str) -> Json:
    """Return a model by its fields, as a dataclass; where it serializes a field itself, that is the field's value."""
    cls = type(value)
    own = cls.__pydantic_decorators__
    if own.model_serializers or getattr(cls, "__pydantic_root_model__", False):
        return _to_json(value.model_dump(by_alias=True), put_blob, path)
    dumped = {name for serializer in own.field_serializers.values() for name in serializer.info.fields}
    dumped |= {name for name, field in cls.model_fields.items() if any(map(_serializes, field.metadata))}
    if "*" in dumped:
        dumped = set(cls.model_fields)
    shown = value.model_dump(include=dumped) if dumped else {}
    fields = {
        _alias(name, field): shown[name] if name in shown else getattr(value, name)
        for name, field in cls.model_fields.items()
        if not field.exclude
    }
    computed = {_alias(name, field): getattr(value, name) for name, field in cls.model_computed_fields.items()}
    return _to_json({**fields, **computed, **(value.model_extra or {})}, put_blob, path)


def _serializes(marker: Any) -> bool:
    return type(marker).__name__ in ("PlainSerializer", "WrapSerializer")


def _alias(name: str, field: Any) -> str:
    return getattr(field, "serialization_alias", None) or field.alias or name


def _plain(value: Any, path: str) -> Any:
    """Return a simpler value that says the same; the value itself if there is none."""
    for base in (str, int, float):  # subclasses: numpy.float64, a str of a library
        if isinstance(value, base):
            return base(value)
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()  # NaT
    library = type(value).__module__.partition(".")[0]
    if library == "decimal":
        if not value.is_finite():
            raise InputError(path, f"is {value}, which JSON cannot carry", hint="Use None for one that is missing.")
        return str(value)
    if library == "uuid":
        return str(value)
    if library == "numpy" and hasattr(value, "dtype"):
        return _of_numpy(value)
    if library == "pandas":
        return None if type(value).__name__ == "NAType" else value.tolist() if hasattr(value, "tolist") else value
    return value


def _of_numpy(value: Any) -> Any:
    """Return a numpy scalar as Python's own; a moment by its text, which keeps what is finer than microseconds."""
    if value.dtype.kind == "M":
        return None if value != value else str(value)
    return value.item() if value.dtype.kind in "biuf" and value.dtype.itemsize <= 8 else value


def _collection(value: Any, put_blob: PutBlob, path: str) -> Json:
    from collections.abc import Mapping, Sequence, Set

    if isinstance(value, Mapping):
        return _to_json(dict(value), put_blob, path)
    if isinstance(value, Set):
        return _to_json(_in_order(value), put_blob, path)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return _to_json(list(value), put_blob, path)
    raise InputError(
        path,
        f"is a {type(value).__qualname__}, which has no JSON form",
        hint="Return plain values, a dataclass, a pydantic model, a table, an array, a figure, or matinee.File(bytes).",
    )


def _in_order(values: Any) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return list(values)
