"""A function's annotations → JSON Schema, by pydantic, at inspection only: the one place where types are parsed."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from matinee.errors import ComponentError, InputError
from matinee.schema import decode, encode, validate
from matinee.schema.refs import Schema

SUPPORTED = (
    "Supported are str, int, float, bool, Literal, Enum, date, datetime, time, Decimal, UUID, list, dict, tuple, set, "
    "Optional and unions, dataclasses, TypedDict, NamedTuple, pydantic models, matinee's File, Image, Audio and "
    "Markdown, pandas and polars DataFrames, numpy arrays, and as a result matplotlib, plotly and altair figures."
)


def describe(function: Callable[..., Any]) -> tuple[Schema, Schema]:
    """Return (parameters, result) as JSON Schema 2020-12 with `x-matinee` marks.

    `parameters` is an object schema without further properties. Raises ComponentError naming function, parameter,
    annotation and what is supported.
    """
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise _error(
            function, "is async or a generator, and a predictor is a plain function", "Write `def` and `return`."
        )
    hints = _hints(function)
    parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        _check_parameter(function, parameter, hints)
    if "return" not in hints:
        raise _error(function, "has no return annotation", "Say what it returns: `-> str`, or `-> None`.")
    schema = _schemas(function, {p.name: hints[p.name] for p in parameters}, "validation")
    for parameter in parameters:
        _add_default(function, schema, parameter)
    required = [p.name for p in parameters if p.default is p.empty]
    schema = {"type": "object", **schema, "required": required, "additionalProperties": False}
    result = _schemas(function, {"return": hints["return"]}, "serialization")
    return schema, {**result["properties"]["return"], **({"$defs": result["$defs"]} if "$defs" in result else {})}


def _error(function: Callable[..., Any], what: str, hint: str = SUPPORTED) -> ComponentError:
    code = function.__code__
    return ComponentError(f"{function.__name__}() {what}.", hint=hint, file=code.co_filename, line=code.co_firstlineno)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise _error(
            function,
            f"has an annotation that Python cannot read: {error}",
            "Import or define the type at module level.",
        ) from error


def _check_parameter(function: Callable[..., Any], parameter: inspect.Parameter, hints: dict[str, Any]) -> None:
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
        raise _error(function, f"takes {stars}{name}, and a form needs every argument by name", "Name the arguments.")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise _error(function, f"takes {name} by position only, and arguments are passed by name", "Remove the `/`.")
    if name not in hints:
        raise _error(
            function, f"has no annotation for its parameter {name}", f"Write `{name}: str`, for example. {SUPPORTED}"
        )
    if type(parameter.default).__name__ == "FieldInfo":
        raise _error(
            function,
            f"has Field(…) as the default of {name}, which a direct call would receive",
            f"Write `{name}: Annotated[int, Field(ge=1)] = 1`.",
        )


def _schemas(function: Callable[..., Any], annotations: dict[str, Any], mode: Any) -> Schema:
    """Return {"properties": …, "$defs": …} of the annotations."""
    from matinee.schema.generate import generate

    for name, annotation in annotations.items():
        _check_annotation(function, name, annotation, mode)
    parts, defs = generate(list(annotations.values()), mode)
    return {"properties": dict(zip(annotations, parts, strict=True)), **({"$defs": defs} if defs else {})}


def _check_annotation(function: Callable[..., Any], name: str, annotation: Any, mode: Any) -> None:
    from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

    from matinee.schema.generate import UnsupportedError, generate

    try:
        generate([annotation], mode)
        decode.decoder(_bare(annotation))
    except UnsupportedError as error:
        raise _unsupported(function, name, error.annotation or annotation) from None
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema):
        raise _unsupported(function, name, annotation) from None
    except Exception as error:  # whatever a library's own schema hook raises
        raise _unsupported(function, name, annotation, str(error).partition("\n")[0]) from error


def _bare(annotation: Any) -> Any:
    """Return the annotation without `Annotated`, as `typing.get_type_hints` gives it to the decoder."""
    holder = type("holder", (), {"__annotations__": {"it": annotation}})
    return typing.get_type_hints(holder)["it"]


def _unsupported(function: Callable[..., Any], name: str, annotation: Any, why: str = "") -> ComponentError:
    place = "the result" if name == "return" else f"its parameter {name}"
    shown = inspect.formatannotation(annotation)
    reason = f" ({why.rstrip('.')})" if why else ""
    return _error(function, f"has an annotation that is not supported: {shown} for {place}{reason}")


def _add_default(function: Callable[..., Any], schema: Schema, parameter: inspect.Parameter) -> None:
    if parameter.default is parameter.empty:
        return
    name, part = parameter.name, schema["properties"][parameter.name]
    try:
        part["default"] = encode.to_json(parameter.default, path=name)
    except InputError as error:
        raise _error(function, f"has a default that has no JSON form: {error.message}") from None
    found = validate.problems({**part, "$defs": schema.get("$defs", {})}, part["default"])
    if found:
        hint = (
            f"Write `{name}: … | None = None`." if parameter.default is None else "Mend the default or the annotation."
        )
        raise _error(function, f"has a default that does not fit: {name} {found[0].message}", hint)
