"""People as the app knows them: names and roles, their passwords, and the named users kept in the Store.

A password is compared in constant time, and only its argon2 hash is kept.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import secrets
import threading
import time
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from matinee.errors import ConflictError, NotFoundError, UsageError
from matinee.ports import Store
from matinee.runs import Json

if TYPE_CHECKING:
    from argon2 import PasswordHasher

Role = Literal["user", "owner"]
LONGEST_NAME = 64


@dataclass(frozen=True)
class Person:
    """Somebody who may use the app. An owner sees everybody's runs."""

    name: str
    role: Role = "user"

    @property
    def is_owner(self) -> bool:
        """Whether they own the app."""
        return self.role == "owner"


LOCAL = Person("local", "owner")  # who uses an app without sign-in, on their own machine


def clean_name(text: str) -> str:
    """Return the name as it is kept: "  Ada   B." is "ada b.", since a phone writes the first letter large.

    Raises UsageError for one that is empty, too long, or holds what cannot be shown.
    """
    name = " ".join(unicodedata.normalize("NFKC", text).split()).casefold()
    if not name:
        raise UsageError("The name is empty.", hint="Type the name your runs shall be filed under.")
    if len(name) > LONGEST_NAME:
        raise UsageError(f"The name is longer than {LONGEST_NAME} characters.", hint="Choose a shorter one.")
    if not name.isprintable():
        raise UsageError("The name holds characters that cannot be shown.", hint="Use letters, digits and spaces.")
    return name


# --- passwords ----------------------------------------------------------------------------------------------------

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024  # characters: a longer one is not worth hashing
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without those that look alike
# OWASP's second choice for argon2id (2024): 19 MiB and two passes, so that the smallest server bears it.
_MEMORY_KIB, _PASSES, _LANES = 19_456, 2, 1
_hashing = threading.BoundedSemaphore(2)  # each takes that memory; two, so that strangers hold nobody known up


def is_same_secret(text: str, expected: str) -> bool:
    """Whether they are the same, in a time that does not tell how much of it was right."""
    return hmac.compare_digest(text.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def hash_password(password: str) -> str:
    """Return what is kept of a password; UsageError for one that is too short or too long."""
    if len(password) < SHORTEST_PASSWORD:
        raise UsageError(
            f"The password has fewer than {SHORTEST_PASSWORD} characters.", hint="Three words are easy to keep."
        )
    if len(password) > LONGEST_PASSWORD:
        raise UsageError(f"The password has more than {LONGEST_PASSWORD} characters.", hint="Choose a shorter one.")
    with _hashing:
        return _hasher().hash(password)


def verify_password(password: str, hash_: str) -> bool:
    """Whether it is the password of which this is the hash. Takes tens of milliseconds, whatever the answer."""
    from argon2.exceptions import InvalidHashError, VerificationError

    if len(password) > LONGEST_PASSWORD:
        return False
    try:
        with _hashing:
            return _hasher().verify(hash_, password)
    except (VerificationError, InvalidHashError):
        return False


@functools.cache
def hash_of_nobody() -> str:
    """Return a hash no password fits: a name that does not exist costs the same time as one that does."""
    return _hasher().hash(secrets.token_hex(32))


def generate_password() -> str:
    """Return a password that is easy to read out: 60 bits in three groups."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))


@functools.cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)


# --- named users --------------------------------------------------------------------------------------------------

USER = "user"  # the kind of their documents


@dataclass(frozen=True)
class User:
    """A person with a password of their own. `hash` is what is kept of it."""

    name: str
    role: Role
    hash: str
    changed_at: float

    @property
    def fingerprint(self) -> str:
        """A text that changes with the password, and whenever the name is given anew; tokens are bound to it."""
        return hashlib.sha256(self.hash.encode()).hexdigest()[:32]


class Users:
    """The users of one app."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, name: str, password: str, *, owner: bool = False) -> User:
        """Add somebody; ConflictError if the name is taken, UsageError for a bad name or password."""
        user = User(clean_name(name), "owner" if owner else "user", hash_password(password), time.time())
        if not self._store.swap_document(USER, user.name, None, _user_to_json(user)):
            raise ConflictError(
                f"There is a user {user.name!r} already.", hint=f"Change the password: matinee users password {name}"
            )
        return user

    def list_all(self) -> list[User]:
        """Return the users by name."""
        return [_user_from_json(name, data) for name, data in self._store.documents(USER).items()]

    def find(self, name: str) -> User | None:
        """Return the user of that (clean) name."""
        data = self._store.document(USER, name)
        return None if data is None else _user_from_json(name, data)

    def remove(self, name: str) -> User:
        """Remove somebody, who is signed out by it; their runs stay. NotFoundError if there is none."""
        user = self.find_named(name)
        self._store.put_document(USER, user.name, None)
        return user

    def change_password(self, name: str, password: str) -> User:
        """Change a password, which signs its user out everywhere; NotFoundError if there is no such user."""
        user = self.find_named(name)
        changed = User(user.name, user.role, hash_password(password), time.time())
        if not self._store.swap_document(USER, user.name, _user_to_json(user), _user_to_json(changed)):
            raise ConflictError(f"The user {user.name!r} was changed at the same time.", hint="Try again.")
        return changed

    def check_password(self, name: str, password: str) -> User | None:
        """Return the user if the password is theirs; as slow for a name that does not exist."""
        user = self.find(name)
        is_right = verify_password(password, user.hash if user else hash_of_nobody())
        return user if is_right else None

    def find_named(self, name: str) -> User:
        """Return the user of that name as people write it; NotFoundError if there is none."""
        user = self.find(clean_name(name))
        if user is None:
            raise NotFoundError(f"There is no user {name!r}.", hint="`matinee users list` shows them all.")
        return user


def _user_to_json(user: User) -> Json:
    return {"role": user.role, "hash": user.hash, "changed_at": user.changed_at}


def _user_from_json(name: str, data: Json) -> User:
    return User(name, "owner" if data["role"] == "owner" else "user", data["hash"], data["changed_at"])
