"""`matinee runs`: list, show, result, logs, cancel."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson, Output, Stage, on
from matinee.cli.options import since as since_of
from matinee.errors import UsageError

if TYPE_CHECKING:
    from matinee.operate.runs import RunView
    from matinee.ports import RunQuery
    from matinee.tables.write import Form
app = typer.Typer(help="See what was run: list, show, result, logs; cancel.", no_args_is_help=True)
RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or `last` for the newest.", show_default=False)]


@app.command("list", epilog="Example: matinee runs list --status failed")
def list_runs(
    predictor: Annotated[str, typer.Option("--predictor", help="Only runs of this predictor.")] = "",
    status: Annotated[str, typer.Option("--status", help="Only queued, running, succeeded, failed or cancelled.")] = "",
    user: Annotated[str, typer.Option("--user", help="Only runs of this person.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")] = 20,
    before: Annotated[str, typer.Option("--before", help="Only runs older than this one: the next page.")] = "",
    app: App = HERE,
    stage: Stage = "",
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    from matinee.cli import output
    from matinee.operate.runs import list_runs as listed

    runs = listed(app, _query(predictor, status, user, limit, before), stage=stage)
    if as_json:
        output.print_json([output.run_json(run) for run in runs])
        return
    if not runs:
        output.next_step("No runs yet. Make one: matinee predict PREDICTOR key=value")
        return
    rows = [
        [run.id, run.predictor, str(run.status), run.user, output.when(run.created_at), output.took(run.duration_s)]
        for run in runs
    ]
    output.print_table(["RUN", "PREDICTOR", "STATUS", "USER", "CREATED", "TOOK"], rows)
    output.next_step(f"Next: matinee runs show {runs[0].id}{on(stage)}")


def _query(predictor: str, status: str, user: str, limit: int, before: str) -> RunQuery:
    from matinee.ports import RunQuery
    from matinee.runs import Status

    known = [str(item) for item in Status]
    if status and status not in known:
        raise UsageError(f"There is no status {status!r}.", hint=f"Use one of {', '.join(known)}.")
    statuses = frozenset({Status(status)}) if status else frozenset()
    return RunQuery(user or None, predictor or None, statuses, before=before, limit=limit)


@app.command("show", epilog="Example: matinee runs show last")
def show(run: RunId, app: App = HERE, stage: Stage = "", as_json: AsJson = False) -> None:
    """Show one run: status, progress, inputs, times, failure, feedback."""
    from dataclasses import asdict

    from matinee.cli import output
    from matinee.operate.runs import show as shown

    view = shown(app, run, stage=stage)
    if as_json:
        more = {
            "inputs": view.inputs,
            "progress": asdict(view.entry.progress) if view.entry else None,
            "queue_position": view.queue_position,
            "why_waiting": view.why_waiting,
            "feedback": [asdict(item) for item in view.feedback],
        }
        output.print_json(output.run_json(view.run, **more))
        return
    for name, value in _lines(view):
        output.stdout().print(f"[bold]{name:<10}[/bold]", end="")
        output.print_text(value)
    if view.run.status == "succeeded":
        output.next_step(f"Next: matinee runs result {view.run.id}{on(stage)}")


def _lines(view: RunView) -> list[tuple[str, str]]:
    import json

    from matinee.cli import output

    run = view.run
    failure = f"{run.failure.message} {run.failure.hint}".strip() if run.failure else ""
    waiting = "" if view.queue_position is None else f"{view.queue_position} before it. {view.why_waiting}".strip()
    lines = [
        ("run", run.id),
        ("predictor", f"{run.predictor} {run.version}".strip()),
        ("user", run.user),
        ("status", output.progress(run, view.entry)),
        ("waiting", waiting),
        ("created", output.when(run.created_at)),
        ("started", output.when(run.started_at)),
        ("finished", output.when(run.finished_at)),
        ("took", output.took(run.duration_s)),
        ("attempt", str(run.attempt) if run.attempt > 1 else ""),
        ("inputs", json.dumps(view.inputs, ensure_ascii=False)[:500]),
        ("failure", failure),
        *(("feedback", f"{item.user}: {_rating(item.rating)} {item.comment}".strip()) for item in view.feedback),
    ]
    return [(name, value) for name, value in lines if value]


def _rating(rating: int | None) -> str:
    return {1: "👍", -1: "👎"}.get(rating or 0, "")


@app.command("result", epilog="Example: matinee runs result last --output plan.csv")
def result(run: RunId, save_to: Output = None, app: App = HERE, stage: Stage = "", as_json: AsJson = False) -> None:
    """Print the result of a run, or save it."""
    from matinee.cli import output
    from matinee.operate.runs import result as read

    finished, value = read(app, run, save_to, stage=stage)
    if as_json and finished.status == "succeeded":
        output.print_json(value)
    else:
        output.show_result(finished, value, save_to)


@app.command("logs", epilog="Example: matinee runs logs last")
def logs(run: RunId, app: App = HERE, stage: Stage = "", as_json: AsJson = False) -> None:
    """Print what a run wrote."""
    from dataclasses import asdict

    from matinee.operate.runs import logs as read

    lines = read(app, run, stage=stage)
    if as_json:
        output.print_json([asdict(line) for line in lines])
        return
    for line in lines:
        clock = datetime.fromtimestamp(line.at).astimezone().strftime("%H:%M:%S.%f")[:-3]
        output.print_text(f"{clock} {line.level:<7} {line.message}")
    if not lines:
        output.next_step("It wrote nothing.")


@app.command("cancel", epilog="Example: matinee runs cancel last")
def cancel(run: RunId, app: App = HERE, stage: Stage = "", as_json: AsJson = False) -> None:
    """Cancel a queued run at once; ask a running one to stop."""
    from matinee.cli import output
    from matinee.operate.runs import cancel as do_cancel

    after = do_cancel(app, run, stage=stage)
    if as_json:
        output.print_json(output.run_json(after))
        return
    output.print_text(after.id)
    output.next_step("Cancelled." if after.status == "cancelled" else "It was asked to stop and will within seconds.")


# --- matinee export ---------------------------------------------------------------------------------------------------


def export(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="A .csv, .xlsx, .parquet or .jsonl file, a folder, or - for stdout.",
            allow_dash=True,
        ),
    ],
    since: Annotated[str, typer.Option("--since", help="Only runs made since: 2026-11-01, or 7d, 12h, 30m.")] = "",
    predictor: Annotated[str, typer.Option("--predictor", help="Only runs of this predictor.")] = "",
    feedback_only: Annotated[bool, typer.Option("--feedback-only", help="Only runs somebody spoke of.")] = False,
    everything: Annotated[
        bool, typer.Option("--everything", help="All runs, feedback, inputs and results into a new folder.")
    ] = False,
    form: Annotated[
        str, typer.Option("--format", help="csv, xlsx, parquet or jsonl; default: by the file's ending.")
    ] = "",
    app: App = HERE,
    stage: Stage = "",
) -> None:
    """Export runs with inputs, results and what people said of them."""
    if everything:
        if since or predictor or feedback_only or form:
            raise UsageError("--everything is everything.", hint="Leave the other options out.")
        _export_everything(app, target, stage)
        return
    from matinee.client.export import What
    from matinee.operate.runs import STDOUT, export_to

    what = What(predictor, since_of(since, time.time()), feedback_only)
    exported = export_to(app, target, what, form=_form(form), stage=stage)
    if exported.file != STDOUT:
        output.say(f"Wrote {exported.file} ({exported.size_bytes:,} bytes).")


def _export_everything(app: Path, target: Path, stage: str) -> None:
    from matinee.operate.runs import export_everything

    done = export_everything(app, target, stage=stage, report=lambda what, count: output.say(f"{count:,} {what}"))
    output.say(
        f"Wrote {done.folder}: {done.runs:,} records of runs, {done.feedback:,} of feedback, {done.files:,} files, "
        f"{done.size_bytes:,} bytes."
    )


def _form(text: str) -> Form | None:
    from matinee.tables.write import check_format

    return check_format(text) if text else None
