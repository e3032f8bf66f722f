"""Messages for people: every way a value can miss its schema."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from matinee.errors import InputError
from matinee.values.validate import check, is_after, problems

FILE = {"$blob": "text/csv", "name": "a.csv", "base64": "YQ=="}
TABLE = {"$table": [{"name": "a", "type": "integer"}], "rows": [[1], [None]]}

DECIMAL = {"type": ["string", "number"], "format": "decimal"}
PRICE = {**DECIMAL, "exclusiveMinimum": 0, "maximum": 99.5, "x-max-digits": 4, "x-decimal-places": 2}

WRONG = [
    *[(PRICE, price, "must be more than 0") for price in ("-5", -5, -5.0, "0", 0, "-0.00")],
    *[(PRICE, price, "must be at most 99.5") for price in ("99.51", 99.51, 100, "1E+2", 12345, "1e+30")],
    *[(PRICE, price, "must have at most 4 digits") for price in ("99.500", "0.00010")],
    *[(DECIMAL, price, "must be a number") for price in ("", "x", "1_0", "NaN", "-inf", float("nan"), True, None, [1])],
    ({**DECIMAL, "x-decimal-places": 1}, "0.10", "must have at most 1 decimal place"),
    ({**PRICE, "maximum": 5000}, "123", "must have at most 2 digits before the decimal point"),
    ({**DECIMAL, "multipleOf": 0.05}, "0.07", "must be a multiple of 0.05"),
    ({**DECIMAL, "multipleOf": 3}, "1e9999", "must be a multiple of 3"),
    ({"type": "integer", "multipleOf": 3}, 10**400, "must be a multiple of 3"),
    ({"type": "array", "uniqueItems": True}, [{"a": [1]}, {"a": [1.0]}], "must not hold the same item twice"),
    ({"type": "string", "format": "time"}, "09:30:00.1234567", "must be a time such as 09:30:00"),
    ({"type": "string"}, 1, "must be text"),
    ({"type": "integer"}, True, "must be a whole number"),
    ({"type": "integer"}, 1.5, "must be a whole number"),
    ({"type": "number"}, "1", "must be a number"),
    ({"type": "number"}, False, "must be a number"),
    ({"type": "number"}, float("nan"), "must be a finite number"),
    ({"type": "number"}, float("-inf"), "must be a finite number"),
    ({"type": "number"}, 10**400, "must be a finite number"),
    ({"type": "boolean"}, 1, "must be true or false"),
    ({"type": "null"}, 0, "must be empty"),
    ({"type": "array"}, {}, "must be a list"),
    ({"type": "object"}, [], "must be an object"),
    ({"enum": ["male", "female", "undisclosed"], "type": "string"}, "x", "is not one of male, female, undisclosed"),
    ({"enum": [1, 2]}, True, "is not one of 1, 2"),
    ({"const": "a"}, "b", "must be a"),
    ({"const": True}, 1, "must be true"),
    ({"type": "integer", "minimum": 1}, 0, "must be at least 1"),
    ({"type": "integer", "maximum": 1234567}, 1234568, "must be at most 1234567"),
    ({"type": "number", "exclusiveMinimum": 0.5}, 0.5, "must be more than 0.5"),
    ({"type": "number", "exclusiveMaximum": 1}, 1, "must be less than 1"),
    ({"type": "number", "multipleOf": 0.1}, 0.25, "must be a multiple of 0.1"),
    ({"type": "string", "minLength": 1}, "", "must not be empty"),
    ({"type": "string", "minLength": 2}, "a", "must have at least 2 characters"),
    ({"type": "string", "maxLength": 1}, "ab", "must have at most 1 characters"),
    ({"type": "string", "pattern": "^a+$"}, "b", "must match the pattern ^a+$"),
    ({"type": "string", "format": "date"}, "2026-02-30", "must be a date such as 2026-01-31"),
    ({"type": "string", "format": "date"}, "20260101", "must be a date such as 2026-01-31"),
    ({"type": "string", "format": "date"}, 3, "must be a date such as 2026-01-31"),
    ({"type": "string", "format": "date-time"}, "soon", "must be a date and time such as 2026-01-31T09:30:00"),
    ({"type": "string", "format": "time"}, "25:00", "must be a time such as 09:30:00"),
    ({"type": "string", "format": "uuid"}, "x", "must be a UUID"),
    ({"type": "array", "minItems": 1}, [], "must have at least 1 item"),
    ({"type": "array", "maxItems": 1}, [1, 2], "must have at most 1 item"),
    ({"type": "array", "uniqueItems": True}, [1, 2, 1], "must not hold the same item twice"),
    ({"type": "array", "prefixItems": [{}], "items": False}, [1, 2], "must have at most 1 items"),
    ({"type": "object", "maxProperties": 1}, {"a": 1, "b": 2}, "must have at most 1 entry"),
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "x", "must be a whole number"),
    ({"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]}, 1, "must be at least 3"),
    ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, [], "must be a whole number or text"),
    ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, 1, "must be at least 3"),
    ({"x-matinee": "file"}, "x", 'must be a file: {"$blob": media type, "name": …, "base64": …}'),
    ({"x-matinee": "image"}, FILE, "must be an image, and this is text/csv"),
    ({"x-matinee": "audio"}, FILE, "must be a sound, and this is text/csv"),
    ({"x-matinee": "markdown"}, 1, "must be text"),
    ({"x-matinee": "array"}, [[1], [1, 2]], "must be numbers in lists of equal length"),
    ({"x-matinee": "table"}, [], 'must be a table: {"$table": [{"name": …, "type": …}], "rows": [[…]]}'),
    ({"x-matinee": "table"}, {**TABLE, "rows": [[1], [1, 2]]}, "has 1 columns, and row 2 does not have 1 values"),
    ({"x-matinee": "figure"}, {"$figure": "plotly"}, "must be a figure with its spec"),
]


@pytest.mark.parametrize(("schema", "value", "message"), WRONG, ids=[m for _, _, m in WRONG])
def test_says_what_is_wrong_with_a_value(schema: dict, value: object, message: str) -> None:
    assert [p.message for p in problems(schema, value)] == [message]


RIGHT = [
    ({"type": "number"}, 1),
    ({"type": "integer"}, 5.0),
    ({"type": "integer"}, 10**400),
    ({"type": "number", "multipleOf": 0.1}, 0.3),
    ({"type": ["string", "null"]}, None),
    ({"type": "string", "format": "date-time"}, "2026-01-31T09:30:00Z"),
    ({"type": "array", "uniqueItems": True}, [1, True, "1"]),
    ({}, object),
    ({"x-matinee": "file"}, FILE),
    ({"x-matinee": "file"}, {"$blob": "text/csv", "name": "a.csv", "key": "files/a", "size_bytes": 1}),
    ({"x-matinee": "image"}, {**FILE, "$blob": "image/png"}),
    ({"x-matinee": "figure"}, {**FILE, "$blob": "image/png"}),
    ({"x-matinee": "figure"}, {"$figure": "vega-lite", "spec": {}}),
    ({"x-matinee": "table"}, TABLE),
    ({"x-matinee": "array"}, [[1, None], [2.5, 3]]),
]


@pytest.mark.parametrize(("schema", "value"), RIGHT)
def test_lets_a_fitting_value_pass(schema: dict, value: object) -> None:
    assert problems(schema, value) == []


PERSON = {
    "type": "object",
    "properties": {
        "gender": {"enum": ["male", "female"]},
        "age": {"type": "integer", "default": 30},
        "tags": {"type": "array", "items": {"type": "string"}, "default": []},
        "home": {"$ref": "#/$defs/Home"},
    },
    "required": ["gender"],
    "additionalProperties": False,
    "$defs": {"Home": {"type": "object", "properties": {"rooms": {"type": "array", "items": {"minimum": 1}}}}},
}


def told(schema: dict, value: object) -> list[str]:
    with pytest.raises(InputError) as refused:
        check(schema, value)
    return [str(p) for p in refused.value.problems]


def test_names_the_place_of_every_problem() -> None:
    value = {"age": "x", "home": {"rooms": [1, 0]}}
    assert told(PERSON, value) == [
        "gender: is required",
        "age: must be a whole number",
        "home.rooms.1: must be at least 1",
    ]


def test_an_unknown_argument_is_told_the_nearest_name() -> None:
    assert told(PERSON, {"gender": "male", "gendr": "male"}) == ["gendr: is not known; did you mean gender?"]
    assert told(PERSON, {"gender": "male", "zz": 1}) == ["zz: is not known; known are gender, age, tags, home"]
    assert told({"properties": {}, "additionalProperties": False}, {"a": 1}) == [
        "a: is not known: nothing is expected here"
    ]


def test_missing_defaults_are_filled_in_with_fresh_copies() -> None:
    filled = check(PERSON, {"gender": "male"})
    assert filled == {"gender": "male", "age": 30, "tags": []}
    filled["tags"].append("x")
    assert check(PERSON, {"gender": "male"})["tags"] == []


SPAN = {
    "type": "object",
    "properties": {
        "start": {"type": "string", "format": "date", "default": "2026-01-02"},
        "end": {"type": "string", "format": "date", "x-after": "start"},
    },
}


@pytest.mark.parametrize("value", [{"start": "2026-01-01", "end": "2026-01-01"}, {"end": "2026-01-01"}])
def test_the_end_must_be_after_the_start(value: dict) -> None:
    assert told(SPAN, value) == ["end: must be after start"]


@pytest.mark.parametrize(
    ("start", "end", "is_wrong"),
    [
        (1, 1, True),
        (1.5, 2, False),
        ("10:00", "09:00", True),
        ("2026-01-01T10:00:00Z", "2026-01-01T11:00:00+02:00", True),
        ("2026-01-02", "2026-01-01T00:00:00", True),
        ("2026-01-01T10:00:00", "2026-01-01T09:00:00Z", False),
        ("10:00", "2026-01-01", False),
        (2, "2026-01-01", False),
        ("2026-01-01", 1, False),
        ([2], {"a": 1}, False),
        ("b", "a", False),
        (None, 1, False),
        (1, None, False),
    ],
)
def test_only_values_of_one_kind_are_compared_and_others_pass(start: object, end: object, is_wrong: bool) -> None:
    span = {"type": "object", "properties": {"start": {}, "end": {"x-after": "start"}}}
    value = {"start": start, "end": end}
    if is_wrong:
        assert told(span, value) == ["end: must be after start"]
    else:
        assert check(span, value) == value


def test_an_unreadable_start_is_the_only_problem() -> None:
    assert told(SPAN, {"start": "soon", "end": "2026-01-01"}) == ["start: must be a date such as 2026-01-31"]
    assert check(SPAN, {"start": "2026-01-01", "end": "2026-01-02"})


def test_a_discriminator_picks_the_branch_that_was_meant() -> None:
    schema = {
        "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}},
        "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
        "$defs": {
            "Cat": {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}},
            "Dog": {"type": "object", "properties": {"kind": {"const": "dog"}}, "required": ["name", "owner"]},
        },
    }
    assert told(schema, {"kind": "cat", "lives": "nine"}) == ["lives: must be a whole number"]
    assert told(schema, {"kind": "dog", "name": 1}) == ["owner: is required"]


@pytest.mark.parametrize("price", ["0.01", 0.01, 1, "99.5", 99.5, "99.50", "5e1"])
def test_a_decimal_within_its_bounds_fits_as_text_and_as_number(price: object) -> None:
    assert problems(PRICE, price) == []


def test_digits_are_counted_only_where_the_schema_limits_them() -> None:
    assert problems({**DECIMAL, "x-decimal-places": 2}, "12345") == []
    assert problems({**DECIMAL, "x-max-digits": 5}, "1.2345") == []


def test_true_is_not_one_of_the_same_items() -> None:
    assert problems({"type": "array", "uniqueItems": True}, [True, 1, [True], [1], {"a": True}, {"a": 1}]) == []


@pytest.mark.parametrize(
    ("later", "earlier", "is_later"),
    [
        ("2026-01-02", "2026-01-01T10:00:00", True),
        ("2026-01-01", "2026-01-01T10:00:00", False),
        ("2026-01-01T10:00:00", "2026-01-01", True),
        ("2026-01-01T10:00:00+02:00", "2026-01-01T09:00:00+00:00", False),
        ("2026-01-01T10:00:00+02:00", "2026-01-01T09:00:00", True),  # cannot be compared: not refused here
        ("10:00", "09:59:59.5", True),
        (2, 1.5, True),
        (1, 1, False),
        (10**400, 1, True),
        ("a", "b", True),
        (None, 1, True),
        (1, None, True),
        (1, "2026-01-01", True),
    ],
)
def test_which_of_two_values_is_later(later: object, earlier: object, is_later: bool) -> None:
    assert is_after(later, earlier) is is_later


CATASTROPHIC = {r"^(a+)+$": "a" * 50_000 + "!", r"^(a|a)*b": "a" * 50_000, r"(.*,){20}x": "a," * 20_000}


@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_a_pattern_takes_linear_time_whatever_the_text(pattern: str) -> None:
    began = time.process_time()
    found = problems({"type": "string", "pattern": pattern}, CATASTROPHIC[pattern])
    assert [problem.message for problem in found] == [f"must match the pattern {pattern}"]
    assert time.process_time() - began < 2


def test_a_pattern_that_only_the_model_can_check_is_left_to_it() -> None:
    assert problems({"type": "string", "pattern": r"^(?=.*\d)"}, "no digit") == []


def nested(levels: int, kind: type = list) -> Any:
    value: Any = kind()
    for _ in range(levels - 1):
        value = [value] if kind is list else {"in": value}
    return value


OPEN: dict[str, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    "any list": ({"type": "array"}, lambda value: [value]),
    "any object": ({"type": "object"}, lambda value: {"a": value}),
    "anything in a record": ({"type": "object", "properties": {"a": {}}}, lambda value: {"a": value}),
    "a figure": ({"x-matinee": "figure"}, lambda value: {"$figure": "plotly", "spec": {"a": value}}),
    "a table": (
        {"x-matinee": "table"}, lambda value: {"$table": [{"name": "a", "type": "json"}], "rows": [[value]]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", [list, dict])
@pytest.mark.parametrize(("schema", "wrap"), OPEN.values(), ids=OPEN)
def test_what_a_schema_leaves_open_is_at_most_a_hundred_levels_deep(
    schema: dict[str, Any], wrap: Callable[[Any], Any], kind: type
) -> None:
    assert problems(schema, wrap(nested(98, kind))) == []
    for levels in (102, 100_000):
        (problem,) = problems(schema, wrap(nested(levels, kind)))
        assert problem.message == "is nested more than 100 levels deep"
