"""Many runs as one file: a line for each, with its inputs and its result. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from matinee.runs import Run
from matinee.tables.columns import Column
from matinee.tables.write import json_lines, write

Json = Any

MOST = 5000  # runs in one file: it is made in memory
FACTS = ("id", "predictor", "user", "status", "created_at", "duration_s", "version", "failure")


def record(run: Run, inputs: Json, result: Json) -> dict[str, Json]:
    """Return one run as it is exported; times are UTC."""
    return {
        "id": run.id,
        "predictor": run.predictor,
        "user": run.user,
        "status": run.status.value,
        "created_at": datetime.fromtimestamp(run.created_at, UTC).isoformat(timespec="milliseconds"),
        "duration_s": None if run.duration_s is None else round(run.duration_s, 3),
        "version": run.version,
        "failure": run.failure.message if run.failure else None,
        "inputs": inputs,
        "result": result,
    }


def to_file(form: str, records: Iterable[Mapping[str, Json]]) -> bytes:
    """Return the runs in a format of `tables.write`: of JSON Lines an object a run, values as they are.

    Else facts, then a column for each input and for each part of a result; what is no plain value is JSON in its cell.
    """
    if form == "jsonl":
        return b"".join(json_lines(records))
    lines = [dict(_cells(record)) for record in records]
    names = list(dict.fromkeys([*FACTS, *(name for line in lines for name in line)]))
    ordered = [*FACTS, *(n for n in names if n.startswith("input.")), *(n for n in names if n.startswith("result"))]
    rows = [[line.get(name) for name in ordered] for line in lines]
    return b"".join(write(form, [Column(name, _kind(name)) for name in ordered], rows))


def _kind(name: str) -> str:
    return "number" if name == "duration_s" else "text"


def _cells(record: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    for name in FACTS:
        yield name, record[name]
    inputs, result = record["inputs"], record["result"]
    for name, value in (inputs if isinstance(inputs, Mapping) else {}).items():
        yield f"input.{name}", value
    if isinstance(result, Mapping) and not any(str(name).startswith("$") for name in result):
        for name, value in result.items():
            yield f"result.{name}", value
    elif result is not None:
        yield "result", result
