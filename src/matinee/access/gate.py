"""The gate of one app: who comes in, and who a cookie says somebody is. One place for all ways to sign in."""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from matinee.access import passwords
from matinee.access.cookies import Claims, Cookies
from matinee.access.people import LOCAL, Person, Role, clean_name
from matinee.access.throttle import Throttle
from matinee.access.users import User, Users
from matinee.errors import AccessError, RateError

Json = Any
CLAIMS_S = 5.0  # how long a read cookie is believed without looking at its signature again: a page asks ten times
KEPT = 1000
USER_S = 2.0  # how long a user read from the Store is believed: a changed password signs out as quickly
WRONG = "The name or the password is not right."


@dataclass(frozen=True)
class Policy:
    """Who may come in, and how: `[auth]` with what the environment keeps secret."""

    mode: str = "none"  # none | password | users | oidc
    owners: frozenset[str] = frozenset()
    allow: tuple[str, ...] = ()  # oidc: e-mail addresses or "@domain"
    max_age_s: float = 7 * 86_400.0
    password: str = field(default="", repr=False)
    owner_password: str = field(default="", repr=False)
    provider: Mapping[str, str] = field(default_factory=dict, repr=False)  # oidc: what Streamlit's st.login is told


class Gate:
    """Thread-safe. `users` gives the app's named users, read only in that mode."""

    def __init__(
        self,
        policy: Policy,
        cookies: Cookies,
        users: Callable[[], Users],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.policy = policy
        self.cookies = cookies
        self._users = users
        self._clock = clock
        self._throttle = Throttle(clock)
        self._read: dict[str, tuple[float, User | None]] = {}
        self._ended: dict[str, float] = {}
        self._lock = threading.Lock()
        self._claims = functools.lru_cache(KEPT)(lambda value, _moment: self.cookies.read(value))

    @property
    def is_open(self) -> bool:
        """Whether nobody signs in: everybody who reaches the app is its owner."""
        return self.policy.mode == "none"

    # --- coming in ----------------------------------------------------------------------------------------------

    def sign_in(self, name: str, password: str, address: str) -> Person:
        """Return who this is. Raises AccessError for a wrong password, RateError after too many of them."""
        wait_s = self._throttle.begin(address)
        if wait_s > 0:
            seconds = max(1, round(wait_s + 0.5))
            raise RateError(
                f"That was wrong too often. Try again in {seconds} second{'s' if seconds > 1 else ''}.",
                retry_after_s=wait_s,
            )
        person = self._by_password(clean_name(name), password)
        self._throttle.right(address)
        return person

    def _by_password(self, name: str, password: str) -> Person:
        if self.policy.mode == "users":
            user = self._users().check(name, password)
            if user is None:
                raise AccessError(WRONG, signed_in=False)
            return self._person(user)
        role = self._role_of(password)
        if role is None:
            raise AccessError("The password is not right.", signed_in=False)
        if role == "user" and (name in self.policy.owners or name == LOCAL.name):
            raise AccessError(f"The name {name!r} needs the owner's password.", signed_in=False)
        return Person(name, role)

    def _role_of(self, password: str) -> Role | None:
        """Compare with both, whatever the first comparison says."""
        is_owner = bool(self.policy.owner_password) & passwords.same(password, self.policy.owner_password)
        is_user = bool(self.policy.password) & passwords.same(password, self.policy.password)
        return "owner" if is_owner else "user" if is_user else None

    def admit(self, claims: Mapping[str, Json]) -> Person:
        """Return who an OpenID Connect provider says this is; AccessError if they are not let in."""
        email = claims.get("email")
        if not isinstance(email, str) or "@" not in email:
            raise AccessError("The provider did not tell your e-mail address.", signed_in=False)
        if claims.get("email_verified") in (False, "false"):
            raise AccessError(f"The provider has not verified that {email} is yours.", signed_in=False)
        person = self._by_email(clean_name(email))
        if person is None:
            raise AccessError(f"{email} may not use this app.", hint="Ask its owner.", signed_in=False)
        return person

    def _by_email(self, email: str) -> Person | None:
        owner = email in self.policy.owners
        allowed = {email, email[email.rindex("@") :]} & set(self.policy.allow)
        if not owner and self.policy.allow and not allowed:
            return None
        return Person(email, "owner" if owner else "user")

    # --- staying in ---------------------------------------------------------------------------------------------

    def cookie_of(self, person: Person) -> str:
        """Return the cookie that keeps this person signed in."""
        proof = self._proof(person.name, person.role) or ""
        return self.cookies.made(Claims(self.policy.mode, person.name, person.role, proof))

    def person(self, cookies: Mapping[str, str]) -> Person | None:
        """Return who these cookies belong to; None if nobody is signed in (any more)."""
        if self.is_open:
            return LOCAL
        value = cookies.get(self.cookies.name, "")
        claims = self._claims(value, int(self._clock() / CLAIMS_S)) if value else None
        if claims is None or claims.mode != self.policy.mode or _digest(value) in self._ended:
            return None
        proof = self._proof(claims.name, claims.role)
        if proof is None or not passwords.same(proof, claims.proof):
            return None
        return self._now(claims)

    def _now(self, claims: Claims) -> Person | None:
        if self.policy.mode == "users":
            user = self._user(claims.name)
            return None if user is None else self._person(user)
        if self.policy.mode == "oidc":
            return self._by_email(claims.name)
        return Person(claims.name, claims.role)

    def _proof(self, name: str, role: Role) -> str | None:
        """Return what a cookie of this person must hold now; None if there is no such person."""
        if self.policy.mode == "users":
            user = self._user(name)
            return None if user is None else self.cookies.proof(user.hash)
        if self.policy.mode == "oidc":
            return self.cookies.proof(self.policy.provider.get("client_id", ""))
        password = self.policy.owner_password if role == "owner" else self.policy.password
        return self.cookies.proof(password) if password else None

    def _person(self, user: User) -> Person:
        return Person(user.name, "owner" if user.name in self.policy.owners else user.role)

    def _user(self, name: str) -> User | None:
        now = self._clock()
        read_at, user = self._read.get(name, (float("-inf"), None))
        if now - read_at > USER_S:
            user = self._users().find(name)
            with self._lock:
                self._read = {n: kept for n, kept in self._read.items() if now - kept[0] <= USER_S}
                self._read[name] = (now, user)
        return user

    def end(self, cookies: Mapping[str, str]) -> None:
        """Sign out: this cookie is good for nothing in this process any more, wherever it was copied to."""
        value = cookies.get(self.cookies.name, "")
        if self.cookies.read(value) is None:
            return
        now = self._clock()
        with self._lock:
            self._ended = {digest: until for digest, until in self._ended.items() if until > now}
            self._ended[_digest(value)] = now + self.cookies.max_age_s


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
