"""`matinee export`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, Stage
from matinee.cli.times import since as since_of
from matinee.errors import UsageError

if TYPE_CHECKING:
    from matinee.tables.write import Form


def command(
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
    from matinee.ops.export import STDOUT, export_to

    what = What(predictor, since_of(since, time.time()), feedback_only)
    exported = export_to(app, target, what, form=_form(form), stage=stage)
    if exported.file != STDOUT:
        output.say(f"Wrote {exported.file} ({exported.size_bytes:,} bytes).")


def _export_everything(app: Path, target: Path, stage: str) -> None:
    from matinee.ops.export_everything import export_everything

    done = export_everything(app, target, stage=stage, report=lambda what, count: output.say(f"{count:,} {what}"))
    output.say(
        f"Wrote {done.folder}: {done.runs:,} records of runs, {done.feedback:,} of feedback, {done.files:,} files, "
        f"{done.size_bytes:,} bytes."
    )


def _form(text: str) -> Form | None:
    from matinee.tables.write import check_format

    return check_format(text) if text else None
