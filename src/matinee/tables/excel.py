"""Excel workbooks (.xlsx): cells typed by the workbook, formulas by the values that were calculated last.

openpyxl is loaded only when such a file is there.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from itertools import chain
from typing import Any, BinaryIO

from matinee.decoding import file_error
from matinee.errors import InputError, UsageError
from matinee.tables.columns import Column, Json, Table, unique_names

MAX_UNPACKED_BYTES = 512 * 1024 * 1024  # of the XML inside: what a small file may become
_PIECE_BYTES = 1 << 20
_LONGEST_CELL_BYTES = 65_536  # of XML: a formula has at most 8,192 characters
EXACT_DIGITS = 15  # of a number in Excel
_UNCALCULATED = re.compile(rb'<c(?![^>]*t="str")[^>]*><f[^>]*?(?:/>|>[^<]*</f>)(?:<v\s*/>|<v></v>)?</c>')
_BROKEN = "is an Excel workbook that cannot be read"


def read_workbook(stream: BinaryIO, sheet: str = "") -> Table:
    """Return the table of a sheet, by default the first that holds anything; its first filled line names the columns.

    Raises InputError when it is no workbook, is too large unpacked, or has formulas that were never calculated.
    """
    uncalculated = _check_archive(stream)
    book = _open(stream)
    try:
        names = [name for name in book.sheetnames if hasattr(book[name], "iter_rows")]
        chosen, lines = _lines(book, names, sheet)
    finally:
        book.close()
    if uncalculated:
        _refuse_uncalculated(stream, chosen)
    header = next(lines, None)
    if header is None:
        raise file_error("is an empty workbook", "Its first line must name the columns.")
    width = max((place for place, cell in enumerate(header, 1) if cell is not None), default=0)
    rows = [_padded(line, width) for line in lines if any(cell is not None for cell in line)]
    width = max([width, *map(len, rows)])
    titles = unique_names(["" if cell is None else str(cell) for cell in _padded(header, width)])
    kinds = [_column(rows, place, width) for place in range(width)]
    columns = tuple(Column(title, kind) for title, kind in zip(titles, kinds, strict=True))
    notes = [f"The sheet {chosen} is read; there is also {', '.join(n for n in names if n != chosen)}."]
    others = (chosen, *(name for name in names if name != chosen))
    imprecise = [column.name for place, column in enumerate(columns) if _is_imprecise(rows, place)]
    notes = notes if len(names) > 1 else []
    if imprecise:
        notes.append(f"Excel keeps {EXACT_DIGITS} digits of a number: look whether {', '.join(imprecise)} is right.")
    return Table(columns, iter(rows), tuple(notes), total=len(rows), sheets=others)


def sheets_of(stream: BinaryIO) -> tuple[str, ...]:
    """Return the names of the sheets that hold cells; InputError when it is no workbook."""
    _check_archive(stream)
    book = _open(stream)
    try:
        return tuple(name for name in book.sheetnames if hasattr(book[name], "iter_rows"))
    finally:
        book.close()
        stream.seek(0)


def _check_archive(stream: BinaryIO) -> bool:
    """Return whether a formula in it has no value. Raises InputError for an archive that is no workbook."""
    try:
        with zipfile.ZipFile(stream) as archive:
            parts = archive.infolist()
            if not any(part.filename.endswith("workbook.xml") for part in parts):
                raise file_error("is a ZIP archive, not a table", "Unpack it, and choose a CSV, Excel or Parquet file.")
            if sum(part.file_size for part in parts) > MAX_UNPACKED_BYTES:
                raise file_error(
                    f"is a workbook of more than {MAX_UNPACKED_BYTES >> 20} MB when it is unpacked",
                    "Save the sheet as CSV UTF-8 or Parquet.",
                )
            sheets = [part for part in parts if part.filename.startswith("xl/worksheets/") and not part.is_dir()]
            return any(_has_uncalculated(archive, part) for part in sheets)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise file_error(f"{_BROKEN}: {error}", "Open it in Excel and save it again.") from None
    finally:
        stream.seek(0)


def _has_uncalculated(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    tail = b""
    with archive.open(part) as xml:
        while piece := xml.read(_PIECE_BYTES):
            if _UNCALCULATED.search(tail + piece):
                return True
            tail = piece[-_LONGEST_CELL_BYTES:]
    return False


def _open(stream: BinaryIO, *, values: bool = True) -> Any:
    try:
        import openpyxl
    except ImportError:
        raise UsageError("Excel needs openpyxl.", hint="Install openpyxl, or save the sheet as CSV UTF-8.") from None
    stream.seek(0)
    try:
        return openpyxl.load_workbook(stream, read_only=True, data_only=values, keep_links=False)
    except MemoryError:
        raise
    except Exception as error:  # openpyxl raises a dozen kinds for workbooks that are broken or foreign
        raise file_error(f"{_BROKEN}: {error}", "Open it in Excel and save it again.") from None


def _lines(book: Any, names: Sequence[str], sheet: str) -> tuple[str, Iterator[list[Json]]]:
    """Return the sheet's name and its lines from the first that is filled."""
    if sheet and sheet not in names:
        raise file_error(f"has no sheet {sheet!r}", f"It has {', '.join(names)}.")
    for name in [sheet] if sheet else names:
        found = _filled(book[name])
        if found or sheet or name == names[-1]:
            return name, iter(found)
    raise file_error("is a workbook without sheets")


