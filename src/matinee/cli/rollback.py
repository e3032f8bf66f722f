"""`matinee rollback`, `versions` and `destroy`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from matinee.cli import deploying, output
from matinee.cli.deploying import OfStage, Yes
from matinee.cli.options import HERE, App, AsJson

if TYPE_CHECKING:
    from matinee.ops.deploy.destroy import Destroyed, Loss


def command(
    name: Annotated[str, typer.Argument(help="Only this component.", show_default=False)] = "",
    to: Annotated[
        str, typer.Option("--to", metavar="V6", help="A version of the component; without one, a release's number.")
    ] = "",
    stage: OfStage = "dev",
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Make a former version live again, at once and without building anything."""
    from matinee.ops.deploy.rollback import rollback

    with deploying.reporting(quiet=as_json) as report:
        done = rollback(app, stage, deploying.tools(), name=name, to=to, report=report)
    if as_json:
        output.print_json(asdict(done))
        return
    changed = [f"{n} {done.before.get(n, '')} → {v}" for n, v in done.after.items() if done.before.get(n) != v]
    output.say(f"Release {done.release} is live on {stage}: {', '.join(changed) or 'the same versions'}.")
    output.next_step("The next `matinee deploy` brings what is in the folder live again.")


def versions(stage: OfStage = "dev", app: App = HERE, as_json: AsJson = False) -> None:
    """List the versions and releases that can be gone back to."""
    from matinee.cli import render
    from matinee.ops.deploy.rollback import versions as listed

    found = listed(app, stage, deploying.tools())
    if as_json:
        output.print_json(asdict(found))
        return
    rows = [
        [r.component, r.label, "live" if r.is_live else "", str(r.release), render.when(r.released_at), r.by]
        for r in found.rows
    ]
    output.print_table(["COMPONENT", "VERSION", "", "RELEASE", "SINCE", "BY"], rows)
    output.next_step(f"Go back: matinee rollback NAME --to v1 --stage {stage}")


def destroy(
    stage: Annotated[str, typer.Option("--stage", help="The stage.", show_default=False)],
    data: Annotated[bool, typer.Option("--data", help="Also table, bucket, images, logs and secrets.")] = False,
    yes: Yes = False,
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Remove a stage from the account, then show that nothing is left."""
    from matinee.ops.deploy.destroy import destroy as destroyed

    def confirm(loss: Loss) -> bool:
        if not as_json:
            _show_loss(loss)
        return yes or deploying.ask(f"Destroy {loss.stage}?")

    with deploying.reporting(quiet=as_json) as report:
        done = destroyed(app, stage, deploying.tools(), with_data=data, report=report, confirm=confirm)
    if as_json:
        output.print_json(asdict(done))
    else:
        _show_destroyed(done)
    if done.left:
        raise typer.Exit(1)


def _show_loss(loss: Loss) -> None:
    output.say(f"These go from account {loss.account}, {loss.region}: {', '.join(loss.stacks) or 'what is left'}.")
    if not loss.with_data:
        output.say("Table, bucket, images, logs and secrets are kept: --data removes them too.")
        return
    files = f"{loss.files:,} or more" if loss.files >= 1000 else f"{loss.files:,}"
    what = f"about {loss.items:,} items, {files} files, {loss.images} images"
    output.say(f"With them all runs, feedback and results: {what}.")
    output.next_step(f"To keep a copy: matinee export runs.csv --stage {loss.stage}")


def _show_destroyed(done: Destroyed) -> None:
    if done.declined:
        output.say("Nothing was changed.")
        return
    for arn in done.left:
        output.print_text(arn)
    if done.left:
        output.show_error(f"AWS still lists {len(done.left)} things with the tags of {done.stage}.", "Run it again.")
        return
    kept = f" {len(done.kept)} things are kept on purpose: --data removes them." if done.kept else ""
    output.say(f"{done.stage} is gone. Left with its tags: 0.{kept}")
