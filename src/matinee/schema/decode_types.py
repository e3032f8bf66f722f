"""Decoders of the types that are built from others: containers, unions, records, and the standard library's values."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any

from matinee.errors import InputError
from matinee.schema.decode import Decoder, Json, ReadBlob, decoder, mismatch


def make(annotation: Any) -> Decoder:
    """Return what turns JSON into this annotation's type."""
    if isinstance(annotation, typing.TypeVar):
        return decoder(annotation.__bound__ or Any)
    if hasattr(annotation, "__supertype__"):  # NewType
        return decoder(annotation.__supertype__)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return _literal(args)
    if origin in (typing.Union, types.UnionType):
        return _union(args)
    if origin in (typing.Annotated, typing.Required, typing.NotRequired):
        return decoder(args[0])
    if origin is None and hasattr(annotation, "__value__"):  # `type X = …`
        return decoder(annotation.__value__)
    cls = origin or annotation
    if not isinstance(cls, type):
        raise TypeError(f"{annotation} is not a type")
    return _container(cls, args) or _record(cls, annotation) or _value(cls) or _by_pydantic(annotation)


def _literal(choices: tuple[Any, ...]) -> Decoder:
    from matinee.schema.encode import to_json

    pairs = [(to_json(choice), choice) for choice in choices]

    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        for text, choice in pairs:
            if text == value and type(text) is type(value):
                return choice
        raise mismatch(path, ", ".join(str(text) for text, _ in pairs))

    return decode


def _union(members: tuple[Any, ...]) -> Decoder:
    decoders = [decoder(member) for member in members]
    numbers = {m for m in members if m in (int, float, bool)}

    def decode(value: Json, read_blob: ReadBlob, path: str) -> Any:
        if type(value) in numbers:  # 1 is an int for `float | int`, too
            return value
        for decode_member in decoders:
            try:
                return decode_member(value, read_blob, path)
            except InputError as error:
                problem = error
        raise problem

    return decode


def _container(cls: type, args: tuple[Any, ...]) -> Decoder | None:
    import collections.abc as abc

    if issubclass(cls, tuple) and not hasattr(cls, "_fields"):
        return _tuple(args)
    if issubclass(cls, (list, set, frozenset)):
        return _items(cls, args[0] if args else Any)
    if cls in (abc.Sequence, abc.Collection, abc.Iterable):
        return _items(list, args[0] if args else Any)
    if cls in (abc.Set, abc.MutableSet):
        return _items(set, args[0] if args else Any)
    if cls is dict or cls in (abc.Mapping, abc.MutableMapping):
        return _mapping(*(args or (str, Any)))
    return None


def _items(cls: Callable[[list[Any]], Any], item: Any) -> Decoder:
    decode_item = decoder(item)

    def decode(value: Json, read_blob: ReadBlob, path: str) -> Any:
        if not isinstance(value, list):
            raise mismatch(path, "a list")
        return cls([decode_item(v, read_blob, f"{path}.{i}") for i, v in enumerate(value)])

    return decode


def _tuple(args: tuple[Any, ...]) -> Decoder:
    if not args:
        return _items(tuple, Any)
    if len(args) == 2 and args[1] is ...:
        return _items(tuple, args[0])
    decoders = [] if args == ((),) else [decoder(arg) for arg in args]

    def decode(value: Json, read_blob: ReadBlob, path: str) -> Any:
        if not isinstance(value, list) or len(value) != len(decoders):
            raise mismatch(path, f"a list of {len(decoders)} items")
        return tuple(d(v, read_blob, f"{path}.{i}") for i, (d, v) in enumerate(zip(decoders, value, strict=True)))

    return decode


def _mapping(key: Any, item: Any) -> Decoder:
    decode_key, decode_item = decoder(key), decoder(item)
    import json

    def as_key(name: str, read_blob: ReadBlob, path: str) -> Any:
        if key in (int, float, bool):
            try:
                return decode_key(json.loads(name), read_blob, path)
            except ValueError:
                raise mismatch(path, "under a name that is a number") from None
        return decode_key(name, read_blob, path)

    def decode(value: Json, read_blob: ReadBlob, path: str) -> Any:
        if not isinstance(value, dict):
            raise mismatch(path, "an object")
        return {as_key(k, read_blob, f"{path}.{k}"): decode_item(v, read_blob, f"{path}.{k}") for k, v in value.items()}

    return decode


def _record(cls: type, annotation: Any) -> Decoder | None:
    from matinee.schema import decode_records

    if hasattr(cls, "model_validate"):
        return decode_records.pydantic_model(cls)
    if hasattr(cls, "__dataclass_fields__"):
        return decode_records.dataclass(cls, annotation)
    if issubclass(cls, tuple):
        return decode_records.named_tuple(cls)
    if typing.is_typeddict(cls):
        return decode_records.typed_dict(cls)
    return None


def _value(cls: type) -> Decoder | None:
    import datetime
    import enum

    if issubclass(cls, enum.Enum):
        return _enum(cls)
    if cls is datetime.date:
        return _text("date", "a date such as 2026-01-31")
    if cls is datetime.datetime:
        return _text("date-time", "a date and time such as 2026-01-31T09:30:00")
    if cls is datetime.time:
        return _text("time", "a time such as 09:30:00")
    name = f"{cls.__module__}.{cls.__qualname__}"
    if name in ("decimal.Decimal", "uuid.UUID"):
        return _from_text(cls, "a number" if name == "decimal.Decimal" else "a UUID")
    return None


def _enum(cls: Any) -> Decoder:
    from matinee.schema.encode import to_json

    members = [(to_json(member.value), member) for member in cls]

    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        for text, member in members:
            if text == value and isinstance(text, bool) == isinstance(value, bool):
                return member
        raise mismatch(path, ", ".join(str(text) for text, _ in members))

    return decode


def _text(kind: str, expected: str) -> Decoder:
    from matinee.schema.scalars import parsed

    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        found = parsed(kind, value) if isinstance(value, str) else None
        if found is None:
            raise mismatch(path, expected)
        return found

    return decode


def _from_text(cls: Callable[[str], Any], expected: str) -> Decoder:
    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            raise mismatch(path, expected)
        try:
            return cls(str(value))
        except (ValueError, ArithmeticError):
            raise mismatch(path, expected) from None

    return decode


def _by_pydantic(annotation: Any) -> Decoder:
    """Decode what only pydantic knows (URLs, addresses, durations …)."""
    from pydantic import TypeAdapter, ValidationError

    adapter = TypeAdapter(annotation)

    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            raise InputError(path, error.errors()[0]["msg"]) from None

    return decode
