"""`matinee deploy`, `plan` and `push`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from matinee.cli import deploying, output
from matinee.cli.deploying import OfStage, Yes
from matinee.cli.options import HERE, App, AsJson
from matinee.errors import UsageError

if TYPE_CHECKING:
    from matinee.ops.deploy.work import Deployed

Build = Annotated[str, typer.Option("--build", help="Where images are built: local, or remote by CodeBuild.")]


def command(
    stage: OfStage = "dev",
    yes: Yes = False,
    only: Annotated[
        str, typer.Option("--only", metavar="NAME", help="One changed component, without a stack update.")
    ] = "",
    traffic: Annotated[
        str, typer.Option("--traffic", metavar="PERCENT", help="With --only: what part of the calls gets it.")
    ] = "100%",
    data_only: Annotated[bool, typer.Option("--data-only", help="Make table and bucket alone.")] = False,
    test: Annotated[bool, typer.Option("--test/--no-test", help="Run an example of what is new.")] = True,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for another deployment to end.")] = True,
    build: Build = "local",
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Bring the app live in your own AWS account: the first time and every later time."""
    from matinee.ops.deploy.pipeline import deploy
    from matinee.ops.deploy.work import DeployOptions

    share = _share(traffic)
    if share < 1 and not only:
        raise UsageError("--traffic is for one component.", hint="Name it: matinee deploy --only NAME --traffic 10%")
    options = DeployOptions(stage, only, share, data_only=data_only, may_wait=wait, tries=test)
    try:
        with deploying.reporting(quiet=as_json) as report:
            done = deploy(app, options, deploying.tools(build), report, deploying.confirming(yes=yes, quiet=as_json))
    except KeyboardInterrupt:
        output.say("What AWS has begun goes on there. The same command again waits for it, and goes on.")
        raise
    if as_json:
        output.print_json(asdict(done))
        return
    _show(done, data_only=data_only)


def _share(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise UsageError(f"{text!r} is no part of the calls.", hint="As in --traffic 10%.")
    return percent / 100


def _show(done: Deployed, *, data_only: bool) -> None:
    if done.declined:
        output.say("Nothing was changed.")
        return
    if data_only:
        output.say(f"Table and bucket of {done.stage} are there.")
        output.next_step(f"Next: matinee push --stage {done.stage}, or the whole: matinee deploy --stage {done.stage}")
        return
    if done.url:
        output.print_text(done.url)
    versions = ", ".join(f"{name} {label}" for name, label in done.versions.items())
    if not done.changed:
        output.say(f"Nothing to do: release {done.release} is live on {done.stage} ({versions}).")
        return
    output.say(f"Release {done.release} is live on {done.stage} after {done.seconds:.0f} s: {versions}.")
    for line in _sign_in(done):
        output.say(line)
    output.next_step(f"Next: matinee status --stage {done.stage}. Back again: matinee rollback --stage {done.stage}")


def _sign_in(done: Deployed) -> list[str]:
    if done.password:
        return [f"Password, made now and shown this once: {done.password}"]
    from matinee.project.sections import SIGN_IN_MODES

    mode = SIGN_IN_MODES.get(done.sign_in)
    return [mode.after_deploy.format(stage=done.stage)] if mode else []


def plan(stage: OfStage = "dev", build: Build = "local", app: App = HERE, as_json: AsJson = False) -> None:
    """Show what a deployment would change and cost; nothing is changed."""
    from matinee.ops.deploy.plan import plan as planned

    with deploying.reporting(quiet=as_json) as report:
        summary = planned(app, stage, deploying.tools(build), report)
    if as_json:
        output.print_json(deploying.summary_json(summary))
        return
    if summary.is_empty:
        output.say(f"Nothing would change on {stage}.")
        return
    deploying.show_summary(summary)
    output.next_step(f"Next: matinee deploy --stage {stage}")


def push(
    name: Annotated[str, typer.Argument(help="Only this component's image.", show_default=False)] = "",
    stage: OfStage = "dev",
    build: Build = "local",
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Build images and upload them, ahead of a deployment."""
    from matinee.ops.deploy.push import push as pushed

    with deploying.reporting(quiet=as_json) as report:
        images = pushed(app, stage, deploying.tools(build), name=name, report=report)
    if as_json:
        output.print_json([asdict(image) for image in images])
        return
    output.print_table(
        ["COMPONENT", "IMAGE", ""],
        [[image.component, image.tag, "was there" if image.was_there else "pushed"] for image in images],
    )
    output.next_step(f"Next: matinee deploy --stage {stage}")
