"""`matinee build`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson

if TYPE_CHECKING:
    from matinee.images import BuiltImage
    from matinee.ops.build import Build


def command(
    names: Annotated[
        list[str] | None, typer.Argument(help="Components; all and the UI without a name.", show_default=False)
    ] = None,
    app: App = HERE,
    platform: Annotated[
        str, typer.Option(help="linux/arm64 or linux/amd64; what this machine runs, if not said.", show_default=False)
    ] = "",
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Take the newest versions the app allows.")] = False,
    eject_it: Annotated[bool, typer.Option("--eject", help="Write the Dockerfiles instead, for you to own.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make an image of each component: the very ones that are deployed."""
    from matinee.ops.build import build, eject

    if eject_it:
        for file in eject(app, names or (), report=output.reporter()):
            output.print_text(str(file))
        output.next_step("Change them as you like, then: matinee build")
        return
    made = build(app, names or (), platform=platform, upgrade=upgrade, report=output.reporter())
    if as_json:
        output.print_json(_json(made))
        return
    output.print_table(["COMPONENT", "IMAGE", "SIZE", ""], [_row(image) for image in made.images])
    output.next_step("Next: matinee test --containers, or matinee dev --containers")


def _json(made: Build) -> Any:
    return {
        "name": made.project.name,
        "platform": made.platform,
        "images": [
            {
                "component": image.name,
                "tag": image.tag,
                "reference": image.reference,
                "id": image.id,
                "size_bytes": image.size_bytes,
                "was_cached": image.was_cached,
            }
            for image in made.images
        ],
    }


def _row(image: BuiltImage) -> list[str]:
    how = "unchanged" if image.was_cached else f"built in {image.seconds:.1f} s"
    return [image.name, image.reference, f"{image.size_bytes / 1e6:.0f} MB", how]
