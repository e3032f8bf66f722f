"""What is written is read back as it was, in every format and dialect, and nothing of it runs in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matinee.errors import UsageError
from matinee.tables.columns import Column
from matinee.tables.uploads import read_frame
from matinee.tables.write import FORMATS, format_of, write


def written(form: str, columns: list[Column], rows: list[list[Any]], separator: str = ",") -> bytes:
    return b"".join(write(form, columns, rows, separator=separator))


CELLS: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(allow_nan=False, allow_infinity=False, width=64),
    "decimal": st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda d: f"{d:f}"),
    "boolean": st.booleans(),
    "date": st.dates().map(lambda day: day.isoformat()),
    "datetime": st.datetimes().map(lambda at: at.isoformat()),
    "string": st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=12),
}
TABLES = st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=5).flatmap(
    lambda kinds: st.tuples(
        st.just([Column(f"c{i}", kind) for i, kind in enumerate(kinds)]),
        st.lists(st.tuples(*(st.none() | CELLS[kind] for kind in kinds)).map(list), min_size=1, max_size=6),
    )
)
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def same(kind: str, written_cell: Any, read_cell: Any) -> bool:
    """Whether two cells are the same value: 5 and 5.0 are, and two spellings of one moment."""
    if written_cell is None or read_cell is None:
        return written_cell is read_cell
    if kind in ("number", "integer"):
        return float(written_cell) == float(read_cell) and (kind == "number" or int(read_cell) == written_cell)
    if kind == "decimal":
        from decimal import Decimal

        return Decimal(str(read_cell)) == Decimal(written_cell)
    if kind in ("date", "datetime"):
        return datetime.fromisoformat(str(read_cell)) == datetime.fromisoformat(written_cell)
    return bool(read_cell == written_cell)


@given(TABLES)
@quick
def test_parquet_gives_back_every_value_and_type(table: tuple[list[Column], list[list[Any]]]) -> None:
    columns, rows = table
    again = read_frame(written("parquet", columns, rows))
    assert [c["name"] for c in again["$table"]] == [c.name for c in columns]
    for row, found in zip(rows, again["rows"], strict=True):
        assert all(same(c.type, a, b) for c, a, b in zip(columns, row, found, strict=True)), (row, found)


@given(TABLES)
@quick
def test_excel_gives_back_every_value(table: tuple[list[Column], list[list[Any]]]) -> None:
    columns, rows = table
    rows = [row for row in rows if any(cell is not None for cell in row)]
    again = read_frame(written("xlsx", columns, rows))
    for row, found in zip(rows, again["rows"], strict=True):
        assert all(same(c.type, a, b) for c, a, b in zip(columns, row, found, strict=True)), (row, found)


@given(TABLES, st.sampled_from([",", ";", "\t", "|"]))
@quick
def test_csv_gives_back_every_value_of_a_typed_column(
    table: tuple[list[Column], list[list[Any]]], separator: str
) -> None:
    columns, rows = table
    kept = [i for i, column in enumerate(columns) if column.type != "string"]
    columns = [Column("key"), *(columns[i] for i in kept), Column("end")]
    rows = [["k", *(row[i] for i in kept), "e"] for row in rows]
    readings = {c.name: "comma" if separator == ";" else "point" for c in columns if c.type in ("number", "decimal")}
    again = read_frame(written("csv", columns, rows, separator), readings=readings)
    for row, found in zip(rows, again["rows"], strict=True):
        assert all(same(c.type, a, b) for c, a, b in zip(columns, row, found, strict=True)), (row, found)


RISKY = ["=1+1", '=HYPERLINK("http://x","y")', "+1+1", "-x", "@SUM(A1)", "\tx", "\rx"]


@pytest.mark.parametrize("text", RISKY)
@pytest.mark.parametrize("separator", [",", ";"])
def test_no_cell_and_no_column_name_of_a_csv_is_a_formula(text: str, separator: str) -> None:
    data = written("csv", [Column(text), Column("n", "json")], [[text, [text]]], separator).decode("utf-8-sig")
    head, row = csv.reader(io.StringIO(data, newline=""), delimiter=separator)
    assert (head[0], row[0]) == (f"'{text}", f"'{text}")


@pytest.mark.parametrize("text", ["-5", "+5", "-1.5e3", "-1,5"])
def test_a_number_is_no_formula(text: str) -> None:
    assert text in written("csv", [Column("n")], [[text]], "|").decode("utf-8-sig").split()


@pytest.mark.parametrize("text", [*RISKY, "\x01", "_x0041_", "a\nb"])
def test_texts_stay_as_they_are_in_excel_and_are_no_formulas(text: str) -> None:
    data = written("xlsx", [Column("s")], [[text]])
    import openpyxl

    cell = openpyxl.load_workbook(io.BytesIO(data))["Table"]["A2"]
    assert cell.data_type == "s"
    assert read_frame(data)["rows"] == [[text]]


def test_a_stream_of_rows_is_written_as_a_list_is() -> None:
    columns = [Column("n", "integer"), Column("at", "datetime"), Column("day", "date")]
    rows = [[number, "2026-06-01T08:30:00+00:00", "2026-06-01"] for number in range(2500)]
    for form in FORMATS:
        if form in ("csv", "jsonl"):
            assert b"".join(write(form, columns, iter(rows))) == written(form, columns, rows)
        else:
            assert read_frame(b"".join(write(form, columns, iter(rows)))) == read_frame(written(form, columns, rows))


def test_json_lines_have_values_as_they_are() -> None:
    line = json.loads(written("jsonl", [Column("s"), Column("n", "number")], [["=1", None]]))
    assert line == {"s": "=1", "n": None}


def test_what_a_format_cannot_hold_is_refused_in_words() -> None:
    with pytest.raises(UsageError, match=r"at most 32,767 characters.*CSV"):
        written("xlsx", [Column("s")], [["x" * 40_000]])
    with pytest.raises(UsageError, match=r"column n holds '9{40}'"):
        b"".join(write("parquet", [Column("n", "integer")], iter([[1]] * 1000 + [[int("9" * 40)]])))
    with pytest.raises(UsageError, match="no format 'xls'"):
        write("xls", [], [])


def test_a_file_name_says_its_format() -> None:
    assert [format_of(f"a.b.{form.upper()}") for form in FORMATS] == list(FORMATS)
    with pytest.raises(UsageError, match=r"a\.doc names no format.*\.xlsx"):
        format_of("a.doc")
