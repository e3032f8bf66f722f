"""Where output goes: data to stdout, progress and hints to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

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


def print_json(value: Json) -> None:
    """Print one JSON document to stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def print_text(text: str) -> None:
    """Print data that is already text to stdout."""
    sys.stdout.write(text + "\n")


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
