"""A function's annotations → JSON Schema, by pydantic, at inspection only: the one place where types are parsed.

Imports pydantic, whose schema generator it teaches the registry's marked values.
"""

# ruff: noqa: ARG002 - pydantic calls the generator's methods with every argument

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticSerializationError, core_schema

from matinee.errors import ComponentError, InputError
from matinee.values import blobs, decode, encode, registry, validate
from matinee.values.decode import UnsupportedError
from matinee.values.registry import SUPPORTED
from matinee.values.validate import Schema

# Before Python 3.12 pydantic refuses `typing.TypedDict`, for want of its generic bases: not needed here.
if _internals := sys.modules.get("pydantic._internal._generate_schema"):
    setattr(_internals, "_SUPPORTS_TYPEDDICT", True)  # noqa: B010

_SERVER_PATHS = ("file-path", "directory-path")  # pydantic's: a path that must exist on the server


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
    for name, annotation in annotations.items():
        _check_annotation(function, name, annotation, mode)
    parts, defs = _generate(list(annotations.values()), mode)
    return {"properties": dict(zip(annotations, parts, strict=True)), **({"$defs": defs} if defs else {})}


def _check_annotation(function: Callable[..., Any], name: str, annotation: Any, mode: Any) -> None:
    try:
        decode.decoder(_bare(annotation))
        _generate([annotation], mode)
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
        part["default"] = encode.to_json(parameter.default, blobs.inline_small_blob, name)
    except InputError as error:
        hint = error.hint or SUPPORTED
        raise _error(function, f"has a default that cannot be stored: {error.message}", hint) from None
    found = validate.problems({**part, "$defs": schema.get("$defs", {})}, part["default"])
    if found:
        hint = (
            f"Write `{name}: … | None = None`." if parameter.default is None else "Mend the default or the annotation."
        )
        raise _error(function, f"has a default that does not fit: {name} {found[0].message}", hint)


# --- the schema generator ---------------------------------------------------------------------------------------------


def _generate(annotations: list[Any], mode: Any) -> tuple[list[JsonSchemaValue], dict[str, JsonSchemaValue]]:
    """Return (their schemas, the definitions these share).

    They are described as one tuple: a dataclass inside another type takes over the configuration that lets library
    types through, and alone it would not.
    """
    adapter: TypeAdapter[Any] = TypeAdapter(tuple[*annotations], config=ConfigDict(arbitrary_types_allowed=True))  # type: ignore[valid-type]
    schema = _with_uploads(adapter.json_schema(schema_generator=_Generator, mode=mode))
    return schema.get("prefixItems", []), schema.get("$defs", {})


def _with_uploads(schema: Any) -> Any:
    """Return the schema with a path as the file that it is here; pydantic writes a text with the format `path`."""
    if isinstance(schema, list):
        return [_with_uploads(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "string" and schema.get("format") in ("path", *_SERVER_PATHS):
        if schema["format"] in _SERVER_PATHS:
            raise UnsupportedError
        rest = {key: value for key, value in schema.items() if key not in ("type", "format", "default")}
        return {**rest, **registry.MARKED["file"].schema}
    return {
        key: value if key in ("default", "enum", "const") else _with_uploads(value) for key, value in schema.items()
    }


_DECIMAL_KEYWORDS = {
    "ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf", "max_digits": "x-max-digits", "decimal_places": "x-decimal-places",
}  # fmt: skip


def _plain_number(bound: Any) -> float:
    return int(bound) if bound == int(bound) else float(bound)


class _Generator(GenerateJsonSchema):
    """Writes marked schemas for library types and refuses what has no JSON form."""

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:
        found = registry.row_of_class(schema["cls"])
        if found is None or (found[0].is_result_only and self.mode == "validation"):
            raise UnsupportedError(schema["cls"])
        return dict(found[0].schema)

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """Describe a Decimal as one number, whose bounds hold whether it travels as a text or as a number."""
        found, rules = dict(registry.FORMATS["decimal"].schema), typing.cast("dict[str, Any]", schema)
        words = ((key, word) for key, word in _DECIMAL_KEYWORDS.items() if rules.get(key) is not None)
        found |= {word: _plain_number(rules[key]) for key, word in words}
        return found

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Describe a dict whose keys have a pattern by `propertyNames`, as pydantic does for other rules."""
        found = super().dict_schema(schema)
        for pattern, values in found.pop("patternProperties", {}).items():
            found |= {"additionalProperties": values, "propertyNames": {"type": "string", "pattern": pattern}}
        return found

    def encode_default(self, dft: Any) -> Any:
        """Return a default as the wire has it; what has no JSON form is left out, as pydantic does."""
        try:
            return encode.to_json(dft, blobs.inline_small_blob)
        except InputError as error:
            raise PydanticSerializationError(str(error)) from error

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return {**super().dataclass_schema(schema), "additionalProperties": False}

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return {**super().typed_dict_schema(schema), "additionalProperties": False}

    def named_tuple_schema(self, schema: Any) -> JsonSchemaValue:
        """Describe a NamedTuple as an object with its fields' names, which a form can label."""
        return self._named(schema["cls"].__name__, schema["fields"])

    def call_schema(self, schema: core_schema.CallSchema) -> JsonSchemaValue:
        """Describe a NamedTuple as pydantic before 2.14 has it: a call with arguments."""
        title = getattr(schema["function"], "__name__", "")
        return self._named(title, schema["arguments_schema"]["arguments_schema"])

    def _named(self, title: str, fields: Any) -> JsonSchemaValue:
        return {
            "type": "object",
            "title": title,
            "properties": {field["name"]: self.generate_inner(field["schema"]) for field in fields},
            "required": [field["name"] for field in fields if field["schema"]["type"] != "default"],
            "additionalProperties": False,
        }

    def bytes_schema(self, schema: core_schema.BytesSchema) -> JsonSchemaValue:
        raise UnsupportedError(bytes)

    def complex_schema(self, schema: core_schema.ComplexSchema) -> JsonSchemaValue:
        raise UnsupportedError(complex)

    def generator_schema(self, schema: core_schema.GeneratorSchema) -> JsonSchemaValue:
        raise UnsupportedError

    def callable_schema(self, schema: core_schema.CallableSchema) -> JsonSchemaValue:
        raise UnsupportedError

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        raise UnsupportedError
