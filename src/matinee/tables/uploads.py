"""Tables that people upload: the one door of the page, the command line and many rows.

Text is read as it streams. Excel and Parquet are decoded in a child process with a memory limit (`matinee.decoding`)
into lines of JSON on disk, once for each file: checking its rows and storing them read the same lines.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import blake2b
from typing import IO, BinaryIO

from matinee import decoding
from matinee.decoding import file_error
from matinee.errors import InputError, UsageError
from matinee.tables.columns import POINT, READINGS, Column, Json, Question, Table, decide_readings, infer_column
from matinee.tables.read import MAGIC_BYTES, PARQUET, ZIP, Source, open_source, open_table

MAX_CELLS = 2_000_000  # of a table that is one value: it is held in memory, and JSON is several times its size
_CACHE_FILES = 4
_PIECE_BYTES = 1 << 20
_seeking = threading.Lock()


@contextmanager
def open_upload(source: Source, sheet: str = "") -> Iterator[Table]:
    """Give the table of an uploaded file; see `read.open_table`.

    Raises InputError when it is no table or becomes too large, UsageError when it cannot be opened, RateError while
    too many are decoded.
    """
    with open_source(source) as stream:
        start = stream.read(MAGIC_BYTES)
        stream.seek(0)
        if start.startswith((ZIP, PARQUET)):
            yield _decoded_table(_decoded.open(stream, sheet))
            return
        with open_table(stream, sheet) as table:
            yield table


def sheet_names(source: Source) -> tuple[str, ...]:
    """Return the sheets of an Excel workbook, the one that is read first first; () for what is no workbook."""
    with open_source(source) as stream:
        is_workbook = stream.read(MAGIC_BYTES).startswith(ZIP)
        stream.seek(0)
        if not is_workbook:
            return ()
        try:
            return _decoded_table(_decoded.open(stream, "")).sheets
        except UsageError:  # its first sheet cannot be read: another may
            return _decoded.sheets(stream)


# --- reading a whole table --------------------------------------------------------------------------------------------


class AmbiguousTableError(InputError):
    """A column can be read in two ways: `questions` say which, and what each way gives."""

    def __init__(self, path: str, questions: tuple[Question, ...], how: str = "") -> None:
        self.questions = questions
        first = questions[0]
        hint = how.format(column=first.column, reading=first.choices[0].reading) if how else ""
        super().__init__(path, " ".join(map(str, questions)), hint=hint)


def check_readings(readings: Mapping[str, str]) -> None:
    """Raise UsageError for a reading that there is not."""
    for column, reading in readings.items():
        if reading not in READINGS:
            raise UsageError(
                f"There is no reading {reading!r} for {column}.", hint=f"Use one of {', '.join(READINGS)}."
            )


def read_frame(
    source: Source, path: str = "", *, readings: Mapping[str, str] | None = None, sheet: str = "", how: str = ""
) -> dict[str, Json]:
    """Return a whole table with typed columns as it travels; `readings` is column → reading where it was asked.

    Raises InputError at `path` when it is no table or has more than MAX_CELLS, AmbiguousTableError (with the hint
    `how`) when it must be asked.
    """
    check_readings(readings or {})
    try:
        with open_upload(source, sheet) as table:
            rows = _whole_rows(table)
            names = [column.name for column in table.columns]
            texts = {column.name: "any" for column in table.columns if column.type == "text"}
            found, questions = decide_readings(names, rows, texts, readings or {}, table.delimiter)
    except InputError as error:
        raise InputError(path, error.message, hint=error.hint) from None
    if questions:
        raise AmbiguousTableError(path, questions, how)
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    parts = [
        infer_column(cells, found.get(column.name, POINT)) if column.type == "text" else (column.type, list(cells))
        for column, cells in zip(table.columns, columns, strict=True)
    ]
    heads = [{"name": name, "type": kind} for name, (kind, _) in zip(names, parts, strict=True)]
    return {"$table": heads, "rows": [list(row) for row in zip(*(cells for _, cells in parts), strict=True)]}


def _whole_rows(table: Table) -> list[list[Json]]:
    width = len(table.columns)
    rows = []
    for number, row in enumerate(table.rows, 1):
        if number * width > MAX_CELLS:
            raise file_error(f"has more than {MAX_CELLS:,} cells", "Split it, or upload it as a file or as many rows.")
        if len(row) != width:
            values = "1 value" if len(row) == 1 else f"{len(row)} values"
            raise file_error(f"has {values} in row {number:,}, and {width} column names")
        rows.append(row)
    for place, column in enumerate(table.columns):
        if column.type == "number" and any(isinstance(row[place], str) for row in rows):
            raise file_error(
                f"has an infinite number in the column {column.name}", "Leave the cell empty, or write a number."
            )
    return rows


# --- the cache of decoded tables --------------------------------------------------------------------------------------


class _Cache:
    """The last files that were decoded: (content, sheet) → lines of JSON on disk, or why there are none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[bytes, str], IO[bytes] | UsageError] = OrderedDict()

    def open(self, stream: BinaryIO, sheet: str) -> IO[bytes]:
        """Return the lines of a workbook's sheet ("" for its first) or of a Parquet file."""
        digest = _digest(stream)
        with self._lock:
            found = self._entries.get((digest, sheet))
        if found is None:
            try:
                found = decoding.decode(__name__, stream, {"sheet": sheet})
            except InputError as error:
                found = error
            self._add(digest, sheet, found)
        if isinstance(found, UsageError):
            raise found.with_traceback(None)
        return found

    def sheets(self, stream: BinaryIO) -> tuple[str, ...]:
        """Return the names of the sheets alone."""
        try:
            with decoding.decode(__name__, stream, {"sheets": True}) as output:
                return tuple(json.load(output))
        except UsageError:
            return ()

    def _add(self, digest: bytes, sheet: str, found: IO[bytes] | UsageError) -> None:
        names = [sheet]
        if not sheet and not isinstance(found, UsageError):
            names += _decoded_table(found).sheets[:1]  # the one that is read first may be asked for by its name
        with self._lock:
            for name in names:
                self._entries[digest, name] = found
            while len(self._entries) > 2 * _CACHE_FILES:
                self._entries.popitem(last=False)  # whoever still reads it holds the file


