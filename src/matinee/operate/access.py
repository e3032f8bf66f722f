"""`matinee secret`: the values of secrets, in `.env` for this machine and in SSM for a stage. None is ever printed.

https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-securestring.html
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import IO, Any

from matinee import secrets
from matinee.access import tokens as access_tokens
from matinee.access.modes import make_sign_in
from matinee.access.people import User, Users
from matinee.access.tokens import Token, list_tokens, revoke_tokens
from matinee.backends.aws.errors import explained
from matinee.backends.aws.session import Session
from matinee.client.connect import open_store_of, session_on
from matinee.environments.inspect import inspect_app
from matinee.errors import LimitError, NotFoundError, UsageError
from matinee.lambda_api.sdk import code_of
from matinee.manifest import PredictorManifest, Release
from matinee.names import Names
from matinee.ports import Store
from matinee.project.load import load
from matinee.project.model import Project
from matinee.settings import PASSWORD, PREFIX

Json = Any
MAX_BYTES = 4096  # of a standard parameter, which costs nothing
APPS_OWN = PREFIX  # what the app's own secrets begin with, as the shared password


@dataclass(frozen=True)
class Secret:
    """A secret without its value. `used_by` are predictors that declare it, as far as is known."""

    name: str
    is_set: bool
    used_by: tuple[str, ...] = ()
    changed_at: float | None = None  # epoch seconds; on a stage


@dataclass(frozen=True)
class Kept:
    """Where a value was put or removed.

    `is_ignored`: whether git leaves the file alone (None = no git, or a stage). `replace_ui`: the command by which the
    UI takes a secret of its own, "" for one of a predictor's.
    """

    name: str
    where: str
    is_ignored: bool | None = None
    replace_ui: str = ""


def set_secret(app: Path, name: str, value: str, *, stage: str = "") -> Kept:
    """Set a secret in `.env`, or of a stage. Raises UsageError, LimitError for more than AWS takes, BackendError."""
    secrets.check_name(name)
    _check_value(value)
    project = load(app)
    if not stage:
        if name.startswith(APPS_OWN):
            raise UsageError(
                f"{name} is read from `.env` by nobody: here it is a variable of the shell.",
                hint=f"Here: export {name}=…   Deployed: matinee secret set {name} --stage STAGE",
            )
        return _write(project, name, value)
    names, session = session_on(project, stage)
    in_manager = name == PASSWORD and project.for_stage(stage).aws.password_in == "secrets-manager"  # noqa: S105
    with _closing(session):
        (_put_in_manager if in_manager else _put)(session, names, name, value)
    replace = f"aws ecs update-service --cluster {names.base} --service ui --force-new-deployment"
    return Kept(name, names.parameter(name), replace_ui=replace if name.startswith(APPS_OWN) else "")


def remove_secret(app: Path, name: str, *, stage: str = "") -> Kept:
    """Remove a secret; NotFoundError if there is none of that name."""
    secrets.check_name(name)
    project = load(app)
    if not stage:
        return _write(project, name, None)
    names, session = session_on(project, stage)
    path = names.parameter(name)
    with _closing(session), explained(f"The secret {path}", "ssm:DeleteParameter", path):
        try:
            session.client("ssm").delete_parameter(Name=path)
        except Exception as error:
            if code_of(error) == "ParameterNotFound":
                raise _none(name, f"the stage {stage}") from None
            raise
    return Kept(name, path)


def list_secrets(app: Path, *, stage: str = "") -> tuple[Secret, ...]:
    """Return by name the secrets that are set, and those that the app here, or what is live on a stage, declares."""
    project = load(app)
    if not stage:
        declaring = [predictor for item in inspect_app(project) for predictor in item.manifest.predictors]
        return _listed(dict.fromkeys(secrets.read(project.folder)), declaring)
    names, session = session_on(project, stage)
    with _closing(session):
        release = _released(session)
        return _listed(_changed(session, names), release.predictors if release else ())


def _listed(there: Mapping[str, float | None], declaring: Iterable[PredictorManifest]) -> tuple[Secret, ...]:
    users: dict[str, list[str]] = {}
    for predictor in declaring:
        for name in predictor.resources.secrets:
            users.setdefault(name, []).append(predictor.name)
    return tuple(
        Secret(name, name in there, tuple(users.get(name, ())), there.get(name)) for name in sorted({*there, *users})
    )


def _check_value(value: str) -> None:
    if not value:
        raise UsageError(
            "The secret's value is empty.", hint="Type it at the prompt, or send it to the standard input."
        )
    if "\0" in value:
        raise UsageError("The secret's value has a zero byte in it: no variable can hold that.")


def _none(name: str, where: str) -> NotFoundError:
    return NotFoundError(f"There is no secret {name} in {where}.", hint="`matinee secret list` shows what there is.")


# --- secrets in .env ------------------------------------------------------------------------------------------------


def _write(project: Project, name: str, value: str | None) -> Kept:
    """Set or remove (None) one line of `.env`; everything else in it stays as it is."""
    file = project.folder / secrets.FILE
    before = secrets.read(project.folder)
    if value is None and name not in before:
        raise _none(name, secrets.FILE)
    text = _changed_text(file.read_text("utf-8") if file.exists() else "", name, value)
    expected = {**before, name: value} if value is not None else {n: v for n, v in before.items() if n != name}
    partial = file.with_name(f"{secrets.FILE}.{os.getpid()}.partial")
    try:
        with _private(partial) as stream:
            stream.write(text)
        if value is not None and not _reads_as(text, expected):
            raise UsageError(f"{file} has a line that cannot be read.", hint="Mend it with an editor, then try again.")
        partial.replace(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return Kept(name, str(file), _is_ignored(file))


@contextmanager
def _private(file: Path) -> Iterator[IO[str]]:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # for its owner's eyes
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        yield stream


def _changed_text(text: str, name: str, value: str | None) -> str:
    from dotenv.parser import parse_stream

    lines, is_there = list[str](), False
    for binding in parse_stream(StringIO(text)):
        if binding.key != name or binding.error:
            lines.append(binding.original.string)
        elif value is not None and not is_there:
            lines.append(_line(name, value))
            is_there = True
    if value is not None and not is_there:
        lines += ["\n"] if lines and not lines[-1].endswith("\n") else []
        lines.append(_line(name, value))
    return "".join(lines)


def _line(name: str, value: str) -> str:
    return "{}='{}'\n".format(name, value.replace("\\", "\\\\").replace("'", "\\'"))


def _reads_as(text: str, expected: Mapping[str, str | None]) -> bool:
    from dotenv import dotenv_values

    return {n: v for n, v in dotenv_values(stream=StringIO(text), interpolate=False).items() if v} == expected


def _is_ignored(file: Path) -> bool | None:
    """Whether git leaves the file alone; None where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "check-ignore", "--quiet", file.name], cwd=file.parent, capture_output=True, check=False, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {0: True, 1: False}.get(done.returncode)


