"""Passwords: compared in constant time, and kept as argon2 hashes alone."""

from __future__ import annotations

import functools
import hmac
import secrets
import threading
from typing import TYPE_CHECKING

from matinee.errors import UsageError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST = 8
LONGEST = 1024  # characters: a longer one is not worth hashing
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without those that look alike
# OWASP's second choice for argon2id (2024): 19 MiB and two passes, so that the smallest server bears it.
_MEMORY_KIB, _PASSES, _LANES = 19_456, 2, 1
_one_at_a_time = threading.Lock()  # each takes that memory


def same(given: str, expected: str) -> bool:
    """Whether they are the same, in a time that does not tell how much of it was right."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def hashed(password: str) -> str:
    """Return what is kept of a password; UsageError for one that is too short or too long."""
    if len(password) < SHORTEST:
        raise UsageError(f"The password has fewer than {SHORTEST} characters.", hint="Three words are easy to keep.")
    if len(password) > LONGEST:
        raise UsageError(f"The password has more than {LONGEST} characters.", hint="Choose a shorter one.")
    with _one_at_a_time:
        return _hasher().hash(password)


def fits(password: str, kept: str) -> bool:
    """Whether it is the password of which this was kept. Takes tens of milliseconds, whatever the answer."""
    from argon2.exceptions import InvalidHashError, VerificationError

    if len(password) > LONGEST:
        return False
    try:
        with _one_at_a_time:
            return _hasher().verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


@functools.cache
def nobodys() -> str:
    """Return a hash no password fits: a name that does not exist costs the same time as one that does."""
    return _hasher().hash(secrets.token_hex(32))


def generated() -> str:
    """Return a password that is easy to read out: 60 bits in three groups."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))


@functools.cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)
