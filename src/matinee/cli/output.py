"""Where output goes: data to stdout, progress and hints to stderr.

What people and predictors wrote may hold terminal escapes, which could hide or forge lines. They are shown, not obeyed:
every text passes `show_controls` here. Only a result that goes to a file or a pipe stays byte for byte.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from rich import markup
from rich.console import Console
from rich.table import Table

from matinee.dataclass_json import to_json
from matinee.errors import PredictionError
from matinee.runs import Entry, Run, Status
from matinee.values import registry
from matinee.values.blobs import is_blob

Json = Any
PIPED_WIDTH = 200  # columns of a table that nobody's terminal limits
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red")
# What a Lambda service writes around every request: for log tails, not for a person who watches.
_PROTOCOL = ("START RequestId:", "END RequestId:", "REPORT RequestId:")


def stdout() -> Console:
    """Return the console of data; made anew, so that a redirected stream is seen."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)


def stderr() -> Console:
    """Return the console of progress, hints and errors."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


# Control characters but tab and newline, C1 too; and what turns the direction of text.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def show_controls(text: str) -> str:
    """Return the text with control characters as people read them, by their numbers."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text.replace("\r\n", "\n"))


def escape(text: str) -> str:
    """Return the text as `Console.print` is to show it: without markup, without control characters."""
    return markup.escape(show_controls(text))


def print_json(value: Json, *, indent: int | None = 2) -> None:
    """Print one JSON document to stdout; with `indent=None` on one line."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    sys.stdout.write(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def print_text(text: str) -> None:
    """Print a line for people to stdout."""
    sys.stdout.write(show_controls(text) + "\n")


def print_data(text: str) -> None:
    """Print a result that is text to stdout: as it is into a file or a pipe."""
    sys.stdout.write((show_controls(text) if sys.stdout.isatty() else text) + "\n")


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Print a table to stdout."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*map(escape, row))
    stdout().print(table)


def say(text: str) -> None:
    """Say something to the person, on stderr."""
    stderr().print(escape(text))


def next_step(text: str) -> None:
    """Say what to do next, after a success."""
    stderr().print(f"[dim]{escape(text)}[/dim]")


def show_mends(mends: Iterable[tuple[str, str]]) -> None:
    """Say what mends each of several things, once for all that the same mends; "" = nothing is to be done."""
    names: dict[str, list[str]] = {}
    for name, mend in mends:
        if mend and name not in names.setdefault(mend, []):
            names[mend].append(name)
    for mend, of in names.items():
        next_step(f"{', '.join(of)}: {mend}")


def show_error(message: str, hint: str = "", detail: str = "") -> None:
    """Print an error: one sentence, what to do, and the owner's detail."""
    console = stderr()
    console.print(f"[bold red]error:[/bold red] {escape(message)}")
    if detail:
        console.print(f"[dim]{escape(detail.rstrip())}[/dim]")
    if hint:
        console.print(f"[bold]hint:[/bold] {escape(hint)}")


def component_line(component: str, text: str) -> None:
    """Print a line a component wrote, in the component's colour."""
    if text.startswith(_PROTOCOL):
        return
    if not component:
        say(text)
        return
    colour = _COLOURS[sum(component.encode()) % len(_COLOURS)]
    stderr().print(f"[{colour}]{escape(component):>10} │[/{colour}] {escape(text)}")


def reporter(quiet: bool = False) -> Callable[[str, str], None]:
    """Return a report for operations: lines by component on stderr, or nothing."""
    return (lambda _component, _line: None) if quiet else component_line


# --- rendering runs and results ---------------------------------------------------------------------------------------
# Runs and results as people read them, and as machines do.

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
        print_text(str(saved_to))
    elif isinstance(result, dict) and "$rows" in result:
        _show_rows(run, result["$rows"])
    elif not registry.fault("table", result):
        _show_table(run, result)
    elif is_blob(result):
        _show_blob(run, result)
    elif isinstance(result, str):
        print_data(result)
    else:
        print_json(result)


def _show_table(run: Run, table: Json) -> None:
    rows = table["rows"]
    print_table([column["name"] for column in table["$table"]], [[_cell(v) for v in row] for row in rows[:ROWS_SHOWN]])
    if len(rows) > ROWS_SHOWN:
        next_step(f"{len(rows) - ROWS_SHOWN} more rows: matinee runs result {run.id} --output table.csv")


def _show_rows(run: Run, rows: Json) -> None:
    print_text(f"{rows['total']} rows, {rows['failed']} failed")
    next_step(f"Save the table: matinee runs result {run.id} --output table.csv (or .parquet, .jsonl)")


def _show_blob(run: Run, blob: Json) -> None:
    name = blob.get("name") or "result"
    print_text(f"{name} ({blob['$blob']})")
    next_step(f"Save it: matinee runs result {run.id} --output {name}")


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
