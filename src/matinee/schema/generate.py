"""pydantic's schema generator, taught Matinee's marked values. Imports pydantic: for inspection only."""

# ruff: noqa: ARG002 - pydantic calls the methods with every argument

from __future__ import annotations

import sys
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from matinee.schema import special

# Before Python 3.12 pydantic refuses `typing.TypedDict`, for want of its generic bases: not needed here.
if _internals := sys.modules.get("pydantic._internal._generate_schema"):
    setattr(_internals, "_SUPPORTS_TYPEDDICT", True)  # noqa: B010


class UnsupportedError(Exception):
    """An annotation that has no schema; `annotation` is the class at fault, None if it is the whole."""

    def __init__(self, annotation: Any = None) -> None:
        super().__init__(annotation)
        self.annotation = annotation


def generate(annotations: list[Any], mode: Any) -> tuple[list[JsonSchemaValue], dict[str, JsonSchemaValue]]:
    """Return (their schemas, the definitions these share).

    They are described as one tuple: a dataclass inside another type takes over the configuration that lets library
    types through, and alone it would not.
    """
    adapter: TypeAdapter[Any] = TypeAdapter(tuple[*annotations], config=ConfigDict(arbitrary_types_allowed=True))  # type: ignore[valid-type]
    schema = adapter.json_schema(schema_generator=MatineeSchema, mode=mode)
    return schema.get("prefixItems", []), schema.get("$defs", {})


class MatineeSchema(GenerateJsonSchema):
    """Writes marked schemas for library types and refuses what has no JSON form."""

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:
        marked = special.kind_of(schema["cls"])
        if marked is None or (marked[1] == "figure" and self.mode == "validation"):
            raise UnsupportedError(schema["cls"])
        return special.schema_of(marked[1])

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
