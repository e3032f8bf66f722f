"""Many runs as one file: a line for each, with its inputs and its result, as CSV or JSON Lines. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from matinee.runs import Run

Json = Any

MOST = 5000  # runs in one file: it is made in memory
FACTS = ("id", "predictor", "user", "status", "created_at", "duration_s", "version", "failure")
_RISKY = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes such a text for a formula


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


def to_json_lines(records: Iterable[Mapping[str, Json]]) -> bytes:
    """Return one JSON object a line, values as they are."""
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def to_csv(records: Iterable[Mapping[str, Json]]) -> bytes:
    """Return CSV (UTF-8 with the mark Excel needs): facts, then a column for each input and for each part of a result.

    What is no plain value is JSON in its cell. A text that a spreadsheet would take for a formula gets an apostrophe.
    """
    lines = [dict(_cells(record)) for record in records]
    names = list(dict.fromkeys([*FACTS, *(name for line in lines for name in line)]))
    ordered = [*FACTS, *(n for n in names if n.startswith("input.")), *(n for n in names if n.startswith("result"))]
    text = io.StringIO()
    writer = csv.DictWriter(text, ordered, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode("utf-8-sig")


def _cells(record: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    for name in FACTS:
        yield name, _cell(record[name])
    inputs, result = record["inputs"], record["result"]
    for name, value in (inputs if isinstance(inputs, Mapping) else {}).items():
        yield f"input.{name}", _cell(value)
    if isinstance(result, Mapping) and not any(str(name).startswith("$") for name in result):
        for name, value in result.items():
            yield f"result.{name}", _cell(value)
    elif result is not None:
        yield "result", _cell(result)


def _cell(value: Json) -> Json:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(_RISKY) else text