def _filled(sheet: Any) -> list[list[Json]]:
    sheet.reset_dimensions()  # what a program wrote about its size may be wrong
    try:
        lines = [[_json(cell) for cell in row] for row in sheet.iter_rows()]
    except (InputError, MemoryError):
        raise
    except Exception as error:  # as in `_open`
        raise file_error(f"{_BROKEN}: {error}", "Open it in Excel and save it again.") from None
    return [line for line in lines if any(cell is not None for cell in line)]


def _json(cell: Any) -> Json:
    value = cell.value
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return _unescape(value) if "_x" in value else value or None
    if isinstance(value, datetime):
        shows_time = any(mark in str(cell.number_format).lower() for mark in "hs")
        return value.isoformat() if shows_time or value.time() != time() else value.date().isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value)  # a duration, `1:30:00`


def _unescape(text: str) -> str:
    """Return a text with the characters that XML cannot hold, which Excel writes as `_x001F_`."""
    return re.sub(r"_x([0-9A-Fa-f]{4})_", lambda found: chr(int(found[1], 16)), text)


def _padded(line: Sequence[Json], width: int) -> list[Json]:
    filled = len(line)
    while filled > width and line[filled - 1] is None:
        filled -= 1
    return [*line[:filled], *[None] * (width - filled)]


def _column(rows: list[list[Json]], place: int, width: int) -> str:
    """Return the type that all cells of a column have; a column of several is made text or JSON."""
    for row in rows:
        if len(row) < width:
            row += [None] * (width - len(row))
    cells = [row[place] for row in rows if row[place] is not None]
    kinds = {type(cell) for cell in cells}
    if kinds == {str}:
        return _text_kind(cells, rows, place)
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return "integer"
    return "number" if kinds and kinds <= {int, float} else "json" if kinds else "string"


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?")


def _text_kind(cells: list[str], rows: list[list[Json]], place: int) -> str:
    if all(map(_DAY.fullmatch, cells)):
        return "date"
    if all(_MOMENT.fullmatch(cell) or _DAY.fullmatch(cell) for cell in cells):
        for row in rows:
            if row[place] and len(row[place]) == 10:
                row[place] += "T00:00:00"
        return "datetime"
    return "string"


def _is_imprecise(rows: list[list[Json]], place: int) -> bool:
    limit = 10**EXACT_DIGITS
    cells = (row[place] for row in rows)
    return any(isinstance(cell, (int, float)) and abs(cell) >= limit for cell in cells)


def _refuse_uncalculated(stream: BinaryIO, sheet: str) -> None:
    """Raise InputError if a formula of this sheet has no value: the cell would be read as empty."""
    values, formulas = _open(stream), _open(stream, values=False)
    try:
        for book in (values, formulas):
            book[sheet].reset_dimensions()
        pairs = zip(values[sheet].iter_rows(), formulas[sheet].iter_rows(), strict=True)
        for value, formula in chain.from_iterable(zip(*pair, strict=True) for pair in pairs):
            if value.value is None and formula.data_type == "f":
                raise file_error(
                    f"has a formula in {sheet}!{formula.coordinate} that was never calculated",
                    "Open it in Excel and save it again.",
                )
    finally:
        values.close()
        formulas.close()
