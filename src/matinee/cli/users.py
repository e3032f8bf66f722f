"""`matinee users`: add, list, remove, password."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson, Stage

app = typer.Typer(help="Named users: add, list, remove; change a password.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name they sign in with.", show_default=False)]


@app.command("add", epilog="Example: matinee users add ada")
def add(
    name: Name,
    owner: Annotated[bool, typer.Option("--owner", help="They own the app: they see everybody's runs.")] = False,
    app: App = HERE,
    stage: Stage = "",
) -> None:
    """Add somebody; the password is asked for twice, or is the first line of stdin."""
    from matinee.ops import users

    user = users.add(app, name, _password(), owner=owner, stage=stage)
    output.print_text(user.name)
    if users.has_named_users(app, stage):
        output.next_step(f"{user.name} can sign in now.")
    else:
        output.next_step('For people to sign in by name, write into matinee.toml: [auth] mode = "users"')


@app.command("list", epilog="Example: matinee users list")
def list_users(app: App = HERE, stage: Stage = "", as_json: AsJson = False) -> None:
    """List the app's users."""
    from matinee.cli import render
    from matinee.ops import users

    found = users.list_all(app, stage=stage)
    if as_json:
        output.print_json([{"name": u.name, "role": u.role, "changed_at": u.changed_at} for u in found])
    elif found:
        rows = [[user.name, user.role, render.when(user.changed_at)] for user in found]
        output.print_table(["NAME", "ROLE", "PASSWORD SINCE"], rows)
    else:
        output.next_step("No users yet. Add one: matinee users add NAME")


@app.command("remove", epilog="Example: matinee users remove ada")
def remove(name: Name, app: App = HERE, stage: Stage = "") -> None:
    """Remove somebody, who is signed out by it and whose tokens are revoked; their runs stay."""
    from matinee.ops import users

    user, tokens = users.remove(app, name, stage=stage)
    output.print_text(user.name)
    output.next_step(f"Removed, and signed out{_revoked(tokens)}.")


@app.command("password", epilog="Example: matinee users password ada")
def password(name: Name, app: App = HERE, stage: Stage = "") -> None:
    """Change somebody's password, which signs them out everywhere and revokes their tokens."""
    from matinee.ops import users

    user, tokens = users.change_password(app, name, _password(), stage=stage)
    output.print_text(user.name)
    output.next_step(f"Changed, and signed out everywhere{_revoked(tokens)}.")


def _revoked(tokens: int) -> str:
    return f"; {tokens} token{'s' if tokens != 1 else ''} revoked" if tokens else ""


def _password() -> str:
    """Ask twice without showing it; a script gives it as the first line of stdin, never as an argument."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt="The same once more"))
    return sys.stdin.readline().rstrip("\r\n")
