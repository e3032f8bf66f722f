"""Long streams of rows in Files: chunks of JSON Lines that say in their names which rows they hold.

A chunk is whole or absent, and listing the names alone tells how far a run has come: what a crash left is gone on with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from matinee.rows.inputs import MARK, Cells, is_decimal
from matinee.tables.columns import COMMA, Column
from matinee.tables.write import json_lines, write
from matinee.values.validate import resolve

Json = Any

MAX_ROWS = 1000
MAX_BYTES = 1 << 20

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

if TYPE_CHECKING:

    class RowFiles(Protocol):
        """The part of the port Files that rows need."""

        def put(self, key: str, data: bytes, *, media_type: str = ...) -> int: ...
        def read(self, key: str) -> bytes: ...
        def list(self, prefix: str) -> Iterator[str]: ...
        def delete(self, keys: Iterable[str]) -> None: ...


class Chunk(NamedTuple):
    """Rows `first` … `first + size - 1` (from 1), `failed` of them with an error, written by this attempt."""

    key: str
    first: int
    size: int
    failed: int
    attempt: int

    @property
    def next(self) -> int:
        """The row after its last."""
        return self.first + self.size


class Writer:
    """Puts lines as chunks under a prefix; `flush` puts what there is."""

    def __init__(self, files: RowFiles, prefix: str, *, first: int = 1, attempt: int = 0) -> None:
        self._files = files
        self._prefix = prefix
        self._attempt = attempt
        self._lines: list[bytes] = []
        self._bytes = 0
        self._failed = 0
        self.first = first  # the first row that is not put yet

    @property
    def next(self) -> int:
        """The row that is added next."""
        return self.first + len(self._lines)

    def add(self, value: Json, *, failed: bool = False) -> None:
        """Add one row's line; ValueError for what is not JSON."""
        line = _encode(value).encode("utf-8", "replace")
        self._lines.append(line)
        self._bytes += len(line)
        self._failed += failed

    @property
    def is_full(self) -> bool:
        """Whether it is time to flush."""
        return len(self._lines) >= MAX_ROWS or self._bytes >= MAX_BYTES

    def flush(self) -> None:
        """Put the rows added since the last chunk, if there are any."""
        if not self._lines:
            return
        name = f"{self.first:09d}-{len(self._lines)}-{self._failed}-{self._attempt}.jsonl"
        self._files.put(f"{self._prefix}/{name}", b"\n".join(self._lines) + b"\n", media_type="application/jsonl")
        self.first = self.next
        self._lines.clear()
        self._bytes = self._failed = 0


def chain_chunks(files: RowFiles, prefix: str, *, start: int = 1) -> list[Chunk]:
    """Return the chunks that follow one another without a gap from the first row, from the one that holds `start`.

    Where two begin with the same row, as after a worker that was believed lost, the later attempt's counts.
    """
    by_first: dict[int, Chunk] = {}
    for key in files.list(f"{prefix}/"):
        chunk = _parsed(key)
        known = by_first.get(chunk.first) if chunk else None
        if chunk and (known is None or chunk.attempt > known.attempt):
            by_first[chunk.first] = chunk
    found = []
    at = 1
    while chunk := by_first.get(at):
        found.append(chunk)
        at = chunk.next
    return [chunk for chunk in found if chunk.next > start]


def read_rows(read: Callable[[str], bytes], chunks: Iterable[Chunk], *, start: int = 1) -> Iterator[Json]:
    """Yield the rows of chunks, from row `start`; one chunk at a time is in memory. `read` gives a key's bytes."""
    for chunk in chunks:
        lines = read(chunk.key).splitlines()
        for line in lines[max(0, start - chunk.first) :]:
            yield json.loads(line)


def _parsed(key: str) -> Chunk | None:
    name, _, suffix = key.rpartition("/")[2].partition(".")
    numbers = name.split("-")
    if suffix != "jsonl" or len(numbers) != 4 or not all(map(str.isdecimal, numbers)):
        return None
    return Chunk(key, *map(int, numbers))


# --- uploads and outcomes ---------------------------------------------------------------------------------------------
# A table that was uploaded for a run, and what has come of its rows: `{"$rows": {…}}` in a run's inputs and result.


