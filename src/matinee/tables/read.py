"""What any uploaded file becomes: named columns and a stream of rows; or one sentence why it is no table.

CSV and its relatives in every dialect and encoding, Excel and Parquet: the content decides, never the name.
Excel and Parquet are read in this process here; what people upload goes through `uploads`, which has limits.
"""

from __future__ import annotations

import base64
import codecs
import csv
import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from matinee.decoding import file_error
from matinee.errors import InputError, UsageError
from matinee.tables.columns import Column, Json, Table, unique_names

Source = str | Path | bytes | BinaryIO  # a path, the bytes themselves, or a stream that can go back to its start

MAX_COLUMNS = 2000
MAGIC_BYTES = 16
PARQUET = b"PAR1"
ZIP = b"PK\x03\x04"
_CHOOSE = "Choose a CSV, Excel or Parquet file."
_NO_TABLES = (  # what people upload instead, by its first bytes
    (b"\xd0\xcf\x11\xe0", "an Excel workbook of the old kind, or one with a password", "Save it as .xlsx without one."),
    (b"\x1f\x8b", "compressed", "Unpack it first."),
    (b"%PDF", "a PDF", ""),
    (b"\x89PNG", "a picture", ""),
    (b"\xff\xd8\xff", "a picture", ""),
    (b"SQLite format 3", "a database", "Export the table as CSV."),
    (b"ARROW1", "an Arrow file", "Save it as Parquet."),
)
DELIMITERS = ",;\t|"
SAMPLE_CHARS = 32_768  # what the delimiter is told from
SAMPLE_RECORDS = 50
MAX_LINE_CHARS = 4_000_000
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)  # how Excel says its own
_CHUNK = 1 << 20
_SAMPLE = 4096
_MARKS = (  # the longer first: UTF-32's begins as UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF8, "utf-8-sig", ""),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_SAVE_AS_UTF8 = "Save it as “CSV UTF-8”."
BATCH_ROWS = 1000
MAX_PARQUET_CELLS = 100_000_000
MAX_UNPACKED_BYTES = 512 << 20
_BROKEN = "is a Parquet file that cannot be read"


@contextmanager
def open_table(source: Source, sheet: str = "") -> Iterator[Table]:
    """Give the table of a CSV (any delimiter, several encodings), Excel (`sheet`, else its first) or Parquet file.

    Raises InputError when it is no table, also while its rows are read; UsageError when it cannot be opened.
    """
    with open_source(source) as stream:
        start = stream.read(MAGIC_BYTES)
        stream.seek(0)
        if not start:
            raise file_error("is empty", "Choose a file with a line of column names and a line for each row.")
        table = _table(stream, start, sheet)
        try:
            if len(table.columns) > MAX_COLUMNS:
                raise file_error(f"has {len(table.columns):,} columns, and at most {MAX_COLUMNS:,} are possible")
            yield table
        finally:
            close = getattr(table.rows, "close", None)
            if close:
                close()


def _table(stream: BinaryIO, start: bytes, sheet: str) -> Table:
    if start.startswith(ZIP):
        from matinee.tables.excel import read_workbook

        return read_workbook(stream, sheet)
    if sheet:
        raise file_error("is no Excel workbook, so it has no sheets", "Leave the sheet out.")
    if start.startswith(PARQUET):
        return read_parquet(stream)
    for magic, what, hint in _NO_TABLES:
        if start.startswith(magic):
            raise file_error(f"is {what}, not a table", hint or _CHOOSE)
    return read_delimited(stream)


def file_name(source: Source) -> str:
    """Return the name of the file, "" if it has none."""
    name = source if isinstance(source, (str, Path)) else getattr(source, "name", "")
    return os.path.basename(name) if isinstance(name, (str, Path)) else ""  # noqa: PTH119 (of either kind)


@contextmanager
def open_source(source: Source) -> Iterator[BinaryIO]:
    """Give the source as a stream at its start; UsageError when the file cannot be opened."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, (str, Path)):
        try:
            stream = Path(source).expanduser().open("rb")
        except OSError as error:
            raise UsageError(
                f"{source} cannot be read: {error.strerror or error}.", hint="Name a CSV, Excel or Parquet file."
            ) from error
        with stream:
            yield stream
    else:
        source.seek(0)
        yield source


# --- delimited text ---------------------------------------------------------------------------------------------------


def read_delimited(stream: BinaryIO) -> Table:
    """Return the table of a text file whose first line names the columns; empty lines are skipped."""
    encoding, note = _encoding(stream)
    delimiter, skipped = _delimiter(stream, encoding)
    records = _records(stream, encoding, delimiter, skipped)
    header = next(records, None)
    if header is None:
        raise file_error("is empty", "Its first line must name the columns.")
    columns = tuple(Column(name) for name in unique_names(header))
    notes = [note] if note else []
    if delimiter != ",":
        notes.append(f"The columns are separated by {_NAMES.get(delimiter, repr(delimiter))}.")
    return Table(columns, records, tuple(notes), delimiter=delimiter if len(columns) > 1 else "")


def _delimiter(stream: BinaryIO, encoding: str) -> tuple[str, int]:
    """Return the delimiter and how many lines to skip before the header."""
    text = io.TextIOWrapper(stream, encoding=encoding, newline="")
    sample = text.read(SAMPLE_CHARS)
    text.detach()
    named = _SEPARATOR_LINE.match(sample)
    if named:
        return named[1], 1
    if sample.lstrip()[:1] in ("{", "[", "<"):
        kind = "a web page or XML" if sample.lstrip()[0] == "<" else "JSON"
        raise file_error(f"is {kind}, not a table", _CHOOSE)
    return guess_delimiter(sample), 0


def guess_delimiter(sample: str) -> str:
    """Return the delimiter that cuts the first records most evenly, and among those the one that cuts most."""
    lines = sample.splitlines(keepends=True)
    if len(sample) >= SAMPLE_CHARS and len(lines) > 1:
        lines.pop()  # cut in the middle

    def evenness(delimiter: str) -> tuple[float, int]:
        records = csv.reader(lines, delimiter=delimiter)
        try:
            widths = [len(record) for record in islice(records, SAMPLE_RECORDS) if record]
        except csv.Error:
            return 0.0, 0
        if not widths or widths[0] < 2:
            return 0.0, 0
        return widths.count(widths[0]) / len(widths), widths[0]

    return max(DELIMITERS, key=evenness)


def _records(stream: BinaryIO, encoding: str, delimiter: str, skipped: int) -> Iterator[list[Json]]:
    stream.seek(0)
    text = io.TextIOWrapper(stream, encoding=encoding, newline="")
    lines = _lines(text)
    for _ in range(skipped):
        next(lines, None)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    began = 1
    try:
        for record in reader:
            if record:
                yield record
            began = reader.line_num + 1
    except csv.Error as error:
        raise _unreadable(error, began + skipped) from None
    except UnicodeError:
        raise file_error(
            f"changes its encoding at line {reader.line_num + skipped}", "Save it as “CSV UTF-8”."
        ) from None
    finally:
        text.detach()


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    number = 0
    while line := text.readline(MAX_LINE_CHARS):
        number += 1
        if len(line) == MAX_LINE_CHARS and line[-1] not in "\r\n":
            raise file_error(f"has a line of more than {MAX_LINE_CHARS:,} characters: line {number}", "Is it a table?")
        yield line


def _unreadable(error: csv.Error, line: int) -> InputError:
    words = str(error)
    if "end of data" in words or "field larger" in words:
        return file_error(
            f"has a quotation mark at line {line} that is not closed, or a cell of more than "
            f"{csv.field_size_limit():,} characters",
            'A quotation mark inside a quoted cell is written twice: "".',
        )
    return file_error(
        f"has a quoted cell at line {line} that goes on after its closing mark", 'Write the mark twice: "".'
    )


# --- encodings --------------------------------------------------------------------------------------------------------


def _encoding(stream: BinaryIO) -> tuple[str, str]:
    """Return (Python's name of the encoding, a sentence for people or ""); the stream is at its start afterwards.

    UTF-8 with or without mark, UTF-16 and UTF-32, else Windows-1252, which is said. InputError for what is no text.
    """
    start = stream.read(_SAMPLE)
    encoding, label = _encoding_by_mark(start)
    if not encoding:
        encoding = "utf-8" if _decodes(stream, "utf-8") else "cp1252"
        label = "" if encoding == "utf-8" else "Windows-1252"
    if encoding != "utf-8" and not _decodes(stream, encoding):
        raise file_error("holds characters that its encoding does not have", _SAVE_AS_UTF8)
    stream.seek(0)
    note = f"The text is read as {label}, not UTF-8: look whether accents and symbols are right."
    return encoding, note if label else ""


def _encoding_by_mark(start: bytes) -> tuple[str, str]:
    for mark, encoding, label in _MARKS:
        if start.startswith(mark):
            return encoding, label
    nulls = start.count(0)
    if not nulls:
        return "", ""
    if nulls >= len(start) // 3:  # Latin letters in two bytes each
        little = start[1::2].count(0) > start[::2].count(0)
        return ("utf-16-le" if little else "utf-16-be"), "UTF-16"
    raise file_error("is not text, and not Parquet", _CHOOSE)


def _decodes(stream: BinaryIO, encoding: str) -> bool:
    stream.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while chunk := stream.read(_CHUNK):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


# --- Parquet ----------------------------------------------------------------------------------------------------------
# pyarrow costs 80 MB of memory, so it is loaded only when such a file is there.


def load_arrow() -> tuple[Any, Any]:
    """Return pyarrow and pyarrow.parquet; UsageError where they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError("Parquet needs pyarrow.", hint="Install pyarrow, or use CSV.") from None
    return pyarrow, pyarrow.parquet


def read_parquet(stream: BinaryIO) -> Table:
    """Return the table of a Parquet file; dates become ISO texts, bytes files; NaN is missing."""
    pa, pq = load_arrow()
    try:
        file = pq.ParquetFile(stream, pre_buffer=False)
        fields = list(file.schema_arrow)
    except (pa.ArrowException, OSError) as error:
        raise file_error(f"{_BROKEN}: {_words(error)}", "Is it whole? Write it again.") from None
    _check_size(file.metadata)
    names = unique_names([field.name for field in fields])
    columns = tuple(Column(name, kind_of(pa.types, field.type)) for name, field in zip(names, fields, strict=True))
    readers = [_reader(pa.types, field.type) for field in fields]
    return Table(columns, _rows(pa, file, readers), total=file.metadata.num_rows)


def _check_size(metadata: Any) -> None:
    """Raise InputError before anything is decoded: a value that repeats takes no room in the file."""
    cells = metadata.num_rows * metadata.num_columns
    unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if cells > MAX_PARQUET_CELLS:
        raise file_error(f"has {cells:,} cells, and at most {MAX_PARQUET_CELLS:,} are read", "Split it.")
    if unpacked > MAX_UNPACKED_BYTES:
        raise file_error(f"has more than {MAX_UNPACKED_BYTES >> 20} MB when it is unpacked", "Split it.")


def _rows(pa: Any, file: Any, readers: list[Callable[[Any], Json] | None]) -> Iterator[list[Json]]:
    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            lists = (column.to_pylist() for column in batch.columns)
            pairs = zip(readers, lists, strict=True)
            cells = [values if read is None else list(map(read, values)) for read, values in pairs]
            yield from map(list, zip(*cells, strict=True))
    except MemoryError:  # Arrow's own is one of its exceptions, too
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise file_error(f"{_BROKEN}: {_words(error)}", "Write it again.") from None


def kind_of(types: Any, kind: Any) -> str:
    """Return our name of an Arrow type."""
    checks = (
        ("boolean", types.is_boolean), ("integer", types.is_integer), ("number", types.is_floating),
        ("decimal", types.is_decimal), ("date", types.is_date), ("datetime", types.is_timestamp),
        ("string", types.is_string), ("string", types.is_large_string), ("string", types.is_time),
    )  # fmt: skip
    return next((name for name, fits in checks if fits(kind)), "json")


def _reader(types: Any, kind: Any) -> Callable[[Any], Json] | None:
    """Return what makes JSON of a cell; None where it is JSON already."""
    plain = (types.is_boolean, types.is_integer, types.is_string, types.is_large_string)
    return None if any(fits(kind) for fits in plain) else _plain


def _plain(value: Any) -> Json:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):  # NaN is missing; JSON has no infinity, and no number is made of it
        return value if abs(value) <= 1.7976931348623157e308 else None if value != value else str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return {"$blob": "application/octet-stream", "name": "", "base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return list(map(_plain, value)) if isinstance(value, (list, tuple)) else str(value)


def _words(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120].rstrip(".")
