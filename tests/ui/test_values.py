"""What a widget holds and the JSON value that travels are the same value."""

from __future__ import annotations

from datetime import date, datetime, time

import pytest

from matinee.errors import InputError
from matinee.ui.form_values import alternative_of, initial_value, to_widget, value_from
from matinee.ui.forms import MISSING, form_of


def field(schema, *, required=True):
    return form_of({"properties": {"value": schema}, "required": ["value"] if required else []}).fields[0]


DATE = {"type": "string", "format": "date"}
MOMENT = {"type": "string", "format": "date-time"}
WORDS = {"type": "array", "items": {"type": "string"}}
COUNTS = {"type": "array", "items": {"type": "integer"}}
NULL = {"type": "null"}
ARRAY = {"type": "array", "x-matinee": "array"}


@pytest.mark.parametrize(
    ("schema", "value", "held"),
    [
        ({"type": "string"}, "swimming", "swimming"),
        ({"type": "integer"}, 3, 3),
        ({"type": "number"}, 0.5, 0.5),
        (DATE, "2026-06-01", date(2026, 6, 1)),
        (MOMENT, "2026-06-01T08:30:00", datetime(2026, 6, 1, 8, 30)),
        ({"type": "string", "format": "time"}, "08:30:00", time(8, 30)),
        (WORDS, ["one", "two"], "one\ntwo"),
        (COUNTS, [1, 2], "1\n2"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, {"a": 1, "b: c": 0.5}, "a: 1\nb: c: 0.5"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"a": "b: c"}, "a: b: c"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"a:b": "c"}, '{\n  "a:b": "c"\n}'),
        (ARRAY, [1, 2.5], "1, 2.5"),
        (ARRAY, [[1, 2], [3, 4]], "1, 2\n3, 4"),
        (ARRAY, [[1, 2]], "[[1, 2]]"),
        (ARRAY, [[[1], [2]]], "[[[1], [2]]]"),
    ],
)
def test_a_value_survives_its_widget(schema, value, held):
    assert to_widget(field(schema), value) == held
    assert value_from(field(schema), held) == value


@pytest.mark.parametrize(
    ("schema", "required", "value"),
    [
        ({"type": "string"}, True, MISSING),
        ({"type": "string", "default": "a"}, True, ""),
        ({"anyOf": [{"type": "string"}, NULL]}, False, None),
        ({"type": "integer"}, True, MISSING),
        ({"anyOf": [DATE, NULL]}, False, None),
        (WORDS, True, []),
        ({}, True, MISSING),
    ],
)
def test_what_was_left_empty_is_null_where_that_is_allowed_and_else_missing(schema, required, value):
    assert value_from(field(schema, required=required), "") == value
    assert value_from(field(schema, required=required), None) == value


def test_a_draft_or_example_that_does_not_fit_starts_its_widget_empty():
    assert to_widget(field(DATE), "yesterday") is None
    assert to_widget(field({"type": "integer", "maximum": 5}), 99) is None
    assert to_widget(field({"type": "string"}), None) == ""


def test_a_value_that_is_given_wins_over_the_default_even_when_it_is_null():
    optional = field({"anyOf": [{"type": "integer"}, NULL], "default": 3}, required=False)
    assert initial_value(optional, {"value": None}) is None
    assert initial_value(optional, {}) == 3


@pytest.mark.parametrize(
    ("schema", "text", "message"),
    [
        (COUNTS, "1\nmany", "value: line 2, “many”, is not a whole number"),
        ({}, "{", "value: is not valid JSON"),
    ],
)
def test_text_that_cannot_be_read_says_where(schema, text, message):
    with pytest.raises(InputError, match=message):
        value_from(field(schema), text)


def test_the_alternative_a_value_most_likely_is_comes_first():
    circle = {"type": "object", "properties": {"kind": {"const": "circle"}, "radius": {"type": "number"}}}
    square = {"type": "object", "properties": {"kind": {"const": "square"}, "radius": {"type": "number"}}}
    shape = field({"anyOf": [circle, square, {"type": "integer"}, {"type": "boolean"}, NULL]})
    assert alternative_of(shape, {"kind": "square", "radius": 1}) == 1
    assert alternative_of(shape, 3) == 2
    assert alternative_of(shape, True) == 3
    assert alternative_of(shape, None) == -1


@pytest.mark.parametrize(
    ("text", "array"),
    [
        ("1 2\t3", [1, 2, 3]),
        ("1\n2\n3", [1, 2, 3]),
        ("1;2\n\n3;4\n", [[1, 2], [3, 4]]),
        ("-1.5e3, .5", [-1500.0, 0.5]),
        (" [[1, 2]] ", [[1, 2]]),
    ],
)
def test_numbers_are_read_as_a_spreadsheet_copies_them(text, array):
    assert value_from(field(ARRAY), text) == array


@pytest.mark.parametrize(
    ("schema", "text", "message"),
    [
        (ARRAY, "1, two", "line 1, “two”, is not a number"),
        (ARRAY, "1, nan", "line 1, “nan”, is not a number"),
        (ARRAY, "1 2\n3", "line 2 has 1 numbers, the first has 2"),
        (ARRAY, "[1,", "is not valid JSON"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "a = 1", "is not a name, a colon and a value"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "a: b", "“b”, is not a number"),
    ],
)
def test_text_that_is_no_array_and_no_pair_says_where(schema, text, message):
    with pytest.raises(InputError) as caught:
        value_from(field(schema), text)
    assert caught.value.problems[0].path == "value"
    assert message in caught.value.problems[0].message
