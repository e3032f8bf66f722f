"""What proves who somebody is: the signed cookie of who signed in, and the bearer token of a program.

A cookie says who, how and since when; it holds no secret and cannot be made up. A token is made, listed and revoked by
the app's owner, and only its SHA-256 is kept: it has 256 random bits, so looking it up tells an attacker nothing by the
time it takes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

from matinee.access.modes import SignIn
from matinee.access.people import Person, Role, clean_name, is_same_secret
from matinee.errors import DiskError, NotFoundError, UsageError
from matinee.ports import Store
from matinee.settings import COOKIE_SECRET

Json = Any

# --- cookies ------------------------------------------------------------------------------------------------------

SHORTEST_SECRET = 16  # characters
DEVICE_S = 180 * 86_400.0  # how long a browser counts as known
SECRET_FILE = "cookie.secret"  # noqa: S105 - a file's name


@dataclass(frozen=True)
class Claims:
    """What a cookie says. `proof` changes with the password it was given for."""

    mode: str
    name: str
    role: Role
    proof: str


class Cookies:
    """Makes and reads the cookie of one app, named after it: apps on other ports of a machine share its cookies."""

    def __init__(self, secret: str, app: str, max_age_s: float) -> None:
        self.secret = secret
        self.name = f"matinee-{app or 'app'}"
        self.max_age_s = max_age_s
        signer = {"digest_method": hashlib.sha256}
        self._serializer = URLSafeTimedSerializer(secret, salt=f"matinee.sign-in.{app}", signer_kwargs=signer)
        self._devices = URLSafeTimedSerializer(secret, salt=f"matinee.device.{app}", signer_kwargs=signer)
        self._forms = URLSafeTimedSerializer(secret, salt=f"matinee.form.{app}", signer_kwargs=signer)

    def make(self, claims: Claims) -> str:
        """Return the cookie's value, which notes the time."""
        return str(self._serializer.dumps([claims.mode, claims.name, claims.role, claims.proof]))

    def read(self, value: str) -> Claims | None:
        """Return what an untouched cookie that has not expired says, else None."""
        try:
            mode, name, role, proof = self._serializer.loads(value, max_age=int(self.max_age_s))
        except (BadData, ValueError, TypeError):
            return None
        return Claims(str(mode), str(name), "owner" if role == "owner" else "user", str(proof))

    def make_device(self, name: str) -> str:
        """Return what marks a browser from which `name` has signed in. It lets nobody in."""
        return str(self._devices.dumps(name))

    def is_device_of(self, value: str, name: str) -> bool:
        """Whether `name` has signed in from the browser with this mark, within DEVICE_S."""
        try:
            return is_same_secret(str(self._devices.loads(value, max_age=int(DEVICE_S))), name)
        except BadData:
            return False

    def make_form_token(self) -> str:
        """Return a token for a sign-in form, which notes the time."""
        return str(self._forms.dumps(secrets.token_hex(8)))

    def is_form_token(self, token: str, max_age_s: float) -> bool:
        """Whether it is a token of ours that has not expired."""
        try:
            self._forms.loads(token, max_age=int(max_age_s))
        except BadData:
            return False
        return True

    def fingerprint(self, text: str) -> str:
        """Return a short text that changes with `text` and does not tell it."""
        return hmac.new(self.secret.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]