# --- secrets on AWS -------------------------------------------------------------------------------------------------


def _put(session: Session, names: Names, name: str, value: str) -> None:
    """Put a parameter. Tags and overwriting exclude each other, so the first time is a call of its own."""
    if len(value.encode()) > MAX_BYTES:
        raise LimitError(
            f"The secret {name} is {len(value.encode()):,} bytes: SSM takes {MAX_BYTES:,}.",
            hint="Keep what is larger in a file of the component, or split it.",
        )
    path, client = names.parameter(name), session.client("ssm")
    parameter = {"Name": path, "Value": value, "Type": "SecureString"}
    tags = [{"Key": "matinee:app", "Value": names.app}, {"Key": "matinee:stage", "Value": names.stage}]
    with explained(f"The secret {path}", "ssm:PutParameter", path):
        try:
            client.put_parameter(**parameter, Tags=tags)
        except Exception as error:
            if code_of(error) != "ParameterAlreadyExists":
                raise
            client.put_parameter(**parameter, Overwrite=True)


def _put_in_manager(session: Session, names: Names, name: str, value: str) -> None:
    """Put the value of a secret of Secrets Manager, which the stage's stack has made."""
    where = names.parameter(name).lstrip("/")
    with explained(f"The secret {where}", "secretsmanager:PutSecretValue", where):
        try:
            session.client("secretsmanager").put_secret_value(SecretId=where, SecretString=value)
        except Exception as error:
            if code_of(error) != "ResourceNotFoundException":
                raise
            hint = f"Deploy first: matinee deploy --stage {names.stage}"
            raise UsageError(f"The first deployment makes {where} in Secrets Manager.", hint=hint) from None


