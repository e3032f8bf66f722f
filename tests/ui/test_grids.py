"""A table through the editor's frame and back is the same table."""

from __future__ import annotations

import pytest

from matinee.tables.columns import Column
from matinee.tables.uploads import read_frame
from matinee.tables.write import columns_and_rows, write
from matinee.ui.grids import from_columns, to_columns, with_edits

TABLE = {
    "$table": [
        {"name": "n", "type": "integer"},
        {"name": "x", "type": "number"},
        {"name": "flag", "type": "boolean"},
        {"name": "day", "type": "date"},
        {"name": "at", "type": "datetime"},
        {"name": "text", "type": "string"},
    ],
    "rows": [
        [1, 0.5, True, "2026-06-01", "2026-06-01T08:30:00", "a"],
        [None, None, None, None, None, None],
        [2**53 + 1, -1.0, False, "1815-12-10", "2026-06-01T08:30:00.250000", "<b>"],
    ],
}
KINDS = {column["name"]: column["type"] for column in TABLE["$table"]}


def test_values_survive_the_editor_and_empty_rows_go():
    edited = from_columns(to_columns(TABLE), KINDS)
    assert edited == {**TABLE, "rows": [TABLE["rows"][0], TABLE["rows"][2]]}


UNTOUCHED = {"edited_rows": {}, "added_rows": [], "deleted_rows": []}


def test_a_table_that_nobody_edited_is_what_it_was():
    garbled = [["?"] * 6] * 3  # what a browser made of it
    assert with_edits(TABLE, garbled, UNTOUCHED) == TABLE


def test_only_the_edited_cells_change():
    edits = {"edited_rows": {2: {"text": "new"}}, "added_rows": [{"n": 5}, {}], "deleted_rows": [0]}
    after = [["?"] * 6, ["?", "?", "?", "?", "?", "new"], [5, *[None] * 5], [None] * 6]
    edited = with_edits(TABLE, after, edits)
    assert edited["rows"] == [TABLE["rows"][1], [*TABLE["rows"][2][:5], "new"], [5, *[None] * 5]]


def test_whole_numbers_that_a_browser_would_round_are_edited_as_text():
    assert list(to_columns(TABLE)["n"]) == ["1", None, str(2**53 + 1)]


def test_columns_that_somebody_named_are_read_as_a_csv_would_be():
    empty = {"$table": [{"name": "day", "type": "unknown"}, {"name": "n", "type": "unknown"}], "rows": []}
    frame = to_columns(empty)
    frame.loc[0] = ["2026-06-01", "3"]
    edited = from_columns(frame, {"day": "unknown", "n": "unknown"})
    assert edited["$table"] == [{"name": "day", "type": "date"}, {"name": "n", "type": "integer"}]
    assert edited["rows"] == [["2026-06-01", 3]]


def test_values_survive_parquet():
    again = read_frame(b"".join(write("parquet", *columns_and_rows(TABLE))))
    assert again == TABLE


@pytest.mark.parametrize("kind", ["integer", "date", "json"])
def test_what_a_column_does_not_hold_is_written_as_text(kind):
    columns = [Column("a", kind), Column("a", kind)]
    again = read_frame(b"".join(write("parquet", columns, [["x", {"b": 1}], [1, None]])))
    assert [column["name"] for column in again["$table"]] == ["a", "a (2)"]
    assert again["rows"] == [["x", '{"b": 1}'], ["1", None]]
