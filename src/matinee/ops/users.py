"""`matinee users`: who may use an app with `[auth] mode = "users"`, here or on a deployed stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matinee.access.users import User, Users
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


def remove(path: Path, name: str, *, stage: str = "") -> User:
    """Remove somebody, who is signed out by it; their runs stay. NotFoundError if there is none."""
    with _users(path, stage) as users:
        return users.remove(name)


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
