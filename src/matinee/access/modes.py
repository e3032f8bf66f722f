"""Ways to sign in, a class each: what it needs at start, what its page asks, who comes in, and when that ends.

A way to sign in is a row of `project.sections.SIGN_IN_MODES` and a class here; nobody else asks for a mode by name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

from matinee.access.people import LOCAL, Person, Role, User, Users, clean_name, is_same_secret
from matinee.errors import AccessError, NotFoundError, UsageError
from matinee.project.sections import PROVIDER_SETTINGS, SIGN_IN_MODES, Auth, section_from_json
from matinee.settings import OIDC_CLIENT_ID, OIDC_REDIRECT_URI, OWNER_PASSWORD, PASSWORD

Json = Any
USER_S = 2.0  # how long a user read from the Store is believed: a changed password signs out as quickly
LONGEST_ANSWER = 1024  # characters


@dataclass(frozen=True)
class Question:
    """One field of the sign-in page. `autocomplete` is HTML's, by which browsers fill it in."""

    name: str
    label: str
    hint: str = ""
    is_secret: bool = False
    autocomplete: str = "off"


NAME = Question("name", "Your name", autocomplete="username")
SECRET = Question("password", "Password", is_secret=True, autocomplete="current-password")


class SignIn:
    """One way to sign in, by `[auth]` and what the environment holds. Thread-safe.

    A subclass says in `questions` what the page asks; without any it leads to a provider. `reads_store` says that
    finding a person takes a read of the Store. A cookie is good as long as `cookie_proof` returns what it holds.
    """

    name: ClassVar[str] = ""
    questions: ClassVar[tuple[Question, ...]] = ()
    reads_store: ClassVar[bool] = False
    start_hint: ClassVar[str] = "Set it where the app starts."  # what to do about a variable that is missing

    def __init__(
        self,
        auth: Auth,
        environ: Mapping[str, str],
        users: Callable[[], Users],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.auth = auth
        self.row = SIGN_IN_MODES[self.name]
        self.owners = frozenset(map(clean_name, auth.owners))
        self.secrets = {name: environ.get(name, "") for name in (*self.row.variables, *self.row.optional_variables)}
        self._users = users
        self._clock = clock

    @property
    def is_open(self) -> bool:
        """Whether nobody signs in: everybody who reaches the app is its owner."""
        return self.row.is_open

    @property
    def provider(self) -> Mapping[str, str]:
        """What Streamlit's `st.login` is configured with, {} where nobody signs in through it."""
        return {}

    def check_start(self) -> None:
        """Raise UsageError for what the environment lacks: before anything is opened."""
        missing = [name for name in self.row.variables if not self.secrets[name]]
        if missing:
            raise UsageError(
                f'[auth] mode = "{self.name}" needs the environment variable{"s" if len(missing) > 1 else ""} '
                f"{', '.join(missing)}.",
                hint=self.start_hint,
            )

    def sign_in(self, answers: Mapping[str, str]) -> Person:
        """Return who gave these answers to `questions`; AccessError, `signed_in` false, for wrong ones."""
        raise AccessError("Nobody signs in here by a form.", signed_in=False)

    def admit(self, claims: Mapping[str, Json]) -> Person:
        """Return who a provider says this is; AccessError if they are not let in."""
        raise AccessError("Nobody signs in here through a provider.", signed_in=False)

    def cookie_role(self, person: Person) -> Role:
        """Return the role that a cookie is to note."""
        return person.role

    def cookie_proof(self, person: Person) -> str | None:
        """Return the text whose fingerprint a cookie of this person holds now; None if there is no such person."""
        raise NotImplementedError

    def find_person(self, person: Person) -> Person | None:
        """Return who the person of a good cookie is now; None if they may not come in any more."""
        return person

    def account_of(self, name: str) -> str:
        """Return what a token of this person is bound to, "" for nothing; NotFoundError if there is no such person."""
        return ""

    def find_holder(self, person: Person, account: str | None, created_at: float = 0.0) -> Person | None:
        """Return whom a token made for `person` speaks for now, None if it has ended with them.

        `account` is what `account_of` returned when it was made, None for a token of an older version.
        """
        return person


class NoSignIn(SignIn):
    """Nobody signs in: on one's own machine, or said aloud."""

    name = "none"

    def cookie_proof(self, person: Person) -> str | None:
        """There are no cookies."""
        return None


class SharedPassword(SignIn):
    """One password for all and one for owners; the name is whatever somebody types."""

    name = "password"
    questions = (Question("name", "Your name", "Your runs are kept under it.", autocomplete="username"), SECRET)
    start_hint = f"Set it, and {OWNER_PASSWORD} for those who own the app."

    def check_start(self) -> None:
        """Raise UsageError without a password, or if it is the owner's too."""
        super().check_start()
        if is_same_secret(self.secrets[PASSWORD], self.secrets[OWNER_PASSWORD]):
            raise UsageError(f"{PASSWORD} and {OWNER_PASSWORD} are the same.", hint="Then everybody would be an owner.")

    def sign_in(self, answers: Mapping[str, str]) -> Person:
        """Return the person of that name, with the role that the password opens."""
        name, role = clean_name(answers.get("name", "")), self._role_of(answers.get("password", ""))
        if role is None:
            raise AccessError("The password is not right.", signed_in=False)
        if role == "user" and (name in self.owners or name == LOCAL.name):
            raise AccessError(f"The name {name!r} needs the owner's password.", signed_in=False)
        return Person(name, role)

    def _role_of(self, password: str) -> Role | None:
        """Compare with both, whatever the first comparison says."""
        owners, users = self.secrets[OWNER_PASSWORD], self.secrets[PASSWORD]
        is_owner = bool(owners) & is_same_secret(password, owners)
        is_user = bool(users) & is_same_secret(password, users)
        return "owner" if is_owner else "user" if is_user else None

    def cookie_proof(self, person: Person) -> str | None:
        """A changed password ends the cookies of those whom it let in."""
        return self.secrets[OWNER_PASSWORD if person.is_owner else PASSWORD] or None


class NamedUsers(SignIn):
    """People with a name and a password of their own, added by `matinee users`."""

    name = "users"
    questions = (NAME, SECRET)
    reads_store = True

    def __init__(
        self,
        auth: Auth,
        environ: Mapping[str, str],
        users: Callable[[], Users],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(auth, environ, users, clock)
        self._read: dict[str, tuple[float, User | None]] = {}

    def sign_in(self, answers: Mapping[str, str]) -> Person:
        """Return the user whose name and password these are."""
        user = self._users().check_password(clean_name(answers.get("name", "")), answers.get("password", ""))
        if user is None:
            raise AccessError("The name or the password is not right.", signed_in=False)
        return self._person_of(user)

    def cookie_proof(self, person: Person) -> str | None:
        """A changed password, or a removal, ends the cookies of that user."""
        user = self._find(person.name)
        return None if user is None else user.hash

    def find_person(self, person: Person) -> Person | None:
        """Return the user with the role they have now."""
        user = self._find(person.name)
        return None if user is None else self._person_of(user)

    def account_of(self, name: str) -> str:
        """Return the fingerprint of the user's password."""
        return self._users().find_named(name).fingerprint

    def find_holder(self, person: Person, account: str | None, created_at: float = 0.0) -> Person | None:
        """A changed password, or a removal, ends tokens too; a token is never more than its user."""
        user = self._find(person.name)
        if user is None:
            return None
        is_theirs = created_at >= user.changed_at if account is None else is_same_secret(account, user.fingerprint)
        if not is_theirs:
            return None
        return self._person_of(user) if person.is_owner else person

    def _person_of(self, user: User) -> Person:
        return Person(user.name, "owner" if user.name in self.owners else user.role)

    def _find(self, name: str) -> User | None:
        now = self._clock()
        read_at, user = self._read.get(name, (float("-inf"), None))
        if now - read_at > USER_S:
            user = self._users().find(name)
            self._read = {n: entry for n, entry in self._read.items() if now - entry[0] <= USER_S} | {name: (now, user)}
        return user


class Provider(SignIn):
    """OpenID Connect: a claim of the provider's names a person, and its groups may say who owns the app."""

    name = "oidc"
    start_hint = "The provider's console shows them; the redirect address is the app's own with /oauth2callback."

    @property
    def provider(self) -> Mapping[str, str]:
        """The settings of `st.login`."""
        return {setting: self.secrets[variable] for variable, setting in PROVIDER_SETTINGS.items()}

    def check_start(self) -> None:
        """Raise UsageError for a missing variable, a redirect address that is not Streamlit's, or missing packages."""
        super().check_start()
        if not self.secrets[OIDC_REDIRECT_URI].endswith("/oauth2callback"):
            raise UsageError(
                f"{OIDC_REDIRECT_URI} does not end with /oauth2callback.",
                hint="It is the app's address with that path, as in https://app.example.org/oauth2callback.",
            )
        if not (find_spec("authlib") and find_spec("httpx")):
            raise UsageError(
                "Sign-in through a provider needs two more packages.", hint="Install them: pip install 'matinee[oidc]'"
            )

    def admit(self, claims: Mapping[str, Json]) -> Person:
        """Return the person whom `name_claim` names, an owner by name or by group."""
        text = self._name_in(claims)
        name = clean_name(text)
        if not self._is_allowed(name):
            raise AccessError(f"{text} may not use this app.", hint="Ask its owner.", signed_in=False)
        groups = claims.get(self.auth.groups_claim)
        groups = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
        by_group = any(isinstance(group, str) and group in self.auth.owner_groups for group in groups)
        return Person(name, "owner" if by_group or name in self.owners else "user")

    def _name_in(self, claims: Mapping[str, Json]) -> str:
        claim = self.auth.name_claim
        text = claims.get(claim)
        is_email = claim == "email"
        if not isinstance(text, str) or not text.strip() or (is_email and "@" not in text):
            raise AccessError(
                f"The provider did not tell your {'e-mail address' if is_email else claim}.",
                hint='The app\'s owner can choose another claim: [auth] name_claim = "preferred_username", or "sub".',
                signed_in=False,
            )
        if is_email and claims.get("email_verified") in (False, "false"):
            raise AccessError(f"The provider has not verified that {text} is yours.", signed_in=False)
        return text

    def _is_allowed(self, name: str) -> bool:
        if name == LOCAL.name:  # the owner's own runs, from before anybody signed in
            return False
        allow = set(map(clean_name, self.auth.allow))
        domain = f"@{name.rpartition('@')[2]}" if "@" in name else ""
        return not allow or name in self.owners or bool({name, domain} & allow)

    def cookie_role(self, person: Person) -> Role:
        """Return "owner" for who owns the app by a group alone: `owners` is looked at whenever the cookie comes."""
        return "user" if person.name in self.owners else person.role

    def cookie_proof(self, person: Person) -> str | None:
        """Another client, another claim to be named by, or other groups of owners end the cookies they let in."""
        groups = [self.auth.groups_claim, *self.auth.owner_groups] if person.is_owner else []
        if self.auth.name_claim == "email" and not groups:
            return self.secrets[OIDC_CLIENT_ID]
        return json.dumps([self.secrets[OIDC_CLIENT_ID], self.auth.name_claim, *groups])

    def find_person(self, person: Person) -> Person | None:
        """Whoever has left `allow` is out."""
        if not self._is_allowed(person.name):
            return None
        by_group = person.is_owner and bool(self.auth.owner_groups)
        return Person(person.name, "owner" if by_group or person.name in self.owners else "user")

    def account_of(self, name: str) -> str:
        """Return "": the provider has the accounts. NotFoundError for who is not in `allow`."""
        if not self._is_allowed(name):
            raise NotFoundError(f"{name} may not use this app.", hint="Add them to allow under [auth] in matinee.toml.")
        return ""

    def find_holder(self, person: Person, account: str | None, created_at: float = 0.0) -> Person | None:
        """A token ends when its person leaves `allow`."""
        return person if self._is_allowed(person.name) else None


MODES: dict[str, type[SignIn]] = {mode.name: mode for mode in (NoSignIn, SharedPassword, NamedUsers, Provider)}


def make_sign_in(
    auth: Auth | Mapping[str, Json],
    environ: Mapping[str, str],
    users: Callable[[], Users],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> SignIn:
    """Return the way to sign in of `[auth]`, as read or as JSON; UsageError for a mode that there is not.

    `environ` is only read; whoever starts a server asks `check_start` whether it is whole.
    """
    auth = auth if isinstance(auth, Auth) else section_from_json(Auth, auth)
    if auth.mode not in MODES:
        raise UsageError(f"There is no sign-in mode {auth.mode!r}.", hint=f"Choose one of: {', '.join(MODES)}.")
    return MODES[auth.mode](auth, environ, users, clock)
