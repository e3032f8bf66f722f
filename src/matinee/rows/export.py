"""The table people get back: their columns, the results and `error`; as CSV, Parquet or JSON Lines, streamed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Literal

from matinee.errors import UsageError
from matinee.rows.stored import Outcome
from matinee.rows.table import Column
from matinee.values.validate import resolve

Json = Any
Schema = dict[str, Any]
Format = Literal["csv", "parquet", "jsonl"]
FORMATS: tuple[Format, ...] = ("csv", "parquet", "jsonl")
MEDIA_TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet", "jsonl": "application/jsonl"}
BATCH_ROWS = 1000
_BOM = b"\xef\xbb\xbf"  # Excel reads UTF-8 only with it


class Layout:
    """The columns of the table: the upload's, the result's (its fields, if it has), and `error`."""

    def __init__(self, columns: Sequence[Column], result: Schema) -> None:
        self.given = tuple(columns)
        taken = {column.name for column in columns}
        meant = resolve(result, result)
        fields = meant.get("properties") if meant.get("type") == "object" and "x-matinee" not in meant else None
        self.fields = tuple(fields) if fields else None
        parts = [resolve(part, result) for part in fields.values()] if fields else [meant]
        names = [_free(name, taken) for name in fields or ("result",)]
        self.results = tuple(Column(name, _kind(part)) for name, part in zip(names, parts, strict=True))
        self.error = Column(_free("error", taken), "string")

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns in order."""
        return (*self.given, *self.results, self.error)

    def row(self, outcome: Outcome) -> list[Json]:
        """Return one line of the table."""
        width = len(self.given)
        cells = [*outcome.cells[:width], *[None] * (width - len(outcome.cells))]
        return [*cells, *self._values(outcome.result), outcome.error or None]

    def _values(self, result: Json) -> list[Json]:
        if self.fields is None:
            return [result]
        return [result.get(name) for name in self.fields] if isinstance(result, dict) else [None] * len(self.fields)


def export(layout: Layout, outcomes: Iterable[Outcome], form: str) -> Iterator[bytes]:
    """Yield the file in pieces. Raises UsageError for a format there is not."""
    makers: dict[str, Callable[[Layout, Iterable[Outcome]], Iterator[bytes]]] = {
        "csv": _csv,
        "jsonl": _jsonl,
        "parquet": _parquet,
    }
    if form not in makers:
        raise UsageError(f"There is no format {form!r}.", hint=f"Use one of {', '.join(FORMATS)}.")
    return makers[form](layout, outcomes)


def _free(name: str, taken: set[str]) -> str:
    candidate, count = name, 1
    while candidate in taken:
        candidate, count = f"result_{name}" if count == 1 else f"result_{name}_{count}", count + 1
    taken.add(candidate)
    return candidate


def _kind(part: Schema) -> str:
    """Return the column type of values of this schema; what is not plain is JSON."""
    branches = part.get("anyOf") or [part]
    kinds = {kind for branch in branches for kind in _types(branch)} - {"null"}
    kind = kinds.pop() if len(kinds) == 1 else "number" if kinds == {"integer", "number"} else ""
    if kind == "string":
        formats = {branch.get("format", "") for branch in branches if "string" in _types(branch)}
        return {"date": "date", "date-time": "datetime"}.get(formats.pop(), "string") if len(formats) == 1 else "string"
    return kind if kind in ("integer", "number", "boolean") else "json"


def _types(branch: Schema) -> list[str]:
    kind = branch.get("type", ["object"])
    return [kind] if isinstance(kind, str) else list(kind)


def _csv(layout: Layout, outcomes: Iterable[Outcome]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([column.name for column in layout.columns])
    yield _BOM + text.getvalue().encode("utf-8", "replace")
    for batch in _batches(outcomes):
        text.seek(0)
        text.truncate()
        writer.writerows([_cell(value) for value in layout.row(outcome)] for outcome in batch)
        yield text.getvalue().encode("utf-8", "replace")


def _cell(value: Json) -> Json:
    if value is None or (isinstance(value, (str, int, float)) and not isinstance(value, bool)):
        return "" if value is None else value
    return json.dumps(value, ensure_ascii=False)


def _jsonl(layout: Layout, outcomes: Iterable[Outcome]) -> Iterator[bytes]:
    names = [column.name for column in layout.given]
    for batch in _batches(outcomes):
        lines = []
        for outcome in batch:
            inputs = dict(zip(names, outcome.cells, strict=False))
            line = {"row": outcome.number, "inputs": inputs, "result": outcome.result, "error": outcome.error or None}
            lines.append(json.dumps(line, ensure_ascii=False))
        yield "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def _parquet(layout: Layout, outcomes: Iterable[Outcome]) -> Iterator[bytes]:
    from matinee.rows.parquet import arrow

    pa, pq = arrow()
    schema = pa.schema([(column.name, _arrow_type(pa, column.type)) for column in layout.columns])
    makers = [_maker(column.type) for column in layout.columns]
    written = _Pieces()
    with pq.ParquetWriter(written, schema, compression="zstd") as writer:
        for batch in _batches(outcomes):
            lists = zip(*map(layout.row, batch), strict=True)
            arrays = [
                pa.array(map(make, values), field.type)
                for make, values, field in zip(makers, lists, schema, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            yield written.take()
    yield written.take()


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
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _arrow_type(pa: Any, kind: str) -> Any:
    return {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}.get(kind, pa.string())


def _maker(kind: str) -> Callable[[Json], Json]:
    """Return what makes a cell fit its Arrow type: what does not is missing rather than the end of the file."""
    if kind == "integer":
        return lambda value: int(value) if _is_number(value) and value == int(value) and abs(value) < 2**63 else None
    if kind == "number":
        return lambda value: float(value) if _is_number(value) and abs(value) < 1.8e308 else None
    if kind == "boolean":
        return lambda value: value if isinstance(value, bool) else None
    return lambda value: value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _batches(outcomes: Iterable[Outcome]) -> Iterator[list[Outcome]]:
    stream = iter(outcomes)
    while batch := list(islice(stream, BATCH_ROWS)):
        yield batch