@dataclass(frozen=True)
class Upload:
    """What a run's table looks like; its rows are chunks of cells under `key`."""

    key: str
    columns: tuple[Column, ...]
    mapping: Mapping[str, str]  # parameter → column
    total: int
    name: str = ""  # of the file
    readings: Mapping[str, str] = field(default_factory=dict)  # column → how its texts are read, where not plainly

    @property
    def reference(self) -> Json:
        """What stands in the run's inputs."""
        return {MARK: {"key": self.key, "total": self.total, "name": self.name}}

    def cells(self, parameters: dict[str, Any]) -> Cells:
        """Return what makes inputs of its rows."""
        names = [column.name for column in self.columns]
        return Cells(parameters, names, self.mapping, self.readings)

    def put(self, files: RowFiles) -> None:
        """Write the description beside the rows."""
        files.put(f"{self.key}/table.json", json.dumps(asdict(self)).encode(), media_type="application/json")


class Outcome(NamedTuple):
    """One row with what came of it; `error` is "" when it succeeded."""

    number: int
    cells: list[Json]
    result: Json
    error: str


def rows_reference(value: Json) -> dict[str, Json] | None:
    """Return what a run's inputs or result say of rows; None when it is no run of rows."""
    found = value.get(MARK) if isinstance(value, dict) and len(value) == 1 else None
    return found if isinstance(found, dict) and "key" in found else None


def load_upload(files: RowFiles, key: str) -> Upload:
    """Return the table uploaded under `key`."""
    stored = json.loads(files.read(f"{key}/table.json"))
    columns = tuple(Column(**column) for column in stored["columns"])
    if stored.pop("decimal_comma", False):  # how it was stored before columns had readings
        stored["readings"] = {column.name: COMMA for column in columns}
    return Upload(**{**stored, "columns": columns})


def results_key(run_id: str) -> str:
    """Return under which key a run's results are, whatever its attempt."""
    return f"results/{run_id}/rows"


def read_outcomes(files: RowFiles, upload: Upload, run_id: str, unfinished: str) -> Iterator[Outcome]:
    """Yield every row of the upload with its outcome; rows not reached have the error `unfinished`."""
    uploaded = read_rows(files.read, chain_chunks(files, upload.key))
    done = read_rows(files.read, chain_chunks(files, results_key(run_id)))
    for number, cells in enumerate(uploaded, 1):
        result, error = next(done, (None, unfinished))
        yield Outcome(number, cells, result, error)


# --- exporting the results --------------------------------------------------------------------------------------------
# The table people get back: their columns, the results and `error`.

Schema = dict[str, Any]


class Layout:
    """The columns of the table: the upload's, the result's (its fields, if it has), and `error`."""

    def __init__(self, columns: Sequence[Column], result: Schema) -> None:
        self.uploaded = tuple(columns)
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
        return (*self.uploaded, *self.results, self.error)

    def row(self, outcome: Outcome) -> list[Json]:
        """Return one line of the table."""
        width = len(self.uploaded)
        cells = [*outcome.cells[:width], *[None] * (width - len(outcome.cells))]
        return [*cells, *self._values(outcome.result), outcome.error or None]

    def _values(self, result: Json) -> list[Json]:
        if self.fields is None:
            return [result]
        return [result.get(name) for name in self.fields] if isinstance(result, dict) else [None] * len(self.fields)


def export(layout: Layout, outcomes: Iterable[Outcome], form: str, separator: str = ",") -> Iterator[bytes]:
    """Return the file in pieces. Raises UsageError for a format there is not."""
    if form == "jsonl":
        return json_lines(_record(layout, outcome) for outcome in outcomes)
    return write(form, layout.columns, map(layout.row, outcomes), separator=separator)


def _record(layout: Layout, outcome: Outcome) -> Json:
    inputs = dict(zip((column.name for column in layout.uploaded), outcome.cells, strict=False))
    return {"row": outcome.number, "inputs": inputs, "result": outcome.result, "error": outcome.error or None}


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
    if is_decimal(branches):
        return "decimal"
    if kind == "string":
        formats = {branch.get("format", "") for branch in branches if "string" in _types(branch)}
        return {"date": "date", "date-time": "datetime"}.get(formats.pop(), "string") if len(formats) == 1 else "string"
    return kind if kind in ("integer", "number", "boolean") else "json"


def _types(branch: Schema) -> list[str]:
    kind = branch.get("type", ["object"])
    return [kind] if isinstance(kind, str) else list(kind)
