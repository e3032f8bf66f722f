"""A table as a file: CSV, Excel, Parquet or JSON Lines, in pieces, so that no more than a batch of it is held.

Whatever people download is written here, so the guard against formulas is always on: no text that somebody typed runs
in somebody else's spreadsheet.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, BinaryIO, Literal

from matinee.errors import UsageError
from matinee.tables.columns import Column
from matinee.tables.read import load_arrow

Json = Any
Row = Sequence[Json]
Form = Literal["csv", "xlsx", "parquet", "jsonl"]
FORMATS: tuple[Form, ...] = ("csv", "xlsx", "parquet", "jsonl")
LABELS: dict[str, str] = {"csv": "CSV", "xlsx": "Excel", "parquet": "Parquet", "jsonl": "JSON Lines"}
MEDIA_TYPES: dict[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/jsonl",
}
BATCH_ROWS = 1000
PIECE_BYTES = 1 << 18
BATCH_CHARS = 4_000_000  # of text: one result alone may have as much
MAX_EXCEL_ROWS = 1_048_576
MAX_EXCEL_CHARS = 32_767  # in a cell
EXACT_EXCEL = 10**15  # whole numbers below it are exact in Excel
_BOM = b"\xef\xbb\xbf"  # Excel reads UTF-8 only with it
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?")
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_")
_EXCEL_DAYS = (date(1900, 3, 1), date(9999, 12, 31))  # before, Excel counts a day that never was


def write(form: str, columns: Sequence[Column], rows: Iterable[Row], *, separator: str = ",") -> Iterator[bytes]:
    """Return the file in pieces. `separator` is of CSV; with `;` decimals have a comma, as such spreadsheets do.

    Raises UsageError for a format there is not, and, while it is written, for a value that the format cannot hold.
    """
    check_format(form)
    if form == "csv":
        return _csv(columns, rows, separator)
    if form == "jsonl":
        names = [column.name for column in columns]
        return json_lines(dict(zip(names, row, strict=True)) for row in rows)
    return _excel(columns, rows) if form == "xlsx" else _parquet(columns, rows)


def check_format(form: str) -> Form:
    """Return the format; UsageError for one that there is not."""
    if form not in FORMATS:
        raise UsageError(f"There is no format {form!r}.", hint=f"Use one of {', '.join(FORMATS)}.")
    return form


def format_of(file_name: str) -> Form:
    """Return the format that a file's ending names; UsageError when it names none."""
    ending = file_name.lower().rpartition(".")[2]
    for form in FORMATS:
        if ending == form:
            return form
    raise UsageError(
        f"The ending of {file_name} names no format.",
        hint=f"End it with {', '.join(f'.{form}' for form in FORMATS)}.",
    )


def columns_and_rows(table: Mapping[str, Json]) -> tuple[list[Column], list[Row]]:
    """Return the columns and rows of a table as it travels: `{"$table": …, "rows": …}`."""
    return [Column(str(head["name"]), str(head["type"])) for head in table["$table"]], table["rows"]


def json_lines(records: Iterable[Json]) -> Iterator[bytes]:
    """Yield lines of JSON, one for each record, values as they are."""
    lines: list[bytes] = []
    size = 0
    for record in records:
        lines.append((json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "replace"))
        size += len(lines[-1])
        if size > PIECE_BYTES:
            yield b"".join(lines)
            lines, size = [], 0
    if lines:
        yield b"".join(lines)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(cell) if isinstance(cell, str) else 8 for cell in row)
        if len(batch) == BATCH_ROWS or size > BATCH_CHARS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


# --- CSV ----------------------------------------------------------------------------------------------------------


def csv_text(
    columns: Sequence[Column], rows: Iterable[Row], *, separator: str = ",", ending: str = "\r\n"
) -> Iterator[str]:
    """Yield CSV as text, a batch of rows at a time; what is missing is empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=ending)
    writer.writerow([escape_formula(column.name) for column in columns])
    yield text.getvalue()
    comma = separator == ";"
    for batch in _batches(rows):
        text.seek(0)
        text.truncate()
        kinds = [column.type for column in columns]
        writer.writerows([_csv_cell(cell, kind, comma) for cell, kind in zip(row, kinds, strict=True)] for row in batch)
        yield text.getvalue()


def _csv(columns: Sequence[Column], rows: Iterable[Row], separator: str) -> Iterator[bytes]:
    pieces = csv_text(columns, rows, separator=separator)
    yield _BOM + next(pieces).encode("utf-8", "replace")
    for piece in pieces:
        yield piece.encode("utf-8", "replace")


def _csv_cell(value: Json, kind: str, comma: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, float) or (kind == "decimal" and isinstance(value, str)):
        return str(value).replace(".", ",") if comma else str(value)
    return escape_formula(cell_text(value))


def cell_text(value: Json) -> str:
    """Return a value as the text of a cell: JSON, but for texts."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def escape_formula(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: an apostrophe leads it. A number is no formula."""
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


