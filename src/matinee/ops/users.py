"""`matinee users`: who may use an app with `[auth] mode = "users"`, here or on a deployed stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matinee.access.people import User, Users
from matinee.access.tokens import list_tokens, revoke_tokens
from matinee.client.stage import open_store_of
from matinee.ports import Store
from matinee.project import load


def add(path: Path, name: str, password: str, *, owner: bool = False, stage: str = "") -> User:
    """Add somebody; ConflictError if the name is taken, UsageError for a bad name or password."""
    with _users(path, stage) as users:
        return users.add(name, password, owner=owner)


def list_all(path: Path, *, stage: str = "") -> tuple[User, ...]:
    """Return the app's users by name."""
    with _users(path, stage) as users:
        return tuple(users.list_all())


def remove(path: Path, name: str, *, stage: str = "") -> tuple[User, int]:
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
