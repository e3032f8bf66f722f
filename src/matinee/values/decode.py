"""JSON values → the function's own Python types, by its annotations. Values have passed `validate.check` before.

An annotation that no row of the registry stands for raises UnsupportedError: `describe` says so at inspection.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any, get_type_hints

from matinee.errors import InputError, Problem
from matinee.values import registry
from matinee.values.blobs import Decoder, Json, ReadBlob, mismatch
from matinee.values.homogeneous import types_of

_by_function: dict[Any, dict[str, Decoder]] = {}
_by_annotation: dict[Any, Decoder] = {}


class UnsupportedError(TypeError):
    """An annotation that is not in the registry; `annotation` is the part at fault, None if it is the whole."""

    def __init__(self, annotation: Any = None) -> None:
        super().__init__(annotation)
        self.annotation = annotation


def decode_arguments(function: Callable[..., Any], inputs: dict[str, Json], read_blob: ReadBlob) -> dict[str, Any]:
    """Return the keyword arguments for the function.

    `read_blob` returns the bytes of a blob that has a `key`; a `blobs.Reader` also holds what becomes a path, until
    it is closed. Raises InputError for a value that does not decode.
    """
    decoders = decoders_of(function)
    return {name: decoders[name](value, read_blob, name) for name, value in inputs.items()}


def decoders_of(function: Callable[..., Any]) -> dict[str, Decoder]:
    """Return the decoder of every parameter, made once."""
    found = _by_function.get(function)
    if found is None:
        hints = get_type_hints(function)
        found = {name: decoder(hint) for name, hint in hints.items() if name != "return"}
        _by_function[function] = found
    return found


def decoder(annotation: Any) -> Decoder:
    """Return what turns JSON into this annotation's type; UnsupportedError if it is not in the registry."""
    try:
        found = _by_annotation.get(annotation)
    except TypeError:  # unhashable, as a Literal of lists would be
        return _make(annotation)
    if found is None:
        _by_annotation[annotation] = _later(annotation)  # for types that mention themselves
        try:
            found = _by_annotation[annotation] = _make(annotation)
        except BaseException:
            del _by_annotation[annotation]
            raise
    return found


def forget(module: str) -> None:
    """Forget the decoders of a module's functions and types, because it is loaded anew."""
    for cache in (_by_function, _by_annotation):
        for key in [k for k in cache if getattr(k, "__module__", "") == module]:
            del cache[key]


def _later(annotation: Any) -> Decoder:
    return lambda value, read_blob, path: _by_annotation[annotation](value, read_blob, path)


def _make(annotation: Any) -> Decoder:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    found = registry.row_of_class(getattr(annotation, "__origin__", annotation))
    if found:
        from matinee.values import codecs

        return codecs.decoder(found[1], annotation)
    return _built(annotation)


def _built(annotation: Any) -> Decoder:
    """Return the decoder of a type that is built from others, or of the standard library's."""
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
    found = (_container(cls, args) or _record(cls, annotation) or _value(cls)) if isinstance(cls, type) else None
    if found is None:
        raise UnsupportedError(annotation)
    return found


# --- plain values -----------------------------------------------------------------------------------------------------


def _as_is(value: Json, _read_blob: ReadBlob, _path: str) -> Any:
    return value


def _exactly(cls: type, json_type: str) -> Decoder:
    expected = registry.JSON_TYPES[json_type].expected

    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        if type(value) is not cls:
            raise mismatch(path, expected)
        return value

    return decode


def _int(value: Json, _read_blob: ReadBlob, path: str) -> int:
    if type(value) is int or (type(value) is float and value.is_integer()):
        return int(value)
    raise mismatch(path, "a whole number")


def _float(value: Json, _read_blob: ReadBlob, path: str) -> float:
    if type(value) not in (int, float):
        raise mismatch(path, "a number")
    return float(value)


_PLAIN: dict[Any, Decoder] = {
    str: _exactly(str, "string"),
    int: _int,
    float: _float,
    bool: _exactly(bool, "boolean"),
    None: _exactly(type(None), "null"),
    type(None): _exactly(type(None), "null"),
    list: _exactly(list, "array"),
    dict: _exactly(dict, "object"),
}


def _value(cls: type) -> Decoder | None:
    import datetime
    import enum

    from matinee.values.validate import parse_decimal, parse_moment

    if issubclass(cls, enum.Enum):
        return _choice([(member.value, member) for member in cls])
    moments = {datetime.date: "date", datetime.datetime: "date-time", datetime.time: "time"}
    if cls in moments:
        return _from_json(
            moments[cls], lambda value: parse_moment(moments[cls], value) if isinstance(value, str) else None
        )
    name = f"{cls.__module__}.{cls.__qualname__}"
    if name == "decimal.Decimal":
        return _from_json("decimal", lambda value: None if isinstance(value, bool) else parse_decimal(value))
    return _from_json("uuid", typing.cast("Any", cls)) if name == "uuid.UUID" else None


def _from_json(text_format: str, read: Callable[[Json], Any]) -> Decoder:
    """Return the decoder of a row with a format; `read` returns None for what it is not."""
    expected = registry.FORMATS[text_format].expected

    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        try:
            found = read(value)
        except (ValueError, AttributeError, TypeError):
            found = None
        if found is None:
            raise mismatch(path, expected)
        return found

    return decode


def _literal(choices: tuple[Any, ...]) -> Decoder:
    return _choice([(choice, choice) for choice in choices])


