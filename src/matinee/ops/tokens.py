"""`matinee token`: make, list and revoke the bearer tokens of the HTTP API. Only the app's data is opened."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from matinee.api import tokens
from matinee.api.tokens import Token
from matinee.client.backend import open_backend
from matinee.ports import Store
from matinee.project import load
from matinee.settings import Settings


@dataclass(frozen=True)
class NewToken:
    """A token with its secret, which is told this once."""

    token: Token
    secret: str


def create(path: Path, name: str, *, owner: bool = False, days: int | None = None) -> NewToken:
    """Make a token for the person `name`; raises ProjectError, UsageError."""
    with _store(path) as store:
        return NewToken(*tokens.create(store, name, owner=owner, days=days, now=time.time()))


def list_tokens(path: Path) -> tuple[Token, ...]:
    """Return all tokens, the newest first."""
    with _store(path) as store:
        return tuple(tokens.listed(store))


def revoke(path: Path, which: str) -> tuple[Token, ...]:
    """Revoke the token of this id, or all of this name; NotFoundError if there is none."""
    with _store(path) as store:
        return tuple(tokens.revoke(store, which))


@contextmanager
def _store(path: Path) -> Iterator[Store]:
    project = load(path)
    store = open_backend(Settings(app=project.name, data=project.data)).store
    try:
        yield store
    finally:
        store.close()
