"""Excel workbooks: the workbook's own types, its sheets, formulas by their values."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from matinee.errors import InputError
from matinee.tables.read import open_table
from matinee.tables.uploads import read_frame, sheet_names


def workbook(**sheets: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_cells_have_the_types_of_the_workbook() -> None:
    data = workbook(
        Data=[
            ["n", "x", "ok", "day", "at", "id", "clock", "mixed"],
            [1, 0.5, True, date(1998, 1, 31), datetime(1998, 1, 31, 14, 30), "007", time(9, 30), "a"],
            [2, 3, False, None, datetime(1998, 2, 1), "12", time(10), 5],
        ]
    )
    table = read_frame(data)
    assert {c["name"]: c["type"] for c in table["$table"]} == {
        "n": "integer", "x": "number", "ok": "boolean", "day": "date", "at": "datetime", "id": "string",
        "clock": "string", "mixed": "json",
    }  # fmt: skip
    assert table["rows"] == [
        [1, 0.5, True, "1998-01-31", "1998-01-31T14:30:00", "007", "09:30:00", "a"],
        [2, 3, False, None, "1998-02-01T00:00:00", "12", "10:00:00", 5],
    ]


def test_a_sheet_is_chosen_and_the_first_that_holds_anything_is_the_default() -> None:
    data = workbook(Empty=[], People=[["name"], ["Ada"]], Other=[[], ["n"], [1]])
    assert sheet_names(data) == ("People", "Empty", "Other"), "the one that is read stands first"
    with open_table(data) as table:
        assert list(table.rows) == [["Ada"]]
        assert "The sheet People is read; there is also Empty, Other." in table.notes
    assert read_frame(data, sheet="Other")["rows"] == [[1]]
    with pytest.raises(InputError, match=r"has no sheet 'Missing'.*Empty, People, Other"):
        read_frame(data, "df", sheet="Missing")
    assert sheet_names(b"a,b\n") == ()
    with pytest.raises(InputError, match="no Excel workbook"):
        read_frame(b"a,b\n1,2\n", sheet="People")


def test_a_formula_is_its_calculated_value_and_without_one_it_is_refused() -> None:
    data = workbook(Data=[["n", "double"], [1, "=A2*2"]])
    with pytest.raises(InputError, match=r"formula in Data!B2 that was never calculated.*save it again"):
        read_frame(data)
    calculated = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(calculated, "w") as new:
        for part in old.namelist():
            text = old.read(part)
            if part.startswith("xl/worksheets/"):
                text, count = re.subn(rb"</f><v\s*/>|</f><v></v>", b"</f><v>2</v>", text)
                assert count == 1
            new.writestr(part, text)
    assert read_frame(calculated.getvalue())["rows"] == [[1, 2]]


def test_numbers_of_more_digits_than_excel_keeps_are_pointed_out() -> None:
    with open_table(workbook(Data=[["id"], [1009513310189256287]])) as table:
        assert "15 digits" in " ".join(table.notes)


def test_ragged_lines_are_filled_and_empty_ones_skipped() -> None:
    table = read_frame(workbook(Data=[[], ["a", None, "c"], [1], [], [None, 2, 3, 4]]))
    assert [c["name"] for c in table["$table"]] == ["a", "column 2", "c", "column 4"]
    assert table["rows"] == [[1, None, None, None], [None, 2, 3, 4]]


@pytest.mark.parametrize(
    ("data", "words"),
    [(workbook(Data=[]), "is an empty workbook"), (b"PK\x03\x04 nothing", "is an Excel workbook that cannot be read")],
)
def test_what_is_no_workbook_is_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=f"df: The file {words}"):
        read_frame(data, "df")


def test_a_zip_archive_is_no_workbook(tmp_path: Path) -> None:
    file = tmp_path / "data.xlsx"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.csv", "a,b\n")
    with pytest.raises(InputError, match="ZIP archive"):
        read_frame(file)


def test_a_small_file_that_becomes_a_huge_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matinee.tables.excel.MAX_UNPACKED_BYTES", 100)
    with pytest.raises(InputError, match="too large"):
        read_frame(workbook(Data=[["n"], [1]]))
