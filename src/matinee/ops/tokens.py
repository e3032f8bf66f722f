"""`matinee token`: make, list and revoke the bearer tokens of the HTTP API, here or on a deployed stage."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from matinee.access import tokens
from matinee.access.modes import make_sign_in
from matinee.access.people import Users
from matinee.access.tokens import Token
from matinee.client.stage import open_store_of
from matinee.project import load


@dataclass(frozen=True)
class NewToken:
    """A token with its secret, which is told this once."""

    token: Token
    secret: str


def create(path: Path, name: str, *, owner: bool = False, days: int | None = None, stage: str = "") -> NewToken:
    """Make a token for the person `name`; raises ProjectError, UsageError, NotFoundError if there is no such person."""
    project = load(path)
    with open_store_of(project, stage) as store:
        mode = make_sign_in(project.for_stage(stage).auth, {}, lambda: Users(store))
        return NewToken(*tokens.create_token(store, mode, name, owner=owner, days=days, now=time.time()))


def list_tokens(path: Path, *, stage: str = "") -> tuple[Token, ...]:
    """Return all tokens, the newest first."""
    with open_store_of(load(path), stage) as store:
        return tuple(tokens.list_tokens(store))


def revoke(path: Path, which: str, *, stage: str = "") -> tuple[Token, ...]:
    """Revoke the token of this id, or all of this name; NotFoundError if there is none."""
    with open_store_of(load(path), stage) as store:
        return tuple(tokens.revoke_tokens(store, which))
