"""`matinee token`: create, list, revoke."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson, Stage, on

if TYPE_CHECKING:
    from matinee.access.tokens import Token

Json = Any
app = typer.Typer(help="Bearer tokens of the HTTP API: create, list, revoke.", no_args_is_help=True)
DAY_FORMAT = "%Y-%m-%d"


@app.command("create", epilog="Example: matinee token create ada --days 90")
def create(
    name: Annotated[str, typer.Argument(help="The person it speaks for: their runs are filed under it.")],
    owner: Annotated[bool, typer.Option("--owner", help="It sees and changes everybody's runs.")] = False,
    days: Annotated[int | None, typer.Option("--days", min=1, help="How long it lasts; without it, until revoked.")] = (
        None
    ),
    app: App = HERE,
    stage: Stage = "",
    as_json: AsJson = False,
) -> None:
    """Make a token and print it, once."""
    from matinee.ops import tokens

    made = tokens.create(app, name, owner=owner, days=days, stage=stage)
    if as_json:
        output.print_json({**_json(made.token), "secret": made.secret})
        return
    output.print_text(made.secret)
    output.next_step(f"Keep it: it is not shown again. Revoke it with: matinee token revoke {made.token.id}{on(stage)}")


@app.command("list", epilog="Example: matinee token list")
def list_tokens(app: App = HERE, stage: Stage = "", as_json: AsJson = False) -> None:
    """List the tokens, never their secrets."""
    from matinee.ops import tokens

    found = tokens.list_tokens(app, stage=stage)
    if as_json:
        output.print_json([_json(token) for token in found])
        return
    if not found:
        output.next_step("No tokens yet. Make one: matinee token create NAME")
        return
    rows = [
        [token.id, token.person.name, token.person.role, _day(token.created_at), _ends(token), _used(token)]
        for token in found
    ]
    output.print_table(["ID", "NAME", "ROLE", "CREATED", "ENDS", "LAST USED"], rows)
    output.next_step("Revoke one: matinee token revoke ID")


@app.command("revoke", epilog="Example: matinee token revoke 3f9a0c12de")
def revoke(
    which: Annotated[str, typer.Argument(metavar="ID", help="Its id, or a name for all of that person's.")],
    app: App = HERE,
    stage: Stage = "",
    as_json: AsJson = False,
) -> None:
    """Revoke a token: from now on it is refused."""
    from matinee.ops import tokens

    gone = tokens.revoke(app, which, stage=stage)
    if as_json:
        output.print_json([_json(token) for token in gone])
        return
    for token in gone:
        output.print_text(token.id)
    output.next_step(f"Revoked: {', '.join(f'{token.id} of {token.person.name}' for token in gone)}.")


def _json(token: Token) -> dict[str, Json]:
    times = {name: getattr(token, name) for name in ("created_at", "expires_at", "last_used_at")}
    return {"id": token.id, "name": token.person.name, "role": token.person.role, **times}


def _day(at: float) -> str:
    return time.strftime(DAY_FORMAT, time.localtime(at))


def _ends(token: Token) -> str:
    if token.expires_at is None:
        return "never"
    return _day(token.expires_at) + ("" if token.is_valid(time.time()) else " (over)")


def _used(token: Token) -> str:
    return "never" if token.last_used_at is None else time.strftime(DAY_FORMAT, time.gmtime(token.last_used_at))
