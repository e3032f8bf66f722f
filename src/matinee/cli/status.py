"""`matinee status` and `matinee open`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson, Stage, on

if TYPE_CHECKING:
    from matinee.ops.status import AppStatus, Queue

_SIGNS = {"ok": ("ok", "green"), "asleep": ("asleep", "blue"), "attention": ("look", "yellow"),
          "down": ("DOWN", "bold red"), "unknown": ("?", "yellow")}  # fmt: skip


def command(
    cost: Annotated[bool, typer.Option("--cost", help="Also what AWS billed this month; asking costs $0.01.")] = False,
    app: App = HERE,
    stage: Stage = "",
    as_json: AsJson = False,
) -> None:
    """Is it well: health, versions, queues and workers, the last errors. Exit code 1 when something is down."""
    from dataclasses import asdict

    from matinee.ops.status import status_of

    found = status_of(app, stage=stage, with_cost=cost)
    if as_json:
        output.print_json({**asdict(found), "is_well": found.is_well})
    else:
        _show(found)
    if not found.is_well:
        raise typer.Exit(1)


def open_command(app: App = HERE, stage: Stage = "", as_json: AsJson = False) -> None:
    """Open the app in the browser, and print its address."""
    from matinee.ops.open_app import open_app

    opened = open_app(app, stage=stage)
    if as_json:
        output.print_json({"url": opened.url, "in_browser": opened.in_browser})
        return
    output.print_text(opened.url)
    if not opened.in_browser:
        output.next_step("No browser could be started here: open the address yourself.")


def _show(found: AppStatus) -> None:
    where = f"stage {found.stage}" if found.stage else "here"
    released = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.released_at)) if found.release else ""
    live = f"release {found.release} of {released}" if found.release else "nothing is live"
    output.print_text(f"{found.app}, {where}: {live}" + (f", {found.url}" if found.url else ""))
    for part in found.parts:
        sign, colour = _SIGNS[part.state]
        output.stdout().print(f"[{colour}]{sign:<7}[/{colour}] [bold]{part.name:<14}[/bold] ", end="")
        output.print_text(part.text)
    output.show_mends((part.name, part.hint) for part in found.parts if part.state != "ok")
    _show_tables(found)


def _show_tables(found: AppStatus) -> None:
    from matinee.cli import render

    if found.versions:
        rows = [[v.component, v.label, ", ".join(v.predictors) or v.problem] for v in found.versions]
        output.print_text("")
        output.print_table(["COMPONENT", "VERSION", "PREDICTORS"], rows)
    if found.queues:
        output.print_text("")
        output.print_table(["QUEUE", "WAITING", "OLDEST", "RUNNING", "WORKERS", ""], [_queue(q) for q in found.queues])
    if found.errors:
        output.print_text("")
        errors = [
            [run.id, run.predictor, run.user, render.when(run.finished_at), run.failure.message if run.failure else ""]
            for run in found.errors
        ]
        output.print_table(["FAILED RUN", "PREDICTOR", "USER", "WHEN", "WHY"], errors)
        output.next_step(f"Next: matinee logs --run {found.errors[0].id}{on(found.stage)}")
    if found.cost:
        output.print_text("")
        usd = "" if found.cost.usd is None else f"US $ {found.cost.usd:.2f} "
        output.print_text(f"Cost this month: {usd}{found.cost.text}")


def _queue(queue: Queue) -> list[str]:
    from matinee.ops.status import COUNTED

    oldest = f"{queue.oldest_s:.0f} s" if queue.waiting else ""
    more = "+" if queue.waiting + queue.running >= COUNTED else ""
    workers = f"{queue.workers} of {queue.max_workers}"
    return [queue.predictor, f"{queue.waiting}{more}", oldest, str(queue.running), workers, queue.note]
