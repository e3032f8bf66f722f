"""Named users: documents of the kind "user" in the Store, with an argon2 hash each."""

from __future__ import annotations

import time
from dataclasses import dataclass

from matinee.access import passwords
from matinee.access.people import Person, Role, clean_name
from matinee.errors import ConflictError, NotFoundError
from matinee.ports import Store
from matinee.runs import Json

KIND = "user"


@dataclass(frozen=True)
class User:
    """A person with a password of their own. `hash` is what is kept of it."""

    name: str
    role: Role
    hash: str
    changed_at: float

    @property
    def person(self) -> Person:
        """The person this is."""
        return Person(self.name, self.role)


class Users:
    """The users of one app."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, name: str, password: str, *, owner: bool = False) -> User:
        """Add somebody; ConflictError if the name is taken, UsageError for a bad name or password."""
        user = User(clean_name(name), "owner" if owner else "user", passwords.hashed(password), time.time())
        if not self._store.swap_document(KIND, user.name, None, _to_json(user)):
            raise ConflictError(
                f"There is a user {user.name!r} already.", hint=f"Change the password: matinee users password {name}"
            )
        return user

    def all(self) -> list[User]:
        """Return the users by name."""
        return [_from_json(name, kept) for name, kept in self._store.documents(KIND).items()]

    def find(self, name: str) -> User | None:
        """Return the user of that (clean) name."""
        kept = self._store.document(KIND, name)
        return None if kept is None else _from_json(name, kept)

    def remove(self, name: str) -> User:
        """Remove somebody, who is signed out by it; their runs stay. NotFoundError if there is none."""
        user = self.named(name)
        self._store.put_document(KIND, user.name, None)
        return user

    def change_password(self, name: str, password: str) -> User:
        """Change a password, which signs its user out everywhere; NotFoundError if there is no such user."""
        user = self.named(name)
        changed = User(user.name, user.role, passwords.hashed(password), time.time())
        if not self._store.swap_document(KIND, user.name, _to_json(user), _to_json(changed)):
            raise ConflictError(f"The user {user.name!r} was changed at the same time.", hint="Try again.")
        return changed

    def check(self, name: str, password: str) -> User | None:
        """Return the user if the password is theirs; as slow for a name that does not exist."""
        user = self.find(name)
        fits = passwords.fits(password, user.hash if user else passwords.nobodys())
        return user if fits else None

    def named(self, name: str) -> User:
        """Return the user of that name as people write it; NotFoundError if there is none."""
        user = self.find(clean_name(name))
        if user is None:
            raise NotFoundError(f"There is no user {name!r}.", hint="`matinee users list` shows them all.")
        return user


def _to_json(user: User) -> Json:
    return {"role": user.role, "hash": user.hash, "changed_at": user.changed_at}


def _from_json(name: str, kept: Json) -> User:
    return User(name, "owner" if kept["role"] == "owner" else "user", kept["hash"], kept["changed_at"])