def _changed(session: Session, names: Names) -> dict[str, float | None]:
    """Return when each secret of the stage was changed."""
    folder = names.parameter("")  # with its last slash, as policies name what is below it
    with explained(f"The secrets under {folder}", "ssm:GetParametersByPath", folder):
        pages = session.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=folder)
        found: Iterable[Json] = [item for page in pages for item in page["Parameters"]]
        return {item["Name"].rpartition("/")[2]: item["LastModifiedDate"].timestamp() for item in found}


def _released(session: Session) -> Release | None:
    """Return what is live on the stage, None while nothing is: secrets are set before the first deployment."""
    from matinee.backends.aws.store import DynamoStore

    try:
        return DynamoStore(session).release()
    except Exception as error:
        if code_of(error.__cause__ or error) == "ResourceNotFoundException":
            return None
        raise


@contextmanager
def _closing(session: Session) -> Iterator[None]:
    try:
        yield
    finally:
        session.close()


# --- matinee token ----------------------------------------------------------------------------------------------------
# `matinee token`: make, list and revoke the bearer tokens of the HTTP API, here or on a deployed stage.


@dataclass(frozen=True)
class NewToken:
    """A token with its secret, which is told this once."""

    token: Token
    secret: str


def create_token(path: Path, name: str, *, owner: bool = False, days: int | None = None, stage: str = "") -> NewToken:
    """Make a token for the person `name`; raises ProjectError, UsageError, NotFoundError if there is no such person."""
    project = load(path)
    with open_store_of(project, stage) as store:
        mode = make_sign_in(project.for_stage(stage).auth, {}, lambda: Users(store))
        return NewToken(*access_tokens.create_token(store, mode, name, owner=owner, days=days, now=time.time()))


def list_stage_tokens(path: Path, *, stage: str = "") -> tuple[Token, ...]:
    """Return all tokens, the newest first."""
    with open_store_of(load(path), stage) as store:
        return tuple(access_tokens.list_tokens(store))


def revoke_token(path: Path, which: str, *, stage: str = "") -> tuple[Token, ...]:
    """Revoke the token of this id, or all of this name; NotFoundError if there is none."""
    with open_store_of(load(path), stage) as store:
        return tuple(access_tokens.revoke_tokens(store, which))


# --- matinee users ----------------------------------------------------------------------------------------------------
# `matinee users`: who may use an app with `[auth] mode = "users"`, here or on a deployed stage.


def add_user(path: Path, name: str, password: str, *, owner: bool = False, stage: str = "") -> User:
    """Add somebody; ConflictError if the name is taken, UsageError for a bad name or password."""
    with _users(path, stage) as users:
        return users.add(name, password, owner=owner)


def list_users(path: Path, *, stage: str = "") -> tuple[User, ...]:
    """Return the app's users by name."""
    with _users(path, stage) as users:
        return tuple(users.list_all())


def remove_user(path: Path, name: str, *, stage: str = "") -> tuple[User, int]:
    """Remove somebody and revoke their tokens, and return how many; their runs stay. NotFoundError if there is none.

    Tokens first: whatever stops this in between, nobody who is gone can go on by a token.
    """
    with open_store_of(load(path), stage) as store:
        users = Users(store)
        user = users.find_named(name)
        revoked = _revoke_tokens_of(store, user.name)
        return users.remove(user.name), revoked


def change_password(path: Path, name: str, password: str, *, stage: str = "") -> tuple[User, int]:
    """Change a password and revoke its user's tokens, and return how many; it signs them out everywhere.

    NotFoundError if there is no such user.
    """
    with open_store_of(load(path), stage) as store:
        user = Users(store).change_password(name, password)
        return user, _revoke_tokens_of(store, user.name)


def has_named_users(path: Path, stage: str = "") -> bool:
    """Whether the app lets its named users in, as `[auth] mode = "users"` does."""
    return load(path).for_stage(stage).auth.sign_in_mode.has_accounts


def _revoke_tokens_of(store: Store, name: str) -> int:
    tokens = [token for token in list_tokens(store) if token.person.name == name]
    for token in tokens:
        revoke_tokens(store, token.id)
    return len(tokens)


@contextmanager
def _users(path: Path, stage: str) -> Iterator[Users]:
    with open_store_of(load(path), stage) as store:
        yield Users(store)
