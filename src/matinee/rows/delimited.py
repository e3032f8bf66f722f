"""CSV and its relatives, streamed: the delimiter told from the first lines, one record at a time."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from matinee.errors import InputError
from matinee.rows.encoding import encoding_of
from matinee.rows.table import Column, Json, Table, refused, unique

DELIMITERS = ",;\t|"
SAMPLE_CHARS = 32_768  # what the delimiter is told from
SAMPLE_RECORDS = 50
MAX_LINE_CHARS = 4_000_000
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)  # how Excel says its own


def read_delimited(stream: BinaryIO) -> Table:
    """Return the table of a text file whose first line names the columns; empty lines are skipped."""
    encoding, note = encoding_of(stream)
    delimiter, skipped = _delimiter(stream, encoding)
    records = _records(stream, encoding, delimiter, skipped)
    header = next(records, None)
    if header is None:
        raise refused("is empty", "Its first line must name the columns.")
    columns = tuple(Column(name) for name in unique(header))
    notes = [note] if note else []
    if delimiter != ",":
        notes.append(f"The columns are separated by {_NAMES.get(delimiter, repr(delimiter))}.")
    return Table(columns, records, tuple(notes), decimal_comma=delimiter == ";")


def _delimiter(stream: BinaryIO, encoding: str) -> tuple[str, int]:
    """Return the delimiter and how many lines to skip before the header."""
    text = io.TextIOWrapper(stream, encoding=encoding, newline="")
    sample = text.read(SAMPLE_CHARS)
    text.detach()
    told = _SEPARATOR_LINE.match(sample)
    if told:
        return told[1], 1
    if sample.lstrip()[:1] in ("{", "[", "<"):
        kind = "a web page or XML" if sample.lstrip()[0] == "<" else "JSON"
        raise refused(f"is {kind}, not a table", "Choose a CSV or Parquet file.")
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
        raise refused(f"changes its encoding at line {reader.line_num + skipped}", "Save it as “CSV UTF-8”.") from None
    finally:
        text.detach()


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    number = 0
    while line := text.readline(MAX_LINE_CHARS):
        number += 1
        if len(line) == MAX_LINE_CHARS and line[-1] not in "\r\n":
            raise refused(f"has a line of more than {MAX_LINE_CHARS:,} characters: line {number}", "Is it a table?")
        yield line


def _unreadable(error: csv.Error, line: int) -> InputError:
    words = str(error)
    if "end of data" in words or "field larger" in words:
        return refused(
            f"has a quotation mark at line {line} that is not closed, or a cell of more than "
            f"{csv.field_size_limit():,} characters",
            'A quotation mark inside a quoted cell is written twice: "".',
        )
    return refused(f"has a quoted cell at line {line} that goes on after its closing mark", 'Write the mark twice: "".')
