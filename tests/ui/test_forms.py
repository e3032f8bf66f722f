"""Every kind of parameter becomes a field a person can fill in."""

from __future__ import annotations

import pytest

from matinee.errors import Problem
from matinee.ui.forms import MISSING, Choice, Form, form_of, messages_by_field

NULL = {"type": "null"}


def field(schema, *, required=False, defs=None):
    form = form_of({"properties": {"value": schema}, "required": ["value"] if required else [], "$defs": defs or {}})
    return form.fields[0]


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "maxLength": 2000}, "long_text"),
        ({"type": "string", "default": "two\nlines"}, "long_text"),
        ({"type": "string", "x-matinee": "markdown"}, "long_text"),
        ({"type": "integer"}, "integer"),
        ({"type": "number"}, "number"),
        ({"type": "boolean", "default": False}, "switch"),
        ({"type": "boolean"}, "choice"),
        ({"anyOf": [{"type": "boolean"}, NULL]}, "choice"),
        ({"enum": ["a", "b"]}, "choice"),
        ({"const": "svm"}, "constant"),
        ({"type": "string", "format": "date"}, "date"),
        ({"type": "string", "format": "date-time"}, "datetime"),
        ({"type": "string", "format": "time"}, "time"),
        ({"type": "object", "x-matinee": "file"}, "file"),
        ({"type": "object", "x-matinee": "image"}, "image"),
        ({"type": "object", "x-matinee": "audio"}, "audio"),
        ({"type": "object", "x-matinee": "table"}, "table"),
        ({"type": "array", "x-matinee": "array"}, "array"),
        ({"x-matinee": "figure"}, "constant"),
        ({"type": "object", "properties": {"layers": {"type": "integer"}}}, "record"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "pairs"),
        ({"type": "object", "additionalProperties": {"type": "array"}}, "json"),
        ({"type": "object"}, "json"),
        ({"type": "array", "items": {"type": "string"}}, "lines"),
        ({"type": "array", "items": {"type": "number"}}, "lines"),
        ({"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True}, "choices"),
        ({"type": "array", "items": {"type": "string", "format": "date"}}, "list"),
        ({"type": "array", "items": {"x-matinee": "image"}}, "list"),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]}, "tuple"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "union"),
        ({}, "json"),
    ],
)
def test_each_schema_has_its_kind_of_field(schema, kind):
    assert field(schema).kind == kind


def test_an_optional_value_is_a_field_of_its_own_kind_that_may_be_left_empty():
    date = field({"anyOf": [{"type": "string", "format": "date"}, NULL], "default": None})
    assert (date.kind, date.nullable, date.required, date.default) == ("date", True, False, None)


def test_references_are_followed_and_what_stands_beside_them_wins():
    defs = {"Color": {"enum": ["red", "dark_blue"], "title": "Color", "type": "string"}}
    color = field({"$ref": "#/$defs/Color", "default": "red", "description": "Of the roof"}, defs=defs)
    assert color.choices == (Choice("Red", "red"), Choice("Dark blue", "dark_blue"))
    assert (color.default, color.help, color.label) == ("red", "Of the roof", "Value")


def test_a_recursive_model_ends_as_json():
    node = {"type": "object", "properties": {"child": {"$ref": "#/$defs/Node"}}}
    deepest = field({"$ref": "#/$defs/Node"}, defs={"Node": node})
    while deepest.kind == "record":
        deepest = deepest.fields[0]
    assert deepest.kind == "json"


def test_a_reference_to_itself_does_not_hang():
    assert field({"$ref": "#/$defs/Loop"}, defs={"Loop": {"$ref": "#/$defs/Loop"}}).kind == "json"


def test_exclusive_bounds_of_whole_numbers_become_the_next_whole_number():
    count = field({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10})
    assert (count.minimum, count.maximum, count.step) == (1, 9, 1)


def test_a_required_value_without_a_default_is_required():
    assert field({"type": "string"}, required=True).required
    assert not field({"type": "string", "default": ""}, required=True).required
    assert field({"type": "string"}).default is MISSING


def test_alternatives_keep_the_place_of_their_union():
    circle = {"type": "object", "title": "Circle", "properties": {"radius": {"type": "number"}}}
    shape = field({"oneOf": [circle, {"type": "string"}]})
    assert [f.label for f in shape.fields] == ["Circle", "Text"]
    assert [f.path for f in shape.fields] == ["value", "value"]
    assert shape.fields[0].fields[0].path == "value.radius"


def a_form() -> Form:
    model = {"type": "object", "properties": {"layers": {"type": "integer"}}}
    people = {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}}
    return form_of({"properties": {"end": {"type": "string", "format": "date"}, "model": model, "people": people}})


@pytest.mark.parametrize(
    ("path", "message", "place", "said"),
    [
        ("end", "must be after start", "end", "End must be after start."),
        ("model.layers", "is required", "model.layers", "Layers is required."),
        ("people.0.name", "is required", "people", "People, item 1, Name is required."),
        ("unknown", "is not a parameter", "", "Unknown is not a parameter."),
        ("", "Something is wrong.", "", "Something is wrong."),
    ],
)
def test_a_message_stands_at_the_nearest_field(path, message, place, said):
    assert messages_by_field(a_form(), [Problem(path, message)]) == {place: [said]}


def test_the_same_message_is_said_once():
    twice = [Problem("end", "is required"), Problem("end", "is required")]
    assert messages_by_field(a_form(), twice) == {"end": ["End is required."]}
