"""What a small file may become: refused in words, and never in the memory of the process that everybody shares."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from matinee import decoding
from matinee.errors import InputError
from matinee.tables import uploads
from matinee.tables.uploads import open_upload, read_frame, sheet_names

PEAK_MB = 130  # of the parent, with Python and this package in it


def workbook(**sheets: list[list[object]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def parquet(table: pa.Table, **options: object) -> bytes:
    data = io.BytesIO()
    pq.write_table(table, data, **options)
    return data.getvalue()


def archive_with(sheet: Callable[[bytes, bytes], Iterable[bytes]]) -> bytes:
    """A workbook whose sheet is written piece by piece: `sheet` gets what stands before and after its rows."""
    source, data = zipfile.ZipFile(io.BytesIO(workbook(Data=[["n"], [1]]))), io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for part in source.infolist():
            text = source.read(part)
            pieces = sheet(*text.split(b"</sheetData>")) if part.filename.endswith("sheet1.xml") else [text]
            with archive.open(part.filename, "w", force_zip64=True) as target:
                for piece in pieces:
                    target.write(piece)
    return data.getvalue()


def sheet_of_spaces(head: bytes, tail: bytes) -> Iterable[bytes]:
    return [head, *[b" " * (1 << 20)] * 520, b"</sheetData>" + tail]


def sheet_of_texts(head: bytes, tail: bytes) -> Iterable[bytes]:
    row = b'<row><c t="inlineStr"><is><t>' + b"x" * 1_000_000 + b"</t></is></c></row>"
    return [head, *[row] * 450, b"</sheetData>" + tail]


def many_rows() -> bytes:
    return parquet(pa.table({"gap": pa.nulls(101_000_000)}))


def long_texts() -> bytes:
    chunk = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), ["x" * 1_000_000])
    return parquet(pa.table({"text": pa.chunked_array([chunk] * 5)}), compression="zstd")


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a million rows in a byte": (many_rows, "has 101,000,000 cells"),
    "a text that repeats": (long_texts, "becomes too large|too much memory"),
    "a sheet of spaces": (lambda: archive_with(sheet_of_spaces), "more than 512 MB when it is unpacked"),
    "a sheet of long texts": (lambda: archive_with(sheet_of_texts), "too much memory"),
}
READ = """
import re, sys
from matinee.errors import UsageError
from matinee.tables.uploads import open_upload, read_frame
try:
    {door}
except UsageError as error:
    print(error.message)
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
"""
DOORS = {
    "many rows": "with open_upload(sys.argv[1]) as table: print(sum(1 for _ in table.rows))",
    "one value": "print(len(read_frame(sys.argv[1])['rows']))",
}


@pytest.fixture(scope="module", params=BOMBS)
def bomb(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    make, why = BOMBS[request.param]
    file = tmp_path_factory.mktemp("bomb") / "bomb"
    file.write_bytes(make())
    assert file.stat().st_size < 3_000_000
    return file, why


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory that a process writes")
@pytest.mark.parametrize("door", DOORS)
def test_a_small_file_that_becomes_large_is_refused_and_costs_this_process_nothing(
    bomb: tuple[Path, str], door: str
) -> None:
    file, why = bomb
    command = [sys.executable, "-c", READ.format(door=DOORS[door]), str(file)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    message, peak_mb = run.stdout.splitlines()
    assert message.startswith("The file "), run.stderr
    assert re.search(why, message)
    assert int(peak_mb) < PEAK_MB


def test_a_table_of_too_many_cells_is_no_single_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_CELLS", 4)
    assert len(read_frame(b"a,b\n1,2\n3,4\n")["rows"]) == 2
    for data in (b"a,b\n1,2\n3,4\n5,6\n", workbook(Data=[["a", "b"], [1, 2], [3, 4], [5, 6]])):
        with pytest.raises(InputError, match="df: The file has more than 4 cells"):
            read_frame(data, "df")


def test_what_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "TIME_S", 0.001)
    with pytest.raises(InputError, match="takes longer than"), open_upload(workbook(Slow=[["a"], [1]])):
        pass


def test_a_workbook_is_decoded_once_for_its_sheets_its_check_and_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    decode = decoding.decode
    monkeypatch.setattr(decoding, "decode", lambda *args: decoded.append(args) or decode(*args))
    data = workbook(People=[["name"], ["Ada"], ["Bo"]], Other=[["n"], [1]])
    assert sheet_names(data) == ("People", "Other")
    for source in (data, io.BytesIO(data)):
        with open_upload(source) as table, open_upload(source, "People") as again:
            assert next(table.rows) == next(again.rows) == ["Ada"], "two readers do not disturb each other"
            assert list(table.rows) == list(again.rows) == [["Bo"]]
    assert len(decoded) == 1
    with open_upload(data, "Other") as table:
        assert list(table.rows) == [[1]]
    assert len(decoded) == 2


def test_what_cannot_be_read_is_decoded_once_too(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    decode = decoding.decode
    monkeypatch.setattr(decoding, "decode", lambda *args: decoded.append(args) or decode(*args))
    for _ in range(2):
        with pytest.raises(InputError, match="cannot be read"), open_upload(b"PAR1 and no more"):
            pass
    assert len(decoded) == 1
