"""What the commands of a deployment show and ask: progress on stderr, one question before anything is made."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from matinee.cli import output
from matinee.errors import UsageError

if TYPE_CHECKING:
    from matinee.ops.deploy.events import Event, ResourceMoved
    from matinee.ops.deploy.summary import Line, Summary
    from matinee.ops.deploy.tools import Tools

Json = Any
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
OfStage = Annotated[str, typer.Option("--stage", help="The stage.")]
_DONE = {"CREATE": "created", "UPDATE": "updated", "DELETE": "deleted", "IMPORT": "taken in"}
_GOING = {"CREATE": "creating", "UPDATE": "updating", "DELETE": "deleting", "IMPORT": "taking in"}
_SIGNS = {"add": "+", "import": "+", "change": "~", "replace": "!", "remove": "-"}
_WORDS = {"add": "added", "import": "taken in", "change": "changed", "replace": "replaced", "remove": "removed"}
_SHOWN = 12  # resources of one effect by name; the rest by kind


def tools(build: str = "local") -> Tools:
    """Return the tools of a deployment; UsageError for another place to build than there is."""
    from matinee.ops.deploy.tools import Tools

    if build == "local":
        from matinee.ops.deploy.engine_images import EngineImages

        return Tools(EngineImages())
    if build == "remote":
        from matinee.ops.deploy.remote_images import RemoteImages

        return Tools(RemoteImages())
    raise UsageError(f"Images are not built {build!r}.", hint="--build is local (Docker here) or remote (CodeBuild).")


# --- progress -------------------------------------------------------------------------------------------------------


@contextmanager
def reporting(*, quiet: bool = False) -> Iterator[Callable[[Event], None]]:
    """Give a report that shows events as they come; on a terminal, also what is going on at the moment."""
    if quiet:
        yield lambda _: None
        return
    shown = _Progress()
    try:
        yield shown.show
    finally:
        shown.close()


class _Progress:
    def __init__(self) -> None:
        self._console = output.stderr()
        self._status = self._console.status("") if self._console.is_terminal else None
        self._going: dict[str, float] = {}
        self._began = time.monotonic()

    def show(self, event: Event) -> None:
        """Show one event; called from several threads."""
        from matinee.ops.deploy import events

        if isinstance(event, events.ResourceMoved):
            self._resource(event)
        elif isinstance(event, events.Step):
            self._console.print(f"[bold]{escape(event.text)}[/bold]")
        elif isinstance(event, events.ImageMoved):
            output.component_line(event.component, event.text)
        elif isinstance(event, events.Note):
            self._console.print(f"  [yellow]note[/yellow] {escape(event.text)} [dim]{escape(event.hint)}[/dim]")
        elif isinstance(event, events.Tried):
            word = f"[red]failed:[/red] {escape(event.problem)}" if event.problem else "[green]passed[/green]"
            self._console.print(f"  {event.duration_s:5.1f} s  {event.predictor}, its first example {word}")
        elif isinstance(event, events.TaskFailed):
            self._console.print(f"  [red]{escape(event.resource)}: a task stopped. {escape(event.reason)}[/red]")
            for line in event.log:
                self._console.print(f"      [dim]{escape(line)}[/dim]")

    def _resource(self, event: ResourceMoved) -> None:
        action, _, state = event.status.partition("_")
        key = f"{event.stack}/{event.resource}"
        if state.endswith("IN_PROGRESS"):
            self._going[key] = event.elapsed_s
            self._refresh(f"{_GOING.get(action, action.lower())} {event.resource}")
            return
        self._going.pop(key, None)
        if "FAILED" in event.status:
            self._console.print(
                f"  {event.elapsed_s:5.0f} s  [red]{escape(event.resource)} failed:[/red] {escape(event.reason)}"
            )
        elif event.status.endswith("COMPLETE"):
            word = "rolled back" if "ROLLBACK" in event.status else _DONE.get(action, event.status)
            self._console.print(f"  {event.elapsed_s:5.0f} s  {escape(event.resource)} {word}")
        self._refresh("")

    def _refresh(self, text: str) -> None:
        if self._status is None:
            return
        others = f" and {len(self._going) - 1} more" if len(self._going) > 1 else ""
        if self._going:
            self._status.update(
                f"{escape(text or 'waiting for ' + next(iter(self._going)).rpartition('/')[2])}{others}"
            )
            self._status.start()
        else:
            self._status.stop()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._status is not None:
            self._status.stop()


# --- the question ---------------------------------------------------------------------------------------------------


def confirming(*, yes: bool, quiet: bool = False) -> Callable[[Summary], bool]:
    """Return what shows a summary and asks; UsageError where nobody can be asked."""

    def confirm(summary: Summary) -> bool:
        if not quiet:
            show_summary(summary)
        return yes or ask("Go on?")

    return confirm


def ask(question: str) -> bool:
    """Ask on stderr; UsageError where nobody is at the keyboard."""
    if not sys.stdin.isatty():
        raise UsageError("Nobody is here to be asked.", hint="Look at it with `matinee plan`, then add --yes.")
    return typer.confirm(question, err=True)


def show_summary(summary: Summary) -> None:
    """Say what would happen, what is lost first."""
    console = output.stderr()
    for line in summary.lost:
        what = f"{line.kind} {line.name} would be {_WORDS[line.effect]}"
        console.print(f"[bold red]! The {escape(what)}: what is in it goes.[/bold red]")
    for version in summary.versions:
        if version.before != version.after:
            console.print(f"  {escape(_version(version.component, version.before, version.after))}")
    for effect in _SIGNS:
        lines = [line for line in summary.lines if line.effect == effect]
        if lines:
            _show_lines(effect, lines)
    before, after = summary.monthly_usd_before, summary.monthly_usd_after
    if after is not None:
        was = f" (now {before:,.0f} US $)" if before is not None and round(before) != round(after) else ""
        console.print(f"  About {after:,.0f} US $ a month{was}: `matinee cost` says for what.")
    for warning in summary.warnings:
        console.print(f"  [yellow]note[/yellow] {escape(warning)}")


def _version(component: str, before: str, after: str) -> str:
    if not before:
        return f"+ {component} {after}"
    return f"- {component} {before}" if not after else f"~ {component} {before} → {after}"


def _show_lines(effect: str, lines: list[Line]) -> None:
    console = output.stderr()
    if len(lines) > _SHOWN:
        kinds = Counter(line.kind for line in lines)
        told = ", ".join(f"{count} {_plural(kind)}" if count > 1 else kind for kind, count in kinds.most_common())
        console.print(f"  {_SIGNS[effect]} {len(lines)} resources {_WORDS[effect]}: {escape(told)}")
        return
    for line in lines:
        why = f" ({', '.join(line.because)})" if line.because else ""
        maybe = ", perhaps replaced" if line.may_replace else ""
        console.print(f"  {_SIGNS[effect]} {escape(f'{line.kind} {line.name} {_WORDS[effect]}{maybe}{why}')}")


def _plural(kind: str) -> str:
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def summary_json(summary: Summary) -> dict[str, Json]:
    """Return a summary for `--json`."""
    return {**asdict(summary), "is_empty": summary.is_empty, "lost": [asdict(line) for line in summary.lost]}
