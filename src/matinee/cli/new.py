"""`matinee new`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from matinee.cli import output
from matinee.cli.options import AsJson


def command(
    name: Annotated[Path, typer.Argument(help="The app's name: a folder of this name is made.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Write a working app to start from."""
    from matinee.ops.new import new

    made = new(name)
    if as_json:
        output.print_json({"name": made.name, "folder": str(made.folder), "files": made.files})
        return
    for file in made.files:
        output.print_text(f"{name}/{file}")
    output.next_step(f"Next: cd {shlex.quote(str(name))} && matinee dev")
