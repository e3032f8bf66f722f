"""Tables as they travel (`{"$table": columns, "rows": …}`) from and to CSV and Parquet, values kept as they are."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

from matinee.errors import InputError
from matinee.ui import parquet

Json = Any

_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?")


def to_csv(columns: Sequence[str], rows: Sequence[Sequence[Json]]) -> bytes:
    """Return the table as CSV (UTF-8, a missing value is empty).

    A byte-order mark leads only where there are characters outside ASCII: Excel needs it to read them.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    content = text.getvalue()
    return content.encode("ascii" if content.isascii() else "utf-8-sig")


def _cell(value: Json) -> Json:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def from_upload(name: str, data: bytes, path: str = "") -> dict[str, Json]:
    """Return the table of an uploaded CSV, TSV or Parquet file; InputError at `path` if it is none."""
    try:
        return parquet.read(data) if name.lower().endswith(".parquet") else _from_csv(name, data)
    except UnicodeDecodeError:
        message = "is not a UTF-8 text: save it as “CSV UTF-8”"
    except (ValueError, OSError, csv.Error) as error:
        message = f"cannot be read as a table: {error}"
    raise InputError(path, message)


def _from_csv(name: str, data: bytes) -> dict[str, Json]:
    text = data.decode("utf-8-sig")
    delimiter = "\t" if name.lower().endswith(".tsv") else _delimiter(text)
    lines = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if line]
    if not lines:
        raise ValueError("it is empty")
    header, rows = lines[0], lines[1:]
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(f"line {number} has {len(row)} values, the header has {len(header)}")
    readers = [_reader([row[i] for row in rows]) for i in range(len(header))]
    columns = [{"name": title, "type": kind} for title, (kind, _) in zip(header, readers, strict=True)]
    return {
        "$table": columns,
        "rows": [[read(v) if v else None for (_, read), v in zip(readers, row, strict=True)] for row in rows],
    }


def _delimiter(text: str) -> str:
    """The separator the header holds most of: spreadsheets of half the world write semicolons."""
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def _reader(values: Sequence[str]) -> tuple[str, Callable[[str], Json]]:
    given = [value for value in values if value]
    candidates: tuple[tuple[str, Callable[[str], bool], Callable[[str], Json]], ...] = (
        ("integer", lambda v: bool(_INTEGER.fullmatch(v)), int),
        ("number", lambda v: bool(_NUMBER.fullmatch(v)) and not re.fullmatch(r"[+-]?0\d+", v), float),
        ("boolean", lambda v: v.lower() in ("true", "false"), lambda v: v.lower() == "true"),
        ("date", _is_date, str),
        ("datetime", _is_datetime, lambda v: v.replace(" ", "T")),
    )
    for kind, fits, read in candidates:
        if given and all(map(fits, given)):
            return kind, read
    return "string", str


def typed(values: Sequence[str | None]) -> tuple[str, list[Json]]:
    """Return the kind of a column of texts, and its values read as that kind."""
    kind, read = _reader([value or "" for value in values])
    return kind, [read(value) if value else None for value in values]


def _is_date(text: str) -> bool:
    return bool(_DATE.fullmatch(text)) and _reads(date.fromisoformat, text)


def _is_datetime(text: str) -> bool:
    return bool(_DATETIME.fullmatch(text)) and _reads(datetime.fromisoformat, text)


def _reads(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True