def _choice(choices: list[tuple[Any, Any]]) -> Decoder:
    """Return the decoder of a choice: of the one whose JSON this is, and 1 is not true."""
    from matinee.values.encode import to_json

    pairs = [(to_json(value), choice) for value, choice in choices]

    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        for known, choice in pairs:
            if known == value and isinstance(known, bool) == isinstance(value, bool):
                return choice
        raise mismatch(path, ", ".join(str(known) for known, _ in pairs))

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


# --- containers -------------------------------------------------------------------------------------------------------


def _container(cls: type, args: tuple[Any, ...]) -> Decoder | None:
    import collections.abc as abc

    if issubclass(cls, tuple) and not hasattr(cls, "_fields"):
        return _tuple(args)
    if cls in (list, set, frozenset):
        return _items(cls, args[0] if args else Any)
    if cls in (abc.Sequence, abc.Collection):
        return _items(list, args[0] if args else Any)
    if cls in (abc.Set, abc.MutableSet):
        return _items(set, args[0] if args else Any)
    if cls in (dict, abc.Mapping, abc.MutableMapping):
        return _mapping(*(args or (str, Any)))
    return None


def _inner(annotation: Any) -> Decoder:
    """Return the decoder of what a container holds: `dict[str, Any]` says what `dict` says, any JSON."""
    return _as_is if annotation is Any else decoder(annotation)


def _items(cls: Callable[[list[Any]], Any], item: Any) -> Decoder:
    decode_item = _inner(item)
    same = _OF_ONE_TYPE.get(item) if isinstance(item, type) else None

    def decode(value: Json, read_blob: ReadBlob, path: str) -> Any:
        if not isinstance(value, list):
            raise mismatch(path, "a list")
        items = same(value) if same else None
        items = items or [decode_item(v, read_blob, f"{path}.{i}") for i, v in enumerate(value)]
        try:
            return cls(items)
        except TypeError:  # a set of lists
            raise InputError(path, "holds what a set cannot hold") from None

    return decode


def _floats(items: list[Json]) -> list[Json] | None:
    found = types_of(items)
    return items[:] if found == {float} else list(map(float, items)) if found <= {int, float} else None


# The items of a list as they decode, where one look at all of them is enough; None where each needs its own.
_OF_ONE_TYPE: dict[Any, Callable[[list[Json]], list[Json] | None]] = {
    float: _floats,
    **{cls: lambda items, cls=cls: items[:] if types_of(items) == {cls} else None for cls in (int, str, bool)},  # type: ignore[misc]
}


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
    decode_key, decode_item = _inner(key), _inner(item)
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


# --- records ----------------------------------------------------------------------------------------------------------


def _record(cls: type, annotation: Any) -> Decoder | None:
    if hasattr(cls, "model_validate"):
        return _pydantic_model(cls)
    if hasattr(cls, "__dataclass_fields__"):
        return _dataclass(cls, annotation)
    if issubclass(cls, tuple):
        return _named_tuple(cls)
    return _typed_dict(cls) if typing.is_typeddict(cls) else None


def _dataclass(cls: Any, annotation: Any) -> Decoder:
    """Return the decoder of a dataclass; parameters of a generic one are filled in."""
    from dataclasses import fields

    hints = get_type_hints(cls)
    filled = dict(zip(getattr(cls, "__parameters__", ()), getattr(annotation, "__args__", ()), strict=False))
    decoders = {f.name: decoder(filled.get(hints[f.name], hints[f.name])) for f in fields(cls) if f.init}
    return _by_name(decoders, lambda values: cls(**values))


def _named_tuple(cls: Any) -> Decoder:
    """Return the decoder of a NamedTuple, on the wire an object."""
    hints = get_type_hints(cls)
    return _by_name({name: decoder(hints.get(name, Any)) for name in cls._fields}, lambda values: cls(**values))


def _typed_dict(cls: Any) -> Decoder:
    return _by_name({name: decoder(hint) for name, hint in get_type_hints(cls).items()}, dict)


def _by_name(fields: dict[str, Decoder], build: Any) -> Decoder:
    def decode(value: Json, read_blob: ReadBlob, path: str) -> Any:
        if not isinstance(value, dict) or not value.keys() <= fields.keys():
            raise mismatch(path, f"an object of {', '.join(fields)}")
        decoded = {name: fields[name](item, read_blob, f"{path}.{name}") for name, item in value.items()}
        try:
            return build(decoded)
        except (TypeError, ValueError) as error:  # a missing field, or what __post_init__ refuses
            raise InputError(path, str(error)) from error

    return decode


def _pydantic_model(cls: Any) -> Decoder:
    """Return the decoder of a pydantic model: fields are decoded first, then the model validates them."""
    from pydantic import ValidationError

    is_root = getattr(cls, "__pydantic_root_model__", False)
    of_root = decoder(cls.model_fields["root"].annotation) if is_root else None
    fields = {} if is_root else _aliased(cls)

    def decode(value: Json, read_blob: ReadBlob, path: str) -> Any:
        if of_root is not None:
            decoded = of_root(value, read_blob, path)
        elif isinstance(value, dict):
            decoded = {k: fields[k](v, read_blob, f"{path}.{k}") if k in fields else v for k, v in value.items()}
        else:
            raise mismatch(path, "an object")
        try:
            return cls.model_validate(decoded)
        except ValidationError as error:
            raise InputError(problems=tuple(_problem(path, e) for e in error.errors())) from None

    return decode


def _aliased(cls: Any) -> dict[str, Decoder]:
    fields = {}
    for name, field in cls.model_fields.items():
        alias = field.validation_alias
        fields[alias if isinstance(alias, str) else name] = decoder(field.annotation)
    return fields


def _problem(path: str, error: Any) -> Problem:
    return Problem(".".join([path, *map(str, error["loc"])]), error["msg"].removeprefix("Value error, "))
