"""pydantic's schema generator, taught Matinee's marked values. Imports pydantic: for inspection only."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from matinee.schema import special


class Unsupported(Exception):
    """An annotation that has no schema; `annotation` is the class at fault, None if it is the whole."""

    def __init__(self, annotation: Any = None) -> None:
        super().__init__(annotation)
        self.annotation = annotation


def config_for(annotation: Any) -> ConfigDict | None:
    """Return the configuration that lets library types through; types with a configuration of their own keep it."""
    from pydantic import TypeAdapter

    config = ConfigDict(arbitrary_types_allowed=True)
    try:
        TypeAdapter(annotation, config=config)
    except PydanticUserError as error:
        if error.code == "type-adapter-config-unused":
            return None
        raise
    return config


class MatineeSchema(GenerateJsonSchema):
    """Writes marked schemas for library types and refuses what has no JSON form."""

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:
        marked = special.kind_of(schema["cls"])
        if marked is None or (marked[1] == "figure" and self.mode == "validation"):
            raise Unsupported(schema["cls"])
        return special.schema_of(marked[1])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        marked = special.kind_of(schema["cls"])
        if marked:
            return special.schema_of(marked[1])
        return {**super().dataclass_schema(schema), "additionalProperties": False}

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        return {**super().typed_dict_schema(schema), "additionalProperties": False}

    def call_schema(self, schema: core_schema.CallSchema) -> JsonSchemaValue:
        """A NamedTuple: an object with its fields' names, which a form can label."""
        fields = schema["arguments_schema"]["arguments_schema"]  # type: ignore[typeddict-item]
        properties, required = {}, []
        for field in fields:
            inner = field["schema"]
            properties[field["name"]] = self.generate_inner(inner)
            if inner["type"] != "default":
                required.append(field["name"])
        title = getattr(schema["function"], "__name__", "")
        return {
            "type": "object",
            "title": title,
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def bytes_schema(self, schema: core_schema.BytesSchema) -> JsonSchemaValue:
        raise Unsupported(bytes)

    def complex_schema(self, schema: core_schema.ComplexSchema) -> JsonSchemaValue:
        raise Unsupported(complex)

    def generator_schema(self, schema: core_schema.GeneratorSchema) -> JsonSchemaValue:
        raise Unsupported

    def callable_schema(self, schema: core_schema.CallableSchema) -> JsonSchemaValue:
        raise Unsupported

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        raise Unsupported
