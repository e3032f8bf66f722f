"""Bearer tokens: made, listed and revoked by the app's owner, kept only as their SHA-256.

A token says who calls, as a sign-in does. It has 256 random bits, so looking its hash up tells an attacker nothing by
the time it takes.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from matinee.access.people import Person, clean_name
from matinee.errors import NotFoundError, UsageError
from matinee.ports import Store

Json = Any
KIND = "token"  # the kind of its documents
PREFIX = "mat_"
DAY_S = 86_400.0
ID_LENGTH = 10  # characters of the hash: enough to name one of hundreds
LONGEST_DAYS = 36_500


@dataclass(frozen=True)
class Token:
    """What is kept of a token; times in epoch seconds. `last_used_at` is coarse: to the day."""

    id: str
    person: Person
    created_at: float
    expires_at: float | None = None
    last_used_at: float | None = None

    def is_valid(self, now: float) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < self.expires_at


def create(store: Store, name: str, *, owner: bool = False, days: int | None = None, now: float) -> tuple[Token, str]:
    """Make a token for the person `name` and return it with its secret, which is never shown again.

    Raises UsageError for a name that cannot be one, or `days` that are no number of days.
    """
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise UsageError(f"A token lasts 1 to {LONGEST_DAYS} days, not {days}.", hint="Leave it out for no end.")
    secret = PREFIX + secrets.token_urlsafe(32)
    key = _digest(secret)
    kept = {
        "name": clean_name(name),
        "role": "owner" if owner else "user",
        "created_at": now,
        "expires_at": None if days is None else now + days * DAY_S,
        "last_used_at": None,
    }
    store.put_document(KIND, key, kept)
    return _token(key, kept), secret


def listed(store: Store) -> list[Token]:
    """Return all tokens, the newest first."""
    tokens = [_token(key, kept) for key, kept in store.documents(KIND).items()]
    return sorted(tokens, key=lambda token: token.created_at, reverse=True)


def revoke(store: Store, which: str) -> list[Token]:
    """Revoke the token of this id, or all of the person of this name; NotFoundError if there is none."""
    kept = store.documents(KIND)
    keys = [key for key, value in kept.items() if which == key[:ID_LENGTH]]
    keys = keys or [key for key, value in kept.items() if clean_name(which) == value["name"]]
    if not keys:
        raise NotFoundError(f"There is no token {which!r}.", hint="`matinee token list` shows them.")
    for key in keys:
        store.put_document(KIND, key, None)
    return [_token(key, kept[key]) for key in keys]


def person_of(store: Store, secret: str, now: float) -> Person | None:
    """Return whom a token speaks for, None if it is not valid (any more); its last use is noted once a day."""
    if not secret.startswith(PREFIX) or len(secret) > 100:
        return None
    key = _digest(secret)
    kept = store.document(KIND, key)
    if kept is None or not _token(key, kept).is_valid(now):
        return None
    today = now - now % DAY_S
    if kept["last_used_at"] is None or kept["last_used_at"] < today:
        store.swap_document(KIND, key, kept, {**kept, "last_used_at": today})  # lost to a revocation: stays revoked
    return _token(key, kept).person


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _token(key: str, kept: Json) -> Token:
    person = Person(kept["name"], kept["role"])
    return Token(key[:ID_LENGTH], person, kept["created_at"], kept["expires_at"], kept["last_used_at"])
