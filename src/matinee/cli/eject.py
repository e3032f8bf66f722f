"""`matinee eject`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App


def command(
    folder: Annotated[Path, typer.Argument(help="Where to write.", show_default=True)] = Path("aws"),
    stage: Annotated[str, typer.Option("--stage", help="The stage whose settings count.")] = "dev",
    templates: Annotated[bool, typer.Option("--templates", help="Only the templates, not the images.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also into a folder that has other files.")] = False,
    app: App = HERE,
) -> None:
    """Write CloudFormation templates and Dockerfiles as files: what you deploy yourself needs no Matinee."""
    from matinee.ops.eject import eject

    made = eject(app, folder, stage, images=not templates, force=force, report=output.reporter())
    for name in (*made.stacks, *(f"images/{image}" for image in made.images)):
        output.print_text(str(made.folder / name))
    output.next_step(f"Next: read {made.folder / 'README.md'}, or let Matinee do it: matinee deploy --stage {stage}")
