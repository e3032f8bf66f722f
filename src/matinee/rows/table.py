"""What any uploaded file becomes: named columns and a stream of rows; or one sentence why it is no table."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from matinee.errors import InputError, UsageError

Json = Any
Source = str | Path | bytes | BinaryIO  # a path, the bytes themselves, or a stream that can go back to its start

MAX_COLUMNS = 2000
MAGIC_BYTES = 16
PARQUET = b"PAR1"
_NO_TABLES = (  # what people upload instead, by its first bytes
    (b"PK\x03\x04", "an Excel workbook or a ZIP archive", "Open it and save it as CSV UTF-8."),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Open it and save it as CSV UTF-8."),
    (b"\x1f\x8b", "compressed", "Unpack it first."),
    (b"%PDF", "a PDF", ""),
    (b"\x89PNG", "a picture", ""),
    (b"\xff\xd8\xff", "a picture", ""),
    (b"SQLite format 3", "a database", "Export the table as CSV."),
    (b"ARROW1", "an Arrow file", "Save it as Parquet."),
)


@dataclass(frozen=True)
class Column:
    """One column. `type` is `text` in a text file, else string|integer|number|boolean|date|datetime|json."""

    name: str
    type: str = "text"


@dataclass(frozen=True)
class Table:
    """Columns and, once, their rows. A row of another width than the header is given as it is.

    `total` is None when only reading tells; `notes` are sentences about how the file was understood.
    """

    columns: tuple[Column, ...]
    rows: Iterator[list[Json]]
    notes: tuple[str, ...] = ()
    decimal_comma: bool = False
    total: int | None = None


@contextmanager
def open_table(source: Source) -> Iterator[Table]:
    """Give the table of a CSV (any delimiter, several encodings) or Parquet file, told by its content.

    Raises InputError when it is no table, also while its rows are read; UsageError when it cannot be opened.
    """
    with _opened(source) as stream:
        start = stream.read(MAGIC_BYTES)
        stream.seek(0)
        if not start:
            raise refused("is empty", "Choose a file with a line of column names and a line for each row.")
        if start.startswith(PARQUET):
            from matinee.rows.parquet import read_parquet as read
        else:
            _refuse_other(start)
            from matinee.rows.delimited import read_delimited as read
        table = read(stream)
        try:
            if len(table.columns) > MAX_COLUMNS:
                raise refused(f"has {len(table.columns):,} columns, and at most {MAX_COLUMNS:,} are possible")
            yield table
        finally:
            close = getattr(table.rows, "close", None)
            if close:
                close()


def refused(why: str, hint: str = "") -> InputError:
    """Return the error that says why the file is no table: `The file is empty.`"""
    return InputError("", f"The file {why}", hint=hint)


def unique(names: list[str]) -> list[str]:
    """Return column names that differ, with one for those that have none."""
    taken: set[str] = set()
    found = []
    for number, given in enumerate(names, 1):
        name = base = given.strip() or f"column {number}"
        count = 2
        while name in taken:
            name, count = f"{base}_{count}", count + 1
        taken.add(name)
        found.append(name)
    return found


def file_name(source: Source) -> str:
    """Return the name of the file, "" if it has none."""
    name = source if isinstance(source, (str, Path)) else getattr(source, "name", "")
    return os.path.basename(name) if isinstance(name, (str, Path)) else ""  # noqa: PTH119 (of either kind)


@contextmanager
def _opened(source: Source) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, (str, Path)):
        try:
            stream = Path(source).expanduser().open("rb")
        except OSError as error:
            raise UsageError(
                f"{source} cannot be read: {error.strerror or error}.", hint="Name a CSV or Parquet file."
            ) from error
        with stream:
            yield stream
    else:
        source.seek(0)
        yield source


def _refuse_other(start: bytes) -> None:
    for magic, what, hint in _NO_TABLES:
        if start.startswith(magic):
            raise refused(f"is {what}, not a table", hint or "Choose a CSV or Parquet file.")
