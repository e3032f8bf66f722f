"""`matinee export`."""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, Stage
from matinee.errors import UsageError

if TYPE_CHECKING:
    from matinee.client.export_formats import Form

_AGO = {"d": 86400.0, "h": 3600.0, "m": 60.0}


def command(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|FOLDER", help="A .csv, .parquet or .jsonl file, a folder, or - for stdout.", allow_dash=True
        ),
    ],
    since: Annotated[str, typer.Option("--since", help="Only runs made since: 2026-11-01, or 7d, 12h, 30m.")] = "",
    predictor: Annotated[str, typer.Option("--predictor", help="Only runs of this predictor.")] = "",
    feedback_only: Annotated[bool, typer.Option("--feedback-only", help="Only runs somebody spoke of.")] = False,
    form: Annotated[str, typer.Option("--format", help="csv, parquet or jsonl; default: by the file's ending.")] = "",
    app: App = HERE,
    stage: Stage = "",
) -> None:
    """Export runs with inputs, results and what people said of them."""
    from matinee.client.export import What
    from matinee.ops.export import STDOUT, export_to

    what = What(predictor, _since(since, time.time()), feedback_only)
    exported = export_to(app, target, what, form=_form(form), stage=stage)
    if exported.file != STDOUT:
        output.say(f"Wrote {exported.file} ({exported.size_bytes:,} bytes).")


def _form(text: str) -> Form | None:
    from matinee.client.export_formats import FORMATS

    for form in FORMATS:
        if text == form:
            return form
    if text:
        raise UsageError(f"There is no format {text!r}.", hint=f"Use one of {', '.join(FORMATS)}.")
    return None


def _since(text: str, now: float) -> float:
    if not text:
        return 0.0
    if ago := re.fullmatch(r"(\d{1,6})([dhm])", text):
        return now - int(ago[1]) * _AGO[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time.", hint="Write a date as 2026-11-01, or how long ago as 7d, 12h or 30m."
        ) from None
