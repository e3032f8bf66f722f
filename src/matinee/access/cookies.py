"""The signed cookie that keeps somebody signed in: who, how, since when. It holds no secret and cannot be made up."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from itsdangerous import BadData, URLSafeTimedSerializer

from matinee.access.people import Role
from matinee.errors import DiskError, UsageError
from matinee.settings import COOKIE_SECRET

SHORTEST_SECRET = 16  # characters
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
        self._forms = URLSafeTimedSerializer(secret, salt=f"matinee.form.{app}", signer_kwargs=signer)

    def made(self, claims: Claims) -> str:
        """Return the cookie's value, which notes the time."""
        return str(self._serializer.dumps([claims.mode, claims.name, claims.role, claims.proof]))

    def read(self, value: str) -> Claims | None:
        """Return what an untouched cookie that has not expired says, else None."""
        try:
            mode, name, role, proof = self._serializer.loads(value, max_age=int(self.max_age_s))
        except (BadData, ValueError, TypeError):
            return None
        return Claims(str(mode), str(name), "owner" if role == "owner" else "user", str(proof))

    def form_token(self) -> str:
        """Return a token for a sign-in form, which notes the time."""
        return str(self._forms.dumps(secrets.token_hex(8)))

    def is_form_token(self, token: str, max_age_s: float) -> bool:
        """Whether it is a token of ours that has not expired."""
        try:
            self._forms.loads(token, max_age=int(max_age_s))
        except BadData:
            return False
        return True

    def proof(self, of: str) -> str:
        """Return a short text that changes with `of` and does not tell it."""
        return hmac.new(self.secret.encode(), of.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]


def cookie_secret(data: Path, environ: Mapping[str, str]) -> str:
    """Return the secret from the environment, else the app's own: made once, readable by its owner alone."""
    given = environ.get(COOKIE_SECRET, "")
    if given:
        if len(given) < SHORTEST_SECRET:
            raise UsageError(
                f"{COOKIE_SECRET} is shorter than {SHORTEST_SECRET} characters.",
                hint="Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )
        return given
    try:
        return _kept(data / SECRET_FILE)
    except OSError as error:
        raise DiskError(
            f"The secret of the sign-in cookie cannot be kept in {data}: {error.strerror}.",
            hint=f"Make the folder writable, or set {COOKIE_SECRET}.",
        ) from None


def _kept(file: Path) -> str:
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
