"""JSON values → the function's own Python types, by its annotations. Values have passed `validate.check` before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

from matinee.errors import InputError
from matinee.schema import special

Json = Any
ReadBlob = Callable[[dict[str, Any]], bytes]
Decoder = Callable[[Json, ReadBlob, str], Any]  # (value, read_blob, path for messages)

_by_function: dict[Any, dict[str, Decoder]] = {}
_by_annotation: dict[Any, Decoder] = {}


def arguments(function: Callable[..., Any], inputs: dict[str, Json], read_blob: ReadBlob) -> dict[str, Any]:
    """Return the keyword arguments for the function.

    `read_blob` returns the bytes of a blob that has a `key`. Raises InputError for a value that does not decode.
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
    """Return what turns JSON into this annotation's type."""
    try:
        found = _by_annotation.get(annotation)
    except TypeError:  # unhashable, as a Literal of lists would be
        return _make(annotation)
    if found is None:
        _by_annotation[annotation] = _later(annotation)  # for types that mention themselves
        found = _by_annotation[annotation] = _make(annotation)
    return found


def _later(annotation: Any) -> Decoder:
    return lambda value, read_blob, path: _by_annotation[annotation](value, read_blob, path)


def _as_is(value: Json, _read_blob: ReadBlob, _path: str) -> Any:
    return value


def _make(annotation: Any) -> Decoder:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    marked = special.kind_of(getattr(annotation, "__origin__", annotation))
    if marked:
        from matinee.schema import decode_special

        return decode_special.decoder(*marked, annotation)
    from matinee.schema import decode_types

    return decode_types.make(annotation)


def mismatch(path: str, expected: str) -> InputError:
    """Return the error of a value of the wrong kind: what lets a Union try its next member."""
    return InputError(path, f"must be {expected}")


def _exactly(cls: type, expected: str) -> Decoder:
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
    str: _exactly(str, "text"),
    int: _int,
    float: _float,
    bool: _exactly(bool, "true or false"),
    None: _exactly(type(None), "empty"),
    type(None): _exactly(type(None), "empty"),
    list: _exactly(list, "a list"),
    dict: _exactly(dict, "an object"),
    Any: _as_is,
    object: _as_is,
}


def forget(module: str) -> None:
    """Forget the decoders of a module's functions and types, because it is loaded anew."""
    for cache in (_by_function, _by_annotation):
        for key in [k for k in cache if getattr(k, "__module__", "") == module]:
            del cache[key]
