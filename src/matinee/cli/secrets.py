"""`matinee secret`: set, list, remove. Values come from the standard input or a hidden prompt, and are never shown."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson
from matinee.errors import UsageError

app = typer.Typer(help="Secrets of predictors: set, list, remove. Values are never shown.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="As a predictor declares it: API_KEY.", show_default=False)]
OfStage = Annotated[str, typer.Option("--stage", help="Of a deployed stage (SSM); without it, of `.env` here.")]


@app.command("set", epilog="Example: matinee secret set API_KEY, or: matinee secret set API_KEY --stage prod < key.txt")
def set_secret(
    name: Name,
    value: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    stage: OfStage = "",
    app: App = HERE,
    as_json: AsJson = False,
) -> None:
    """Set a secret: type its value at the prompt, or send it to the standard input."""
    if value or "=" in name:  # told without repeating it
        raise UsageError(
            "A secret's value is not given on the command line: the shell would remember it.",
            hint="Give the name alone and type the value at the prompt, or send it to the standard input.",
        )
    from matinee import secrets
    from matinee.ops.secrets import set_secret as put

    secrets.check_name(name)
    kept = put(app, name, _value(name), stage=stage)
    if as_json:
        output.print_json({"name": kept.name, "where": kept.where})
    output.say(f"{kept.name} is set in {kept.where}.")
    if stage:
        output.next_step("Processes that start from now on have it; those that run keep what they had until they end.")
        if kept.replace_ui:
            output.next_step(f"The UI's tasks are replaced by: {kept.replace_ui}")
    elif kept.is_ignored is False:
        output.say("git does not ignore .env: add a line .env to .gitignore, or the secret will be committed.")


@app.command("list", epilog="Example: matinee secret list --stage prod")
def list_secrets(stage: OfStage = "", app: App = HERE, as_json: AsJson = False) -> None:
    """List the names: which are set, and which predictors declare them."""
    from dataclasses import asdict

    from matinee.ops.secrets import list_secrets as listed

    found = listed(app, stage=stage)
    if as_json:
        output.print_json([asdict(secret) for secret in found])
        return
    if not found:
        output.next_step('No secrets. A predictor declares one: @realtime(secrets=["API_KEY"])')
        return
    rows = [
        [
            secret.name,
            ("" if secret.changed_at is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(secret.changed_at)))
            or ("yes" if secret.is_set else "NOT SET"),
            ", ".join(secret.used_by) or "-",
        ]
        for secret in found
    ]
    output.print_table(["NAME", "SET", "DECLARED BY"], rows)
    missing = [secret.name for secret in found if not secret.is_set]
    if missing:
        output.next_step(f"Set it: matinee secret set {missing[0]}{f' --stage {stage}' if stage else ''}")


@app.command("remove", epilog="Example: matinee secret remove API_KEY --stage dev")
def remove(name: Name, stage: OfStage = "", app: App = HERE, as_json: AsJson = False) -> None:
    """Remove a secret."""
    from matinee.ops.secrets import remove_secret

    kept = remove_secret(app, name, stage=stage)
    if as_json:
        output.print_json({"name": kept.name, "where": kept.where})
    output.say(f"{kept.name} is removed from {kept.where}.")


def _value(name: str) -> str:
    """Read the value: all of the standard input but its last line end, or what is typed at a hidden prompt."""
    if not sys.stdin.isatty():
        try:
            return sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise UsageError("The secret's value is no UTF-8 text.", hint="Encode it, as with base64.") from None
    return str(typer.prompt(f"Value of {name} (hidden)", hide_input=True, err=True))
