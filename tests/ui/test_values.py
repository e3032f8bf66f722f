"""What a widget holds and the JSON value that travels are the same value."""

from __future__ import annotations

import pytest

from matinee.errors import InputError
from matinee.ui.form_values import alternative_of, initial_value, read_number, text_of, value_from
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
        ({"type": "integer"}, 3, "3"),
        ({"type": "number"}, 0.5, "0.5"),
        (DATE, "2026-06-01", "2026-06-01"),
        (MOMENT, "2026-06-01T08:30:00", "2026-06-01 08:30:00"),
        ({"type": "string", "format": "time"}, "08:30:00", "08:30:00"),
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
    assert text_of(field(schema), value) == held
    assert value_from(field(schema), held) == value


@pytest.mark.parametrize(
    ("schema", "required", "value"),
    [
        ({"type": "string"}, True, MISSING),
        ({"type": "string", "default": "a"}, True, ""),
        ({"anyOf": [{"type": "string"}, NULL], "default": "a"}, False, None),
        ({"type": "integer"}, True, MISSING),
        ({"anyOf": [DATE, NULL], "default": "2026-01-31"}, False, None),
        (WORDS, True, []),
        ({**WORDS, "default": ["a"]}, False, []),
        ({}, True, MISSING),
    ],
)
def test_what_was_emptied_is_null_where_that_is_allowed_and_else_missing(schema, required, value):
    of = field(schema, required=required)
    assert value_from(of, "", of.default) == value
    assert value_from(of, None, of.default) == value


@pytest.mark.parametrize(
    "schema", [{"type": "integer"}, {"type": "number"}, DATE, {"type": "array", "x-matinee": "array"}]
)
def test_a_default_never_takes_the_place_of_a_value_that_was_emptied(schema):
    default = {"integer": 60, "number": 1.5, "string": "2026-01-31"}.get(schema["type"], [1])
    of = field({**schema, "default": default}, required=False)
    with pytest.raises(InputError, match="is empty"):
        value_from(of, "", default)


@pytest.mark.parametrize(
    ("schema", "default", "value"),
    [
        ({"anyOf": [{"type": "string"}, NULL]}, None, None),
        ({"anyOf": [{"type": "string"}, NULL]}, "", ""),
        ({"type": "string"}, "  padded ", "  padded "),
        ({"type": "integer"}, 2**63 - 1, 2**63 - 1),
        ({"type": "number"}, 0.1 + 0.2, 0.1 + 0.2),
        (MOMENT, "2026-01-01T12:00:00.000001+00:00", "2026-01-01T12:00:00.000001+00:00"),
        (WORDS, ["", " a", "b\nc"], ["", " a", "b\nc"]),
        ({"type": "string", "format": "decimal"}, "1E+3", "1E+3"),
    ],
)
def test_what_nobody_touched_is_what_it_was(schema, default, value):
    of = field({**schema, "default": default}, required=False)
    assert value_from(of, text_of(of, default), default) == value


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "700", 700),
        ("integer", "+12345678901234567890", 12345678901234567890),
        ("integer", "1e3", 1000),
        ("number", "12,5", 12.5),
        ("number", "12.5", 12.5),
        ("number", "1.234,5", 1234.5),
        ("number", "1,234.5", 1234.5),
        ("number", "1 234 567", 1234567.0),
        ("number", "\u22121e-7", -1e-7),
        ("decimal", "12,50", "12.50"),
        ("decimal", "-0.10", "-0.10"),
    ],
)
def test_a_number_is_read_as_people_write_it(kind, text, value):
    found = read_number(kind, text, "value")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("integer", "2.5", "must be a whole number"),
        ("integer", "many", "must be a whole number"),
        ("integer", "1e999", "must be a whole number"),
        ("number", "1,234", "can be read as 1234 or as 1.234"),
        ("integer", "1,234", "can be read as 1234 or as 1.234"),
        ("number", "nan", "must be a number"),
        ("number", "12 %", "must be a number"),
        ("number", "1e999", "has more digits"),
        ("number", "9007199254740993", "has more digits"),
        ("decimal", "1_000", "must be a number"),
    ],
)
def test_what_is_no_number_or_two_is_refused_in_words(kind, text, message):
    with pytest.raises(InputError, match=message):
        read_number(kind, text, "value")


CLOCK = {"type": "string", "format": "time"}


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        (DATE, "01.05.1998", "1998-05-01"),
        (DATE, "1998-5-1", "1998-05-01"),
        (DATE, "31/01/1998", "1998-01-31"),
        (MOMENT, "31.01.1998 09:30", "1998-01-31T09:30:00"),
        (MOMENT, "1998-01-31 09:30:15.000001+02:00", "1998-01-31T09:30:15.000001+02:00"),
        (CLOCK, "9:30", "09:30"),
        (CLOCK, "9:30 pm", "21:30:00"),
        (CLOCK, "09:30:15.000001+02:00", "09:30:15.000001+02:00"),
    ],
)
def test_a_date_or_time_is_read_as_people_write_it(schema, text, value):
    assert value_from(field(schema), text) == value


@pytest.mark.parametrize(
    ("schema", "text", "message"),
    [
        (DATE, "01/02/1998", "can be read as 1998-01-02 or as 1998-02-01"),
        (DATE, "31.02.1998", "must be a date such as"),
        (DATE, "1998-01-31 09:30", "must be a date such as"),
        (DATE, "yesterday", "must be a date such as"),
        (MOMENT, "1998-01-31", "must be a date and time such as"),
        (CLOCK, "25:00", "must be a time such as"),
        (CLOCK, "noon", "must be a time such as"),
    ],
)
def test_what_is_no_date_or_two_is_refused_in_words(schema, text, message):
    with pytest.raises(InputError, match=message):
        value_from(field(schema), text)


def test_a_draft_that_does_not_fit_is_shown_and_refused():
    assert text_of(field(DATE), "yesterday") == "yesterday"
    assert text_of(field({"type": "integer", "maximum": 5}), 99) == "99"
    assert text_of(field({"type": "string"}), None) == ""


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
        ("1,5\t2,5\n3,5\t4", [[1.5, 2.5], [3.5, 4]]),
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
        (ARRAY, "1,5 2,5", "part numbers by commas or by blanks"),
        (ARRAY, "1, nan", "line 1, “nan”, is not a number"),
        (ARRAY, "1 2\n3", "line 2 has 1 numbers, the first has 2"),
        (ARRAY, "[1,", "is not valid JSON"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "a = 1", "is not a name, a colon and a value"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "a: 1\na: 2", "names “a” a second time"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "a: b", "“b”, is not a number"),
    ],
)
def test_text_that_is_no_array_and_no_pair_says_where(schema, text, message):
    with pytest.raises(InputError) as caught:
        value_from(field(schema), text)
    assert caught.value.problems[0].path == "value"
    assert message in caught.value.problems[0].message
