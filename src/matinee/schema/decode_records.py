"""Decoders of records: dataclasses, named tuples, typed dictionaries and pydantic models."""

from __future__ import annotations

from typing import Any, get_type_hints

from matinee.errors import InputError, Problem
from matinee.schema.decode import Decoder, Json, ReadBlob, decoder, mismatch


def dataclass(cls: Any, annotation: Any) -> Decoder:
    """Return the decoder of a dataclass; parameters of a generic one are filled in."""
    hints = get_type_hints(cls)
    filled = dict(zip(getattr(cls, "__parameters__", ()), getattr(annotation, "__args__", ()), strict=False))
    fields = {f.name: decoder(filled.get(hints[f.name], hints[f.name])) for f in _init_fields(cls)}
    return _by_name(fields, lambda values: cls(**values))


def _init_fields(cls: Any) -> list[Any]:
    from dataclasses import fields

    return [field for field in fields(cls) if field.init]


def named_tuple(cls: Any) -> Decoder:
    """Return the decoder of a NamedTuple, on the wire an object."""
    hints = get_type_hints(cls)
    return _by_name({name: decoder(hints.get(name, Any)) for name in cls._fields}, lambda values: cls(**values))


def typed_dict(cls: Any) -> Decoder:
    """Return the decoder of a TypedDict."""
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


def pydantic_model(cls: Any) -> Decoder:
    """Return the decoder of a pydantic model: fields are decoded first, then the model validates them."""
    from pydantic import ValidationError

    if getattr(cls, "__pydantic_root_model__", False):
        of_root = decoder(cls.model_fields["root"].annotation)
        fields: dict[str, Decoder] = {}
    else:
        fields = _aliased(cls)
        of_root = None

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
