"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

App = Annotated[Path, typer.Option("--app", help="The app: a folder with a matinee.toml, or a predictor file.")]
Stage = Annotated[
    str, typer.Option("--stage", help="A deployed stage, as in dev, instead of the app here.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Save the result: a table as CSV, Excel, Parquet or JSON Lines, a file as it is, else JSON.",
    ),
]
Values = Annotated[
    list[str] | None, typer.Argument(help="Inputs as key=value; a file as key=@path.", show_default=False)
]
InputFile = Annotated[str, typer.Option("--input", "-i", help="A JSON file with the inputs; - reads stdin.")]
Readings = Annotated[
    list[str] | None,
    typer.Option(
        "--reading",
        help="How a column of a table is read, where there are two ways: price=comma (or point), day=day-first (or "
        "month-first).",
    ),
]
Sheet = Annotated[str, typer.Option("--sheet", help="The sheet of an Excel workbook; default: its first.")]
HERE = Path()


def on(stage: str) -> str:
    """Return the option as it is said again in the next command."""
    return f" --stage {stage}" if stage else ""
