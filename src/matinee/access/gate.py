"""The gate of one app: who comes in, who a cookie says somebody is, and how often one may guess."""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matinee.access.modes import SignIn
from matinee.access.people import LOCAL, Person, is_same_secret
from matinee.access.tokens import Claims, Cookies, read_cookie_secret
from matinee.errors import RateError

Json = Any
CLAIMS_S = 5.0  # how long a read cookie is believed without looking at its signature again: a page asks ten times
KEPT = 1000


@dataclass(frozen=True)
class Attempt:
    """One guess that is counted. Whoever serves the page waits `wait_s` seconds before it asks for the answer."""

    name: str
    address: str
    is_known: bool  # this name has signed in from this browser before
    wait_s: float = 0.0


class Gate:
    """Thread-safe. `clock` returns seconds."""

    def __init__(self, mode: SignIn, cookies: Cookies, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.mode = mode
        self.cookies = cookies
        self._clock = clock
        self._throttle = Throttle(clock)
        self._ended: dict[str, float] = {}
        self._lock = threading.Lock()
        self._claims = functools.lru_cache(KEPT)(lambda value, _moment: self.cookies.read(value))

    @property
    def is_open(self) -> bool:
        """Whether nobody signs in: everybody who reaches the app is its owner."""
        return self.mode.is_open

    # --- coming in ----------------------------------------------------------------------------------------------

    def begin_attempt(self, name: str, address: str, device: str = "") -> Attempt:
        """Count an attempt; RateError when too many from this address wait already.

        `device` is the mark of the browser. With one of this very name nobody waits for what strangers do.
        """
        name = " ".join(name.split()).casefold()
        is_known = bool(device) and self.cookies.is_device_of(device, name)
        wait_s = self._throttle.begin(address, name, is_known=is_known)
        return Attempt(name, address, is_known, wait_s)

    def sign_in(self, answers: Mapping[str, str], attempt: Attempt) -> Person:
        """Return who this is. Raises AccessError for a wrong password."""
        person = self.mode.sign_in(answers)
        self._throttle.take_back(attempt.address, attempt.name, is_known=attempt.is_known)
        return person

    # --- staying in ---------------------------------------------------------------------------------------------

    def cookie_of(self, person: Person) -> str:
        """Return the cookie that keeps this person signed in."""
        role = self.mode.cookie_role(person)
        proof = self.mode.cookie_proof(Person(person.name, role))
        return self.cookies.make(
            Claims(self.mode.name, person.name, role, "" if proof is None else self.cookies.fingerprint(proof))
        )

    def person(self, cookies: Mapping[str, str]) -> Person | None:
        """Return who these cookies belong to; None if nobody is signed in (any more)."""
        if self.is_open:
            return LOCAL
        value = cookies.get(self.cookies.name, "")
        claims = self._claims(value, int(self._clock() / CLAIMS_S)) if value else None
        if claims is None or claims.mode != self.mode.name or _digest(value) in self._ended:
            return None
        noted = Person(claims.name, claims.role)
        proof = self.mode.cookie_proof(noted)
        if proof is None or not is_same_secret(self.cookies.fingerprint(proof), claims.proof):
            return None
        return self.mode.find_person(noted)

    def end(self, cookies: Mapping[str, str]) -> None:
        """Sign out: this cookie is good for nothing in this process any more, wherever it was copied to."""
        value = cookies.get(self.cookies.name, "")
        if self.cookies.read(value) is None:
            return
        now = self._clock()
        with self._lock:
            self._ended = {digest: until for digest, until in self._ended.items() if until > now}
            self._ended[_digest(value)] = now + self.cookies.max_age_s


def open_gate(mode: SignIn, *, app: str, data: Path, environ: Mapping[str, str]) -> Gate:
    """Return the gate; the cookie's secret is made now if there is none and it will be needed.

    Raises UsageError, before anything is opened, for what the environment lacks.
    """
    mode.check_start()
    secret = "" if mode.is_open else read_cookie_secret(data, environ)
    return Gate(mode, Cookies(secret, app, mode.auth.days * 86_400))


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


# --- throttling of failed sign-ins --------------------------------------------------------------------------------

FREE = 4  # failures without a wait: people mistype
FREE_BY_NAME = 8  # failures for one name, from whatever addresses
LONGEST_S = 10.0  # between two guesses of one address, and before any guess at a name that many guess at
LONGEST_QUEUE_S = 30.0  # guesses of one address that would wait longer are refused
FORGET_S = 900.0  # after so much quiet, failures are forgotten
ADDRESSES_KEPT = 20_000  # addresses and names remembered


@dataclass
class _Failures:
    count: int = 0
    last_at: float = 0.0  # when the last guess is looked at: in the future while guesses wait


class Throttle:
    """Counts failures of this process, and slows guesses down.

    In memory: a restart forgets, which costs a guesser more than it gives. An attempt counts as failed from its start
    and is taken back when it was right, so that a thousand guesses at once count as a thousand.

    The guesses of one address are looked at one after the other, with growing pauses. A guess at a name that many guess
    at is looked at a little later, but is never refused for what others do. Somebody known, who has signed in under
    this name from this browser, shares nothing with strangers: they are slowed down by the known of their own address.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def begin(self, address: str, name: str = "", *, is_known: bool = False) -> float:
        """Count an attempt and return the seconds after which it may be looked at; RateError if they are too many."""
        with self._lock:
            now = self._clock()
            own = self._remember(_address_key(address, is_known=is_known), now)
            own_wait_s = max(0.0, own.last_at + _pause_s(own.count, FREE) - now)
            if own_wait_s > LONGEST_QUEUE_S:
                raise RateError(
                    f"That was wrong too often. Try again in {round(own_wait_s + 0.5)} seconds.",
                    retry_after_s=own_wait_s,
                )
            name_wait_s = 0.0
            if not is_known and name:
                guessed = self._remember(("name", name), now)
                name_wait_s = _pause_s(guessed.count, FREE_BY_NAME)
                guessed.count, guessed.last_at = guessed.count + 1, now
            own.count, own.last_at = own.count + 1, now + own_wait_s
            return max(own_wait_s, name_wait_s)

    def take_back(self, address: str, name: str = "", *, is_known: bool = False) -> None:
        """It was right. Former failures stay, or who has one password could guess another's."""
        with self._lock:
            keys = [_address_key(address, is_known=is_known)] + ([] if is_known else [("name", name)])
            for key in keys:
                failures = self._failures.get(key, _Failures())
                failures.count = max(0, failures.count - 1)

    def _remember(self, key: tuple[str, str], now: float) -> _Failures:
        failures = self._failures.setdefault(key, _Failures())
        self._failures.move_to_end(key)
        while len(self._failures) > ADDRESSES_KEPT:
            self._failures.popitem(last=False)
        if now - failures.last_at > FORGET_S:
            failures.count = 0
        return failures


def _pause_s(count: int, free: int) -> float:
    return 0.0 if count < free else min(LONGEST_S, 2.0 ** min(30, count - free))


def _address_key(address: str, *, is_known: bool) -> tuple[str, str]:
    return ("known" if is_known else "stranger", _network_of(address))


def _network_of(address: str) -> str:
    """Return what one guesser has: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