# --- Excel --------------------------------------------------------------------------------------------------------


def _excel(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[bytes]:
    import tempfile

    try:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
    except ImportError:
        raise UsageError("Excel needs openpyxl.", hint="Install openpyxl, or use CSV.") from None
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Table")
    sheet.freeze_panes = "A2"
    try:
        sheet.append([_excel_text(sheet, WriteOnlyCell, column.name) for column in columns])
        for number, row in enumerate(rows, 2):
            if number > MAX_EXCEL_ROWS:
                raise UsageError(f"Excel holds at most {MAX_EXCEL_ROWS - 1:,} rows.", hint="Save it as CSV or Parquet.")
            pairs = zip(row, columns, strict=True)
            sheet.append([_excel_cell(sheet, WriteOnlyCell, cell, column.type) for cell, column in pairs])
    finally:
        sheet.close()
    with tempfile.TemporaryFile() as file:
        book.save(file)
        yield from _pieces(file)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(1 << 20):
        yield piece


def _excel_cell(sheet: Any, cell_class: Any, value: Json, kind: str) -> Any:
    """Return the cell; a number, date or time that Excel would change is a text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return value if _is_exact_in_excel(value) else _excel_text(sheet, cell_class, str(value))
    if isinstance(value, str) and kind in ("date", "datetime"):
        moment = _excel_moment(value, kind)
        if moment is not None:
            cell = cell_class(sheet, moment)
            cell.number_format = "yyyy-mm-dd" if kind == "date" else "yyyy-mm-dd hh:mm:ss"
            return cell
    if isinstance(value, str) and kind == "decimal" and (number := _excel_number(value)) is not None:
        return number
    return _excel_text(sheet, cell_class, cell_text(value))


def _is_exact_in_excel(value: float) -> bool:
    if isinstance(value, int):
        return abs(value) < EXACT_EXCEL
    return abs(value) < 1e300 and float(f"{value:.15g}") == value  # Excel keeps 15 digits


def _excel_number(text: str) -> float | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    number = float(value)
    return (
        number
        if len(value.as_tuple().digits) <= 15 and abs(number) < 1e300 and Decimal(repr(number)) == value
        else None
    )


def _excel_moment(text: str, kind: str) -> date | datetime | None:
    try:
        moment = date.fromisoformat(text) if kind == "date" else datetime.fromisoformat(text)
    except ValueError:
        return None
    day = moment.date() if isinstance(moment, datetime) else moment
    is_exact = not isinstance(moment, datetime) or (moment.tzinfo is None and not moment.microsecond)
    return moment if is_exact and _EXCEL_DAYS[0] <= day <= _EXCEL_DAYS[1] else None


def _excel_text(sheet: Any, cell_class: Any, text: str) -> Any:
    if len(text) > MAX_EXCEL_CHARS:
        raise UsageError(
            f"Excel holds at most {MAX_EXCEL_CHARS:,} characters in a cell.", hint="Save it as CSV or Parquet."
        )
    cell = cell_class(sheet, _UNWRITABLE.sub(_escape, text.encode("utf-8", "replace").decode()))
    cell.data_type = "s"  # a text that begins with = is a text
    return cell


def _escape(found: re.Match[str]) -> str:
    """Return a character that XML cannot hold as Excel writes it, `_x001F_`; what looks like that is escaped itself."""
    return f"_x{ord(found[0]):04X}_" if len(found[0]) == 1 else f"_x005F{found[0]}"


# --- Parquet ------------------------------------------------------------------------------------------------------


def _parquet(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[bytes]:
    """Types are those of the columns and, where these leave it open, of the first batch."""
    pa, pq = load_arrow()
    stream = iter(rows)
    first = list(islice(stream, BATCH_ROWS))
    whole = first + list(stream) if isinstance(rows, Sequence) else first
    types = [_arrow_type(pa, column.type, [row[i] for row in whole]) for i, column in enumerate(columns)]
    if isinstance(rows, Sequence):  # what a column's type does not hold makes it a column of texts
        types = [
            kind if _fits(pa, kind, column, [row[i] for row in rows]) else pa.string()
            for i, (kind, column) in enumerate(zip(types, columns, strict=True))
        ]
        first, stream = [], iter(rows)
    schema = pa.schema(list(zip(_distinct(columns), types, strict=True)))
    pieces = _Pieces()
    with pq.ParquetWriter(pieces, schema, compression="zstd") as writer:
        for batch in _batches(_chained(first, stream)):
            arrays = [
                pa.array([_arrow_value(pa, kind, row[i], column) for row in batch], kind)
                for i, (column, kind) in enumerate(zip(columns, types, strict=True))
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            yield pieces.take()
    yield pieces.take()


def _chained(first: list[Row], rest: Iterator[Row]) -> Iterator[Row]:
    yield from first
    yield from rest


def _arrow_type(pa: Any, kind: str, cells: Sequence[Json]) -> Any:
    filled = [cell for cell in cells if cell is not None]
    if kind == "integer" and any(isinstance(cell, int) and cell >= 1 << 63 for cell in filled):
        return pa.uint64() if all(0 <= cell < 1 << 64 for cell in filled) else pa.string()
    if kind == "decimal":
        return _arrow_decimal(pa, filled)
    if kind == "datetime":
        zones = {_moment(cell).tzinfo is not None for cell in filled if isinstance(cell, str)}
        return pa.timestamp("us", "UTC" if zones == {True} else None) if len(zones) == 1 else pa.string()
    plain = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_(), "date": pa.date32()}
    return plain.get(kind, pa.string())


def _arrow_decimal(pa: Any, cells: Sequence[Json]) -> Any:
    """Return the decimal type that holds all of them; text where there is none."""
    try:
        numbers = [Decimal(cell).as_tuple() for cell in cells]
        scale = max((max(-int(number.exponent), 0) for number in numbers), default=0)
        whole = max((len(number.digits) + int(number.exponent) for number in numbers), default=1)
    except (InvalidOperation, ValueError, TypeError):
        return pa.string()
    digits = max(whole, 1) + scale
    return pa.decimal128(digits, scale) if digits <= 38 else pa.string()


def _arrow_value(pa: Any, kind: Any, value: Json, column: Column) -> Any:
    if value is None:
        return None
    if kind == pa.string():
        return cell_text(value).encode("utf-8", "replace").decode()
    try:
        return _ARROW.get(column.type, cell_text)(value)
    except (ValueError, TypeError, InvalidOperation, OverflowError):
        raise UsageError(
            f"The column {column.name} holds {str(value)[:40]!r}, which is no {column.type}.",
            hint="Save it as CSV or JSON Lines.",
        ) from None


def _fits(pa: Any, kind: Any, column: Column, cells: Sequence[Json]) -> bool:
    try:
        pa.array([_arrow_value(pa, kind, cell, column) for cell in cells], kind)
    except (UsageError, pa.ArrowException, OverflowError):
        return False
    return True


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.min


def _integer(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value) or abs(value) >= 1 << 64:
        raise ValueError(value)
    return int(value)


def _boolean(value: Json) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


_ARROW: dict[str, Callable[[Json], Any]] = {
    "integer": _integer,
    "number": float,
    "decimal": Decimal,
    "boolean": _boolean,
    "date": date.fromisoformat,
    "datetime": lambda value: _utc(datetime.fromisoformat(value)),
}


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment


def _distinct(columns: Sequence[Column]) -> list[str]:
    """Column names may be the same twice in a table, not in Parquet."""
    taken: dict[str, int] = {}
    result = []
    for column in columns:
        taken[column.name] = count = taken.get(column.name, 0) + 1
        result.append(column.name if count == 1 else f"{column.name} ({count})")
    return result


class _Pieces(io.RawIOBase):
    """A file that is taken away in pieces while it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        self._size += len(self._pieces[-1])
        return len(self._pieces[-1])

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
