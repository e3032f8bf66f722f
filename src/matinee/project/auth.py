"""`[auth]` of a `matinee.toml`: who may use the app. Passwords and secrets are refused there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matinee.project.fields import Document, Field, key, read_table

Json = Any
MODES = ("none", "password", "users", "oidc")
_SECRETS = {  # what people would write here, and where it belongs
    "password": "MATINEE_PASSWORD",
    "owner_password": "MATINEE_OWNER_PASSWORD",
    "cookie_secret": "MATINEE_COOKIE_SECRET",
    "client_secret": "MATINEE_OIDC_CLIENT_SECRET",
}


@dataclass(frozen=True)
class Auth:
    """Who may use the app, and how they say who they are."""

    mode: str = key(
        "none", Field("text", choices=MODES), '"password", "users" or "oidc"; secrets come from the environment'
    )
    owners: tuple[str, ...] = key(
        (), Field("texts"), "names (password, users) or e-mail addresses (oidc) of those who see everybody's runs"
    )
    allow: tuple[str, ...] = key(
        (), Field("texts"), 'oidc: e-mail addresses, or "@domain"; [] = whoever the provider signs in'
    )
    days: float = key(7.0, Field("number", low=0.01, high=90), "how long one stays signed in")


def read_auth(document: Document, at: tuple[str, ...] = ("auth",)) -> Mapping[str, Json]:
    """Return what the table gives of `Auth`; raises ProjectError, above all for a password or a secret."""
    given = document.at(at)
    for name, variable in _SECRETS.items():
        if name in given:
            raise document.error(
                (*at, name),
                f"{'.'.join((*at, name))} is a secret, and this file is read by everybody who has the app",
                f"Remove it from the file, and set the environment variable {variable} instead.",
            )
    return read_table(document, at, Auth)
