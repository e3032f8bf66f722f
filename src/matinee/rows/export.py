"""The table people get back: their columns, the results and `error`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from matinee.rows.cells import is_decimal
from matinee.rows.stored import Outcome
from matinee.tables.columns import Column
from matinee.tables.write import json_lines, write
from matinee.values.validate import resolve

Json = Any
Schema = dict[str, Any]


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


def export(layout: Layout, outcomes: Iterable[Outcome], form: str, separator: str = ",") -> Iterator[bytes]:
    """Return the file in pieces. Raises UsageError for a format there is not."""
    if form == "jsonl":
        return json_lines(_record(layout, outcome) for outcome in outcomes)
    return write(form, layout.columns, map(layout.row, outcomes), separator=separator)


def _record(layout: Layout, outcome: Outcome) -> Json:
    inputs = dict(zip((column.name for column in layout.given), outcome.cells, strict=False))
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