def read_cookie_secret(data: Path, environ: Mapping[str, str]) -> str:
    """Return the secret from the environment, else the app's own: made once, readable by its owner alone."""
    secret = environ.get(COOKIE_SECRET, "")
    if secret:
        if len(secret) < SHORTEST_SECRET:
            raise UsageError(
                f"{COOKIE_SECRET} is shorter than {SHORTEST_SECRET} characters.",
                hint="Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )
        return secret
    try:
        return _read_or_make(data / SECRET_FILE)
    except OSError as error:
        raise DiskError(
            f"The secret of the sign-in cookie cannot be kept in {data}: {error.strerror}.",
            hint=f"Make the folder writable, or set {COOKIE_SECRET}.",
        ) from None


def _read_or_make(file: Path) -> str:
    """Return the file's text, made first if need be: whole or not at all, and only one of many processes makes it."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}.{os.getpid()}-{secrets.token_hex(4)}")
        with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as stream:
            stream.write(secrets.token_urlsafe(48))
        try:
            os.link(partial, file)
        except FileExistsError:
            pass  # another process was first
        finally:
            partial.unlink()
    if file.stat().st_mode & 0o077:
        file.chmod(0o600)
    text = file.read_text().strip()
    if len(text) < SHORTEST_SECRET:
        raise UsageError(f"{file} holds no secret.", hint="Remove it: a new one is made, and all sign in again.")
    return text


# --- bearer tokens ------------------------------------------------------------------------------------------------

TOKEN = "token"  # noqa: S105 - the kind of their documents
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


def create_token(
    store: Store, mode: SignIn, name: str, *, owner: bool = False, days: int | None = None, now: float
) -> tuple[Token, str]:
    """Make a token for the person `name` and return it with its secret, which is never shown again.

    Raises UsageError for a name that cannot be one, `days` that are no number of days, or an owner's token for who owns
    nothing; NotFoundError for somebody who could not sign in by `mode`.
    """
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise UsageError(f"A token lasts 1 to {LONGEST_DAYS} days, not {days}.", hint="Leave it out for no end.")
    name = clean_name(name)
    account = mode.account_of(name)
    role: Role = "owner" if owner else "user"
    holder = mode.find_holder(Person(name, role), account)
    if holder is None or (holder.role != role and owner):
        raise UsageError(f"{name!r} does not own the app.", hint="Make the token without --owner.")
    secret = PREFIX + secrets.token_urlsafe(32)
    key = _digest_of(secret)
    data = {
        "name": name,
        "role": role,
        "account": account,
        "created_at": now,
        "expires_at": None if days is None else now + days * DAY_S,
        "last_used_at": None,
    }
    store.put_document(TOKEN, key, data)
    return _token_from_json(key, data), secret


def list_tokens(store: Store) -> list[Token]:
    """Return all tokens, the newest first."""
    tokens = [_token_from_json(key, data) for key, data in store.documents(TOKEN).items()]
    return sorted(tokens, key=lambda token: token.created_at, reverse=True)


def revoke_tokens(store: Store, which: str) -> list[Token]:
    """Revoke the token of this id, or all of the person of this name; NotFoundError if there is none."""
    documents = store.documents(TOKEN)
    keys = [key for key, value in documents.items() if which == key[:ID_LENGTH]]
    keys = keys or [key for key, value in documents.items() if clean_name(which) == value["name"]]
    if not keys:
        raise NotFoundError(f"There is no token {which!r}.", hint="`matinee token list` shows them.")
    for key in keys:
        store.put_document(TOKEN, key, None)
    return [_token_from_json(key, documents[key]) for key in keys]


def find_token_person(store: Store, mode: SignIn, secret: str, now: float) -> Person | None:
    """Return whom a token speaks for, None if it is not valid (any more); its last use is noted once a day.

    It ends with its time, by revocation, and with its person: who was removed, has a new password or may no longer sign
    in by `mode` has no token either.
    """
    if not secret.startswith(PREFIX) or len(secret) > 100:
        return None
    key = _digest_of(secret)
    data = store.document(TOKEN, key)
    if data is None or not (token := _token_from_json(key, data)).is_valid(now):
        return None
    holder = mode.find_holder(token.person, data.get("account"), token.created_at)
    if holder is None:
        return None
    today = now - now % DAY_S
    if data["last_used_at"] is None or data["last_used_at"] < today:
        store.swap_document(TOKEN, key, data, {**data, "last_used_at": today})  # lost to a revocation: stays revoked
    return holder


def _digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _token_from_json(key: str, data: Json) -> Token:
    person = Person(data["name"], data["role"])
    return Token(key[:ID_LENGTH], person, data["created_at"], data["expires_at"], data["last_used_at"])
