"""Records as CSV, Parquet or JSON Lines, in pieces: no more than a batch of them is held at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from matinee.rows.parquet import arrow

Json = Any
Record = dict[str, Json]
Form = Literal["csv", "parquet", "jsonl"]
FORMATS: tuple[Form, ...] = ("csv", "parquet", "jsonl")
MEDIA_TYPES: dict[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/jsonl",
}
COLUMNS = {  # name -> text | json | number | integer
    "run": "text",
    "predictor": "text",
    "version": "text",
    "kind": "text",
    "user": "text",
    "status": "text",
    "created_at": "text",
    "duration_s": "number",
    "inputs": "json",
    "result": "json",
    "failure": "text",
    "failure_message": "text",
    "feedback_user": "text",
    "rating": "integer",
    "scale": "text",  # thumbs: -1 or 1; stars: 1 to 5
    "score": "number",  # 0 (worst) to 1 (best) on any scale
    "comment": "text",
    "corrected": "json",
    "feedback_at": "text",
}
BATCH_ROWS = 1000
BATCH_BYTES = 4_000_000  # of JSON: a result alone may have as much
_BOM = b"\xef\xbb\xbf"  # Excel reads UTF-8 only with it
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run


def written(form: Form, records: Iterable[Record]) -> Iterator[bytes]:
    """Yield the file in pieces."""
    makers: dict[str, Callable[[Iterator[list[list[Json]]]], Iterator[bytes]]] = {"csv": _csv, "parquet": _parquet}
    if form == "jsonl":
        return _jsonl(records)
    return makers[form](_batches(records))


def _jsonl(records: Iterable[Record]) -> Iterator[bytes]:
    for record in records:
        yield (json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _batches(records: Iterable[Record]) -> Iterator[list[list[Json]]]:
    """Yield rows of cells: what is JSON as its text."""
    rows: list[list[Json]] = []
    size = 0
    for record in records:
        row = [_cell(record[name], kind) for name, kind in COLUMNS.items()]
        rows.append(row)
        size += sum(len(cell) for cell in row if isinstance(cell, str))
        if len(rows) == BATCH_ROWS or size > BATCH_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _cell(value: Json, kind: str) -> Json:
    if value is None or kind in ("number", "integer"):
        return value
    text = json.dumps(value, ensure_ascii=False) if kind == "json" else str(value)
    return text.encode("utf-8", "replace").decode()


def _csv(batches: Iterator[list[list[Json]]]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    yield _BOM + text.getvalue().encode()
    kinds = tuple(COLUMNS.values())
    for rows in batches:
        text.seek(0)
        text.truncate()
        writer.writerows([_harmless(cell, kind) for cell, kind in zip(row, kinds, strict=True)] for row in rows)
        yield text.getvalue().encode()


def _harmless(cell: Json, kind: str) -> Json:
    """What people wrote must not become a formula in whoever's spreadsheet; Parquet and JSON Lines have it as it is."""
    return f"'{cell}" if kind == "text" and isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _parquet(batches: Iterator[list[list[Json]]]) -> Iterator[bytes]:
    pa, pq = arrow()
    types = {"number": pa.float64(), "integer": pa.int64()}
    schema = pa.schema([(name, types.get(kind, pa.string())) for name, kind in COLUMNS.items()])
    pieces = Pieces()
    with pq.ParquetWriter(pieces, schema, compression="zstd") as writer:
        for rows in batches:
            columns = zip(*rows, strict=True)
            arrays = [pa.array(cells, field.type) for cells, field in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            yield pieces.take()
    yield pieces.take()


class Pieces(io.RawIOBase):
    """A file that is taken away in pieces while it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Return how much was written."""
        return self._size

    def write(self, data: Any) -> int:
        """Keep the data until it is taken."""
        self._pieces.append(bytes(data))
        self._size += len(self._pieces[-1])
        return len(self._pieces[-1])

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
