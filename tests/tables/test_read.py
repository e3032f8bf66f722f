"""What a file is read as: encodings, delimiters, Parquet; and what is no table."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matinee.errors import InputError, UsageError
from matinee.tables.read import DELIMITERS, Source, guess_delimiter, open_table


def read(source: Source) -> tuple[list[str], list[list[Any]], tuple[str, ...]]:
    with open_table(source) as table:
        return [column.name for column in table.columns], list(table.rows), table.notes


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("cp1252", "Windows-1252"),
    ],
)
def test_every_encoding_people_save_in_is_read_and_an_unusual_one_is_said(encoding: str, said: str) -> None:
    names, rows, notes = read("name,ville\nZoë,Orléans\n".encode(encoding))
    assert (names, rows) == (["name", "ville"], [["Zoë", "Orléans"]])
    assert said in " ".join(notes)
    assert bool(notes) == bool(said)


def test_windows_1252_is_told_even_when_its_first_accent_comes_late() -> None:
    lines = ["name,n", *(f"x,{n}" for n in range(200_000)), "Zoë,1"]
    _, rows, notes = read("\n".join(lines).encode("cp1252"))
    assert rows[-1] == ["Zoë", "1"]
    assert "Windows-1252" in notes[0]


@pytest.mark.parametrize("delimiter", list(DELIMITERS))
def test_the_delimiter_is_told_from_the_lines(delimiter: str) -> None:
    lines = [["name", "note"], ["Ada", f"a{delimiter}b, c; d"], ["Bo", "two\nlines"]]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(lines)
    names, rows, _ = read(text.getvalue().encode())
    assert [names, *rows] == lines


def test_excel_may_say_its_delimiter_itself() -> None:
    assert read(b"sep=;\nname;note\nAda;a,b,c\n")[1] == [["Ada", "a,b,c"]]


CELL = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=12)


@given(
    width=st.integers(1, 5),
    data=st.data(),
    delimiter=st.sampled_from(DELIMITERS),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    ending=st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_csv_writer_writes_is_read_back(
    width: int, data: st.DataObject, delimiter: str, encoding: str, ending: str
) -> None:
    header = [f"c{n}" for n in range(width)]
    rows = data.draw(st.lists(st.lists(CELL, min_size=width, max_size=width).filter(any), max_size=8))
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    names, found, _ = read(text.getvalue().encode(encoding))
    assert (names, found) == (header, rows)


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_table_or_one_sentence(data: bytes) -> None:
    try:
        names, rows, _ = read(data)
    except (InputError, UsageError) as error:
        assert str(error).startswith("The file")
        assert "\n" not in error.message
    else:
        assert len(set(names)) == len(names)
        assert all(isinstance(row, list) for row in rows)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\n\n\n", "is empty"),
        (b"PK\x03\x04rest", "Excel workbook that cannot be read"),
        (b"%PDF-1.7", "a PDF"),
        (b"\x89PNG\r\n", "picture"),
        (b"\x1f\x8b\x08", "compressed"),
        (b'{"a": 1}', "JSON"),
        (b"<!DOCTYPE html><table>", "web page"),
        (b"\x00\x01\x02\x03rubbish", "not text"),
        (b'name\n"never closed\n', "not closed"),
        (b'a,b\n1,2\n3,"x"y\n', "line 3"),
        (b"name\n\x81\xe4\n", "characters that its encoding does not have"),
        (b"PAR1 is not everything", "Parquet file that cannot be read"),
        (",".join(f"c{n}" for n in range(2001)).encode(), "2,001 columns"),
        (b"name\n" + b"x" * 5_000_000, "characters"),
    ],
)
def test_what_is_no_table_is_one_sentence_with_what_is_wrong(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        read(data)
    assert error.value.message.startswith("The file ")


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "none.csv")


def test_names_are_made_unique_and_empty_lines_skipped() -> None:
    names, rows, _ = read(b"a,a,,a\n1,2,3,4\n\n5,6,7,8\n")
    assert names == ["a", "a_2", "column 3", "a_3"]
    assert len(rows) == 2


def test_one_column_alone_is_a_table() -> None:
    assert guess_delimiter("name\nAda\nBo\n") == ","
    assert read(b"name\nAda\n")[:2] == (["name"], [["Ada"]])


def test_parquet_cells_become_json() -> None:
    data = parquet(
        day=[date(2026, 1, 31), None],
        at=[datetime(2026, 1, 31, 9, 30, tzinfo=UTC), None],
        price=[Decimal("1.50"), None],
        ratio=[float("nan"), 0.5],
        count=[1, None],
        tags=[["a"], []],
        raw=[b"ab", None],
    )
    with open_table(data) as table:
        assert [column.type for column in table.columns] == [
            "date", "datetime", "decimal", "number", "integer", "json", "json",
        ]  # fmt: skip
        assert table.total == 2
        first, second = table.rows
    blob = {"$blob": "application/octet-stream", "name": "", "base64": "YWI="}
    assert first == ["2026-01-31", "2026-01-31T09:30:00+00:00", "1.50", None, 1, ["a"], blob]
    assert second == [None, None, None, 0.5, None, [], None]


def test_parquet_is_told_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(parquet(name=["Ada"]))
    assert read(path)[1] == [["Ada"]]


def test_a_parquet_file_that_is_cut_is_one_sentence() -> None:
    with pytest.raises(InputError, match="Parquet file that cannot be read"):
        read(parquet(name=["x" * 100] * 100)[:-20])


def test_a_stream_is_left_open_and_can_be_read_again() -> None:
    stream = io.BytesIO(b"name\nAda\n")
    assert read(stream) == read(stream)
    assert not stream.closed
