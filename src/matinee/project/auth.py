"""`[auth]` of a `matinee.toml`: who may use the app. Passwords and secrets are refused there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matinee import settings
from matinee.project.fields import Document, Field

Json = Any
MODES = ("none", "password", "users", "oidc")
_FIELDS = {
    "mode": Field("text", choices=MODES),
    "owners": Field("texts"),
    "allow": Field("texts"),
    "days": Field("number", low=0.01, high=90),
}
_SECRETS = {  # what people would write here, and where it belongs
    "password": settings.PASSWORD,
    "owner_password": settings.OWNER_PASSWORD,
    "cookie_secret": settings.COOKIE_SECRET,
    "client_secret": settings.OIDC_CLIENT_SECRET,
}


@dataclass(frozen=True)
class Auth:
    """Who may use the app, and how they say who they are."""

    mode: str = "none"  # one of MODES
    owners: tuple[str, ...] = ()  # names (password, users) or e-mail addresses (oidc) of those who own the app
    allow: tuple[str, ...] = ()  # oidc: e-mail addresses, or "@domain"; () = whoever the provider signs in
    days: float = 7.0  # how long one stays signed in


def read_auth(document: Document, at: tuple[str, ...] = ("auth",)) -> Mapping[str, Json]:
    """Return what the table gives of `Auth`; raises ProjectError, above all for a password or a secret."""
    given = document.at(at)
    for key, variable in _SECRETS.items():
        if key in given:
            raise document.error(
                (*at, key),
                f"{'.'.join((*at, key))} is a secret, and this file is read by everybody who has the app",
                f"Remove it from the file, and set the environment variable {variable} instead.",
            )
    table = document.table(at, _FIELDS)
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
