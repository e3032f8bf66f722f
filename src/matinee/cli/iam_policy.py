"""`matinee iam-policy`."""

from __future__ import annotations

from typing import Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App


def command(
    stage: Annotated[str, typer.Option("--stage", help="The stage to be deployed.")] = "dev",
    account: Annotated[str, typer.Option("--account", help="The account's 12 digits; default: any.")] = "",
    remote_builds: Annotated[
        bool, typer.Option("--remote-builds", help="Also what `deploy --build remote` needs.")
    ] = False,
    app: App = HERE,
) -> None:
    """Print the smallest policy that the person who deploys needs, as JSON."""
    from matinee.ops.iam_policy import iam_policy

    made = iam_policy(app, stage, account=account, remote_builds=remote_builds, report=output.reporter(quiet=True))
    output.print_json(made.document)
    if not made.fits:
        output.say(f"It has {made.characters:,} characters: put it into the user's or role's own (inline) policies.")
    if not made.is_bounded:
        output.say(
            "Careful: who may make roles and their policies can give themselves everything. "
            "Set permissions_boundary under [aws] in matinee.toml to hold that."
        )
