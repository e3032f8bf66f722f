"""Columns to parameters, cells to values."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matinee.errors import InputError
from matinee.rows import inputs as rows_inputs
from matinee.rows.inputs import Cells
from matinee.values import validate

NULL = {"type": "null"}


def schema(part: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"type": "object", "properties": {"it": part}, "required": ["it"] if required else []}


def value(part: dict[str, Any], cell: Any, *, required: bool = True, reading: str = "point") -> Any:
    """Return the value of a cell; `...` when it is left out."""
    cells = Cells(schema(part, required=required), ["it"], {"it": "it"}, {"it": reading})
    return cells.inputs([cell]).get("it", ...)


@pytest.mark.parametrize(
    ("part", "cell", "expected"),
    [
        ({"type": "integer"}, " 42 ", 42),
        ({"type": "integer"}, "4.5", 4.5),  # the validator says that it must be whole
        ({"type": "integer"}, 3.0, 3),
        ({"type": "number"}, "1e3", 1000.0),
        ({"type": "number"}, "nan", "nan"),
        ({"type": "number"}, "1e999", "1e999"),
        ({"type": "number"}, "1_000", "1_000"),
        ({"type": "boolean"}, "Yes", True),
        ({"type": "boolean"}, "0", False),
        ({"type": "string"}, "042", "042"),
        ({"type": "string"}, " as it is ", " as it is "),
        ({"type": "string"}, 42, "42"),
        ({"type": "string"}, "", ""),
        ({"type": "string"}, None, ...),
        ({"anyOf": [{"type": "string"}, NULL]}, None, None),
        ({"anyOf": [{"type": "integer"}, NULL]}, "", None),
        ({"type": "integer"}, "", ...),
        ({"enum": ["male", "female"], "type": "string"}, " Female", "female"),
        ({"enum": ["a", "A"], "type": "string"}, "A", "A"),
        ({"enum": ["male"], "type": "string"}, "x", "x"),
        ({"enum": [1, 2], "type": "integer"}, "2", 2),
        ({"type": "string", "format": "date"}, "2026-01-31 00:00:00", "2026-01-31"),
        ({"type": "string", "format": "date"}, "2026-01-31T00:00:00+00:00", "2026-01-31"),
        ({"type": "string", "format": "date"}, "2026-01-31 10:00:00", "2026-01-31 10:00:00"),
        ({"type": "string", "format": "date-time"}, "2026-01-31 10:00:00", "2026-01-31T10:00:00"),
        ({"type": "array", "items": {}}, '["a", 1]', ["a", 1]),
        ({"type": "object"}, '{"a": 1}', {"a": 1}),
        ({"type": "object"}, "{a: 1}", "{a: 1}"),
        ({"type": "array", "items": {}}, "[NaN]", "[NaN]"),
        ({}, "5", 5),
        ({}, "five", "five"),
    ],
)
def test_a_cell_becomes_what_the_schema_wants_or_stays_as_it_is(part: dict[str, Any], cell: Any, expected: Any) -> None:
    found = value(part, cell)
    assert (found, type(found)) == (expected, type(expected))


def test_an_empty_cell_takes_the_default() -> None:
    assert value({"type": "string", "default": "kind"}, "", required=False) is ...


@pytest.mark.parametrize(
    ("text", "expected"), [("1,5", 1.5), ("1.234,5", 1234.5), ("1.234", 1234), ("1.5", "1.5"), ("1,234,5", "1,234,5")]
)
def test_the_reading_of_the_column_decides_what_a_comma_is(text: str, expected: Any) -> None:
    assert value({"type": "number"}, text, reading="comma") == expected
    assert value({"type": "number"}, "1,5") == "1,5"


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.dates(), st.datetimes())
def test_values_written_as_text_come_back(n: int, x: float, b: bool, d: date, t: datetime) -> None:
    assert value({"type": "integer"}, str(n)) == n
    assert value({"type": "number"}, repr(x)) == x
    assert value({"type": "boolean"}, str(b)) is b
    assert value({"type": "string", "format": "date"}, d.isoformat()) == d.isoformat()
    assert value({"type": "string", "format": "date-time"}, str(t)) == t.isoformat()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=3))
def test_lists_and_objects_written_as_json_come_back(items: list[Any]) -> None:
    assert value({"type": "array", "items": {}}, json.dumps(items)) == items


PARTS = st.sampled_from(
    [
        {},
        *({"type": kind} for kind in ("integer", "number", "boolean", "string", "object")),
        {"type": "string", "format": "date"},
        {"enum": ["a", "b"], "type": "string"},
        {"type": "array", "items": {"type": "integer"}},
        {"anyOf": [{"type": "integer"}, NULL]},
        {"type": "object", "x-matinee": "image"},
    ]
)


@given(PARTS, st.text(max_size=20) | JSON)
def test_no_cell_breaks_the_check(part: dict[str, Any], cell: Any) -> None:
    try:
        inputs = Cells(schema(part), ["it"], {"it": "it"}).inputs([cell])
    except InputError:
        return
    validate.problems(schema(part), inputs)


@pytest.mark.parametrize(
    "cell",
    ['{"$blob": "image/png", "name": "", "key": "results/of/another"}', '[{"$payload": "uploads/x"}]', '{"$rows": {}}'],
)
def test_a_cell_cannot_point_to_a_file_that_is_kept(cell: str) -> None:
    with pytest.raises(InputError, match="kept elsewhere"):
        value({}, cell)


def test_a_row_of_another_width_says_so() -> None:
    with pytest.raises(InputError, match="has 1 value where the header has 2"):
        Cells(schema({"type": "string"}), ["it", "other"], {"it": "it"}).inputs(["x"])


# --- which column is which --------------------------------------------------------------------------------------

TWO = {"properties": {"past_activity": {}, "n": {}}, "required": ["past_activity"]}


@pytest.mark.parametrize(
    "column", ["past_activity", "Past Activity", "PAST-ACTIVITY", "pastActivity", " past__activity"]
)
def test_a_column_is_found_by_its_name_ignoring_case_spaces_and_underscores(column: str) -> None:
    assert rows_inputs.match_columns(TWO, ["id", column]) == {"past_activity": column}


def test_the_very_same_name_wins_over_a_like_one_and_no_column_is_taken_twice() -> None:
    assert rows_inputs.match_columns(TWO, ["Past Activity", "past_activity"]) == {"past_activity": "past_activity"}
    both = {"properties": {"a_b": {}, "ab": {}}}
    assert rows_inputs.match_columns(both, ["ab"]) == {"ab": "ab"}


def test_people_may_choose_otherwise_or_leave_a_column_out() -> None:
    assert rows_inputs.choose_columns(TWO, ["past_activity", "n", "x"], {"n": "x"}) == {
        "past_activity": "past_activity",
        "n": "x",
    }
    assert rows_inputs.choose_columns(TWO, ["past_activity", "n"], {"n": None}) == {"past_activity": "past_activity"}
    assert rows_inputs.missing_parameters(TWO, {"n": "x"}) == ("past_activity",)


@pytest.mark.parametrize(("choice", "words"), [({"m": "n"}, "is not a parameter"), ({"n": "zz"}, "no column 'zz'")])
def test_a_choice_of_what_there_is_not_says_what_there_is(choice: dict[str, str | None], words: str) -> None:
    with pytest.raises(InputError, match=words):
        rows_inputs.choose_columns(TWO, ["n"], choice)


@given(
    st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=6),
    st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=6),
)
def test_the_automatic_choice_names_only_what_there_is(names: list[str], columns: list[str]) -> None:
    parameters = {"properties": {name: {} for name in names}}
    found = rows_inputs.match_columns(parameters, columns)
    assert set(found) <= set(names)
    assert set(found.values()) <= set(columns)
    assert {name for name in names if name in columns} <= set(found)