_decoded = _Cache()


def _digest(stream: BinaryIO) -> bytes:
    digest = blake2b(digest_size=16)
    stream.seek(0)
    while piece := stream.read(_PIECE_BYTES):
        digest.update(piece)
    stream.seek(0)
    return digest.digest()


def _decoded_table(file: IO[bytes]) -> Table:
    lines = _lines(file)
    head = json.loads(next(lines))
    columns = tuple(Column(**column) for column in head["columns"])
    notes, sheets = tuple(head["notes"]), tuple(head["sheets"])
    return Table(columns, map(json.loads, lines), notes, total=head["total"], sheets=sheets)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file that others read at the same time."""
    offset, rest = 0, b""
    while piece := _read_at(file, offset):
        offset += len(piece)
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines


def _read_at(file: IO[bytes], offset: int) -> bytes:
    with _seeking:
        file.seek(offset)
        return file.read(_PIECE_BYTES)


def _decode(source: BinaryIO, output: BinaryIO, options: Json) -> None:
    """Write what the child process finds: a line of columns, then a line for each row."""
    if "sheets" in options:
        from matinee.tables.excel import sheets_of

        output.write(json.dumps(sheets_of(source)).encode())
        return
    with open_table(source, options["sheet"]) as table:
        head: dict[str, Json] = {"columns": [asdict(column) for column in table.columns], "notes": table.notes}
        head |= {"total": table.total, "sheets": table.sheets}
        output.write(json.dumps(head).encode() + b"\n")
        output.writelines(json.dumps(row).encode() + b"\n" for row in table.rows)


if __name__ == "__main__":
    decoding.serve(_decode)
