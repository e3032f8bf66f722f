"""`matinee users`: who may use an app with `[auth] mode = "users"`, here or on a deployed stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matinee.access.users import User, Users
from matinee.api import tokens
from matinee.client.stage import open_store_of
from matinee.project import load


def add(path: Path, name: str, password: str, *, owner: bool = False, stage: str = "") -> User:
    """Add somebody; ConflictError if the name is taken, UsageError for a bad name or password."""
    with _users(path, stage) as users:
        return users.add(name, password, owner=owner)


def list_all(path: Path, *, stage: str = "") -> tuple[User, ...]:
    """Return the app's users by name."""
    with _users(path, stage) as users:
        return tuple(users.all())


def remove(path: Path, name: str, *, stage: str = "") -> tuple[User, int]:
    """Remove somebody and revoke their tokens, and return how many; their runs stay. NotFoundError if there is none.

    Tokens first: whatever stops this in between, nobody who is gone can go on by a token.
    """
    with open_store_of(load(path), stage) as store:
        users = Users(store)
        user = users.named(name)
        theirs = [token for token in tokens.listed(store) if token.person.name == user.name]
        for token in theirs:
            tokens.revoke(store, token.id)
        return users.remove(user.name), len(theirs)


def change_password(path: Path, name: str, password: str, *, stage: str = "") -> User:
    """Change a password, which signs its user out everywhere; NotFoundError if there is no such user."""
    with _users(path, stage) as users:
        return users.change_password(name, password)


def is_asked_for(path: Path, stage: str = "") -> bool:
    """Whether the app lets its named users in: `[auth] mode = "users"`."""
    return load(path).for_stage(stage).auth.mode == "users"


@contextmanager
def _users(path: Path, stage: str) -> Iterator[Users]:
    with open_store_of(load(path), stage) as store:
        yield Users(store)
