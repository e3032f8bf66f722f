"""`matinee secret`: set, list, remove. Values come from the standard input or a hidden prompt, and are never shown."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from matinee.cli import output
from matinee.cli.options import HERE, App, AsJson, Stage, on
from matinee.errors import UsageError

if TYPE_CHECKING:
    from matinee.access.tokens import Token
secrets = typer.Typer(help="Secrets of predictors: set, list, remove. Values are never shown.", no_args_is_help=True)
SecretName = Annotated[
    str, typer.Argument(metavar="NAME", help="As a predictor declares it: API_KEY.", show_default=False)
]
OfStage = Annotated[str, typer.Option("--stage", help="Of a deployed stage (SSM); without it, of `.env` here.")]


@secrets.command(
    "set", epilog="Example: matinee secret set API_KEY, or: matinee secret set API_KEY --stage prod < key.txt"
)
def set_secret(
    name: SecretName,
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
    from matinee import secrets as matinee_secrets
    from matinee.operate.access import set_secret as put

    matinee_secrets.check_name(name)
    changed = put(app, name, _value(name), stage=stage)
    if as_json:
        output.print_json({"name": changed.name, "where": changed.where})
    output.say(f"{changed.name} is set in {changed.where}.")
    if stage:
        output.next_step("Processes that start from now on have it; those that run keep what they had until they end.")
        if changed.replace_ui:
            output.next_step(f"The UI's tasks are replaced by: {changed.replace_ui}")
    elif changed.is_ignored is False:
        output.say("git does not ignore .env: add a line .env to .gitignore, or the secret will be committed.")


@secrets.command("list", epilog="Example: matinee secret list --stage prod")
def list_secrets(stage: OfStage = "", app: App = HERE, as_json: AsJson = False) -> None:
    """List the names: which are set, and which predictors declare them."""
    from dataclasses import asdict

    from matinee.operate.access import list_secrets as listed

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


@secrets.command("remove", epilog="Example: matinee secret remove API_KEY --stage dev")
def remove_secret(name: SecretName, stage: OfStage = "", app: App = HERE, as_json: AsJson = False) -> None:
    """Remove a secret."""
    from matinee.operate.access import remove_secret

    changed = remove_secret(app, name, stage=stage)
    if as_json:
        output.print_json({"name": changed.name, "where": changed.where})
    output.say(f"{changed.name} is removed from {changed.where}.")


def _value(name: str) -> str:
    """Read the value: all of the standard input but its last line end, or what is typed at a hidden prompt."""
    if not sys.stdin.isatty():
        try:
            return sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise UsageError("The secret's value is no UTF-8 text.", hint="Encode it, as with base64.") from None
    return str(typer.prompt(f"Value of {name} (hidden)", hide_input=True, err=True))


# --- matinee token: create, list, revoke ------------------------------------------------------------------------------

Json = Any
tokens = typer.Typer(help="Bearer tokens of the HTTP API: create, list, revoke.", no_args_is_help=True)
DAY_FORMAT = "%Y-%m-%d"


@tokens.command("create", epilog="Example: matinee token create ada --days 90")
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
    from matinee.operate import access

    made = access.create_token(app, name, owner=owner, days=days, stage=stage)
    if as_json:
        output.print_json({**_json(made.token), "secret": made.secret})
        return
    output.print_text(made.secret)
    output.next_step(f"Keep it: it is not shown again. Revoke it with: matinee token revoke {made.token.id}{on(stage)}")


@tokens.command("list", epilog="Example: matinee token list")
def list_tokens(app: App = HERE, stage: Stage = "", as_json: AsJson = False) -> None:
    """List the tokens, never their secrets."""
    from matinee.operate import access

    found = access.list_stage_tokens(app, stage=stage)
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


@tokens.command("revoke", epilog="Example: matinee token revoke 3f9a0c12de")
def revoke(
    which: Annotated[str, typer.Argument(metavar="ID", help="Its id, or a name for all of that person's.")],
    app: App = HERE,
    stage: Stage = "",
    as_json: AsJson = False,
) -> None:
    """Revoke a token: from now on it is refused."""
    from matinee.operate import access

    revoked = access.revoke_token(app, which, stage=stage)
    if as_json:
        output.print_json([_json(token) for token in revoked])
        return
    for token in revoked:
        output.print_text(token.id)
    output.next_step(f"Revoked: {', '.join(f'{token.id} of {token.person.name}' for token in revoked)}.")


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


# --- matinee users: add, list, remove, password -----------------------------------------------------------------------

users = typer.Typer(help="Named users: add, list, remove; change a password.", no_args_is_help=True)
PersonName = Annotated[str, typer.Argument(metavar="NAME", help="The name they sign in with.", show_default=False)]


@users.command("add", epilog="Example: matinee users add ada")
def add(
    name: PersonName,
    owner: Annotated[bool, typer.Option("--owner", help="They own the app: they see everybody's runs.")] = False,
    app: App = HERE,
    stage: Stage = "",
) -> None:
    """Add somebody; the password is asked for twice, or is the first line of stdin."""
    from matinee.operate import access

    user = access.add_user(app, name, _password(), owner=owner, stage=stage)
    output.print_text(user.name)
    if access.has_named_users(app, stage):
        output.next_step(f"{user.name} can sign in now.")
    else:
        output.next_step('For people to sign in by name, write into matinee.toml: [auth] mode = "users"')


@users.command("list", epilog="Example: matinee users list")
def list_users(app: App = HERE, stage: Stage = "", as_json: AsJson = False) -> None:
    """List the app's users."""
    from matinee.cli import output
    from matinee.operate import access

    found = access.list_users(app, stage=stage)
    if as_json:
        output.print_json([{"name": u.name, "role": u.role, "changed_at": u.changed_at} for u in found])
    elif found:
        rows = [[user.name, user.role, output.when(user.changed_at)] for user in found]
        output.print_table(["NAME", "ROLE", "PASSWORD SINCE"], rows)
    else:
        output.next_step("No users yet. Add one: matinee users add NAME")


@users.command("remove", epilog="Example: matinee users remove ada")
def remove_user(name: PersonName, app: App = HERE, stage: Stage = "") -> None:
    """Remove somebody, who is signed out by it and whose tokens are revoked; their runs stay."""
    from matinee.operate import access

    user, tokens = access.remove_user(app, name, stage=stage)
    output.print_text(user.name)
    output.next_step(f"Removed, and signed out{_revoked(tokens)}.")


@users.command("password", epilog="Example: matinee users password ada")
def password(name: PersonName, app: App = HERE, stage: Stage = "") -> None:
    """Change somebody's password, which signs them out everywhere and revokes their tokens."""
    from matinee.operate import access

    user, tokens = access.change_password(app, name, _password(), stage=stage)
    output.print_text(user.name)
    output.next_step(f"Changed, and signed out everywhere{_revoked(tokens)}.")


def _revoked(tokens: int) -> str:
    return f"; {tokens} token{'s' if tokens != 1 else ''} revoked" if tokens else ""


def _password() -> str:
    """Ask twice without showing it; a script gives it as the first line of stdin, never as an argument."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt="The same once more"))
    return sys.stdin.readline().rstrip("\r\n")
