"""`matinee rehearse`."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App

KINDS = ("spot", "capacity", "throttle", "no-s3", "image", "cold-start", "second-deploy")  # as `ops.rehearse` has them

if TYPE_CHECKING:
    from matinee.ops.deploy.events import Event
    from matinee.ops.rehearse import Rehearsal


def command(
    app: App = HERE,
    stage: Annotated[str, typer.Option(help="The stage whose settings are taken.")] = "dev",
    script: Annotated[
        Path | None, typer.Option(help="A story of yours: a Python file with `def story(stage):`.", show_default=False)
    ] = None,
    breaks: Annotated[
        list[str] | None,
        typer.Option(
            "--break",
            help="Trouble to play: spot, capacity, throttle, no-s3, image, cold-start, second-deploy; or all.",
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
    from matinee.ops.rehearse import RehearseOptions, check, rehearse
    from matinee.ops.rehearse.coverage import COVERAGE

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
    from matinee.ops.deploy.events import ImageMoved, Note, Step, Tried

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
        over.wait()

    return stay
