"""Frozen dataclasses as JSON values and as JSON Schema: the dataclass is the one place that names its fields.

What a store keeps, what the API answers, what its document says and what a remote client reads are made from the fields
and their types. A field's `metadata` may hold what its schema says besides (`description`), and INTERNAL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

Json = Any
T = TypeVar("T")
INTERNAL: Final = MappingProxyType({"internal": True})  # metadata of a field that callers of the API do not get
EPOCH: Final = MappingProxyType({"description": "Epoch seconds."})
_PLAIN: dict[Any, tuple[str, tuple[type, ...]]] = {  # JSON Schema's name, and Python's types
    str: ("string", (str,)),
    bool: ("boolean", (bool,)),
    int: ("integer", (int,)),
    float: ("number", (int, float)),
    dict: ("object", (dict,)),
}


def to_json(value: Any, *, internal: bool = False) -> dict[str, Json]:
    """Return the fields of a dataclass as JSON; without `internal`, those that callers get."""
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value) if internal or not _is_internal(f.metadata)}


def _plain(value: Any) -> Json:
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    return value.value if isinstance(value, Enum) else value


def from_json(cls: type[T], data: Mapping[str, Json], **more: Any) -> T:
    """Return the dataclass that `to_json` wrote, with fields that were not written in `more`.

    A missing field has its default, an unknown one is left out: it is of a newer Matinee. Raises TypeError or
    ValueError for a value that is none of the field's, or a missing one without default.
    """
    readers = _readers(cast(Any, cls))
    return cls(**{name: readers[name](value) for name, value in data.items() if name in readers}, **more)


@cache
def _readers(cls: Any) -> dict[str, Callable[[Json], Any]]:
    return {name: _reader(annotation, name) for name, annotation in _annotations(cls).items()}


def _reader(annotation: Any, name: str) -> Callable[[Json], Any]:
    inner: Any
    inner, is_optional = _without_none(annotation)
    if inner is Any:
        return lambda value: value
    if isinstance(inner, type) and issubclass(inner, Enum):
        read: Callable[[Json], Any] = inner
    elif is_dataclass(inner):
        read = lambda value: from_json(cast(Any, inner), value)  # noqa: E731
    else:
        return _checker(inner, name, is_optional)
    return (lambda value: None if value is None else read(value)) if is_optional else read


def _checker(annotation: Any, name: str, is_optional: bool) -> Callable[[Json], Any]:
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    types = (str, int) if choices else _PLAIN[get_origin(annotation) or annotation][1]
    accepted = (*types, NoneType) if is_optional else types

    def read(value: Json) -> Json:
        if not isinstance(value, accepted) or (choices and value not in choices):
            raise ValueError(f"{name} cannot be {str(value)[:40]!r}")
        return value

    return read


def schema_of(cls: Any, *, also: Mapping[str, Json] | None = None, optional: Iterable[str] = ()) -> dict[str, Json]:
    """Return the JSON Schema of `to_json(value)`; `also` are properties that are added to it, some `optional`."""
    annotations = _annotations(cls)
    shown = {f.name: f.metadata for f in fields(cls) if not _is_internal(f.metadata)}
    properties = {name: {**_schema(annotations[name]), **metadata} for name, metadata in shown.items()}
    properties |= also or {}
    required = [name for name in properties if name not in set(optional)]
    return {"type": "object", "properties": properties, "required": required}


def _schema(annotation: Any) -> dict[str, Json]:
    inner, is_optional = _without_none(annotation)
    if inner is Any:
        return {}
    if get_origin(inner) is Literal:
        return {"type": "string", "enum": list(get_args(inner))}
    if isinstance(inner, type) and issubclass(inner, Enum):
        return {"type": "string", "enum": [member.value for member in inner]}
    if is_dataclass(inner):
        schema = schema_of(inner)
        return {"anyOf": [schema, {"type": "null"}]} if is_optional else schema
    name = _PLAIN[get_origin(inner) or inner][0]
    return {"type": [name, "null"] if is_optional else name}


@cache
def _annotations(cls: Any) -> dict[str, Any]:
    return {name: annotation for name, annotation in get_type_hints(cls).items() if name in _names(cls)}


def _names(cls: Any) -> set[str]:
    return {f.name for f in fields(cls)}


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) not in (Union, UnionType):
        return annotation, False
    (inner,) = (one for one in get_args(annotation) if one is not NoneType)
    return inner, True


def _is_internal(metadata: Mapping[str, Json]) -> bool:
    return "internal" in metadata
