"""`matinee build`."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson

if TYPE_CHECKING:
    from matinee.deploy.cloud import Event
    from matinee.images.build import BuiltImage
    from matinee.operate.build import Build
    from matinee.rehearsal.rehearsal import Rehearsal


def build(
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
    from matinee.operate.build import build, eject

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


# --- matinee eject ----------------------------------------------------------------------------------------------------


def eject(
    folder: Annotated[Path, typer.Argument(help="Where to write.", show_default=True)] = Path("aws"),
    stage: Annotated[str, typer.Option("--stage", help="The stage whose settings count.")] = "dev",
    templates: Annotated[bool, typer.Option("--templates", help="Only the templates, not the images.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also into a folder that has other files.")] = False,
    app: App = HERE,
) -> None:
    """Write CloudFormation templates and Dockerfiles as files: what you deploy yourself needs no Matinee."""
    from matinee.operate.eject import eject

    made = eject(app, folder, stage, images=not templates, force=force, report=output.reporter())
    for name in (*made.stacks, *(f"images/{image}" for image in made.images)):
        output.print_text(str(made.folder / name))
    output.next_step(f"Next: read {made.folder / 'README.md'}, or let Matinee do it: matinee deploy --stage {stage}")


# --- matinee iam-policy -----------------------------------------------------------------------------------------------


def iam_policy(
    stage: Annotated[str, typer.Option("--stage", help="The stage to be deployed.")] = "dev",
    account: Annotated[str, typer.Option("--account", help="The account's 12 digits; default: any.")] = "",
    remote_builds: Annotated[
        bool, typer.Option("--remote-builds", help="Also what `deploy --build remote` needs.")
    ] = False,
    app: App = HERE,
) -> None:
    """Print the smallest policy that the person who deploys needs, as JSON."""
    from matinee.operate.eject import iam_policy

    made = iam_policy(app, stage, account=account, remote_builds=remote_builds, report=output.reporter(quiet=True))
    output.print_json(made.document)
    if not made.fits:
        output.say(f"It has {made.characters:,} characters: put it into the user's or role's own (inline) policies.")
    if not made.is_bounded:
        output.say(
            "Careful: who may make roles and their policies can give themselves everything. "
            "Set permissions_boundary under [aws] in matinee.toml to hold that."
        )


# --- matinee rehearse -------------------------------------------------------------------------------------------------

KINDS = (
    "spot",
    "capacity",
    "throttle",
    "no-s3",
    "image",
    "cold-start",
    "second-deploy",
)  # as `rehearsal.failures` has them


def rehearse(
    app: App = HERE,
    stage: Annotated[str, typer.Option(help="The stage whose settings are taken.")] = "dev",
    script: Annotated[
        Path | None, typer.Option(help="A story of yours: a Python file with `def story(stage):`.", show_default=False)
    ] = None,
    breaks: Annotated[
        list[str] | None,
        typer.Option(
            "--break",
            help="A failure to inject: spot, capacity, throttle, no-s3, image, cold-start, second-deploy; or all.",
        ),
    ] = None,
    images: Annotated[
        bool, typer.Option("--images/--processes", help="Run everything in its image, on this machine's engine.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the data under .matinee/rehearsal/.")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the app's address; any free one, if not said.", show_default=False)
    ] = 0,
) -> None:
    """Deploy the app to an emulated AWS on this machine and run what was deployed, before it costs a cent."""
    from matinee.rehearsal.rehearse import COVERAGE, RehearseOptions, check, rehearse

    began = time.monotonic()
    kinds = KINDS if "all" in (breaks or ()) else tuple(breaks or ())
    options = RehearseOptions(stage, script.absolute() if script else None, kinds, keep, port, images)
    check(options)
    output.print_table(["PART", "HERE"], [list(row) for row in COVERAGE])
    is_watched = script is None and not kinds
    rehearse(app, options, _reporter(), _stay(began) if is_watched else _leave, output.print_text)
    left = "its data is below .matinee/rehearsal/" if keep else "nothing of it is left"
    output.say(f"The rehearsal is over; {left}.")


def _reporter() -> Callable[[Event], None]:
    from matinee.deploy.cloud import ImageMoved, Note, Step, Tried

    def report(event: Event) -> None:
        if isinstance(event, Step):
            output.say(event.text)
        elif isinstance(event, Note):
            output.say(f"  {event.text} {event.hint}".rstrip())
        elif isinstance(event, ImageMoved):
            output.say(f"  {event.component}: {event.text}")
        elif isinstance(event, Tried):
            output.say(f"  {event.predictor}: {event.problem or 'its example works'} ({event.duration_s:.1f} s)")

    return report


def _leave(_stage: Rehearsal) -> None:
    """Do not wait for anybody."""


def _stay(began: float) -> Callable[[Rehearsal], None]:
    """Stay until Ctrl-C or SIGTERM."""

    def stay(stage: Rehearsal) -> None:
        over = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: over.set())
        shell = " ".join(f"{name}={value}" for name, value in stage.environment().items())
        output.say(f"From another shell, for `--stage {stage.stage}`: export {shell}")
        output.say(f"Ready after {time.monotonic() - began:.0f} s: {stage.url} (Ctrl-C ends it)")
        while not over.wait(0.2) and not stage.has_failed:
            pass

    return stay
