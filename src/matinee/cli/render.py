"""Runs and results as people read them, and as machines do."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from matinee.cli import output
from matinee.dataclass_json import to_json
from matinee.errors import PredictionError
from matinee.runs import Entry, Run, Status
from matinee.values import registry
from matinee.values.blobs import is_blob

Json = Any
ROWS_SHOWN = 50
_APART = ("inputs", "result")  # of a run: commands of their own print them


def run_json(run: Run, **more: Json) -> dict[str, Json]:
    """Return a run for `--json`; times in epoch seconds."""
    shown = to_json(replace(run, inputs=None, result=None), internal=True)
    return {**{name: shown[name] for name in shown if name not in _APART}, "duration_s": run.duration_s, **more}


def when(at: float | None) -> str:
    """Return a time in the local zone, "" if there is none."""
    return "" if at is None else datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def took(seconds: float | None) -> str:
    """Return a duration for people: 12 ms, 3.4 s, 2 min 5 s."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


def show_result(run: Run, result: Json, saved_to: Path | None = None) -> None:
    """Print a result to stdout by its kind, or where it was saved.

    Raises PredictionError for a run that failed or was cancelled.
    """
    if run.failure and run.status is Status.FAILED:
        failure = run.failure
        raise PredictionError(failure.message, kind=failure.kind, hint=failure.hint, traceback=failure.traceback)
    if run.status is Status.CANCELLED:
        raise PredictionError(f"Run {run.id} was cancelled.", hint="Submit it again to get a result.")
    if saved_to is not None:
        output.print_text(str(saved_to))
    elif isinstance(result, dict) and "$rows" in result:
        _show_rows(run, result["$rows"])
    elif not registry.fault("table", result):
        _show_table(run, result)
    elif is_blob(result):
        _show_blob(run, result)
    elif isinstance(result, str):
        output.print_text(result)
    else:
        output.print_json(result)


def _show_table(run: Run, table: Json) -> None:
    rows = table["rows"]
    output.print_table(
        [column["name"] for column in table["$table"]], [[_cell(v) for v in row] for row in rows[:ROWS_SHOWN]]
    )
    if len(rows) > ROWS_SHOWN:
        output.next_step(f"{len(rows) - ROWS_SHOWN} more rows: matinee runs result {run.id} --output table.csv")


def _show_rows(run: Run, rows: Json) -> None:
    output.print_text(f"{rows['total']} rows, {rows['failed']} failed")
    output.next_step(f"Save the table: matinee runs result {run.id} --output table.csv (or .parquet, .jsonl)")


def _show_blob(run: Run, blob: Json) -> None:
    name = blob.get("name") or "result"
    output.print_text(f"{name} ({blob['$blob']})")
    output.next_step(f"Save it: matinee runs result {run.id} --output {name}")


def _cell(value: Json) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def progress(run: Run, entry: Entry | None) -> str:
    """Return how far an unfinished run is, in one line."""
    if entry is None or run.status is not Status.RUNNING:
        return str(run.status)
    fraction = entry.progress.fraction
    return " ".join(
        filter(None, (str(run.status), "" if fraction is None else f"{fraction:.0%}", entry.progress.message))
    )
