"""`[notices]` of a `matinee.toml`: how people are told that a run is done. A password is refused there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matinee.project.fields import Document, Field
from matinee.settings import SMTP_PASSWORD

Json = Any
_TEXT = Field("text")
_FIELDS = {
    "smtp_host": _TEXT,
    "smtp_port": Field("whole", low=1, high=65535),
    "smtp_user": _TEXT,
    "smtp_security": Field("text", choices=("starttls", "tls", "none")),
    "sender": Field("text", pattern=r"[^\r\n]+@[^\r\n]+", example='must be an address such as "Me <me@example.com>"'),
    "email_domains": Field("texts"),
    "webhooks": Field("switch"),
    "private_addresses": Field("switch"),
    "url": Field("text", pattern="https?://[^/\\s]+", example='must be as in "https://app.example.com"'),
}


@dataclass(frozen=True)
class Notices:
    """How people are told that a run is done, beside the badge in the app."""

    smtp_host: str = ""  # "" = no e-mail
    smtp_port: int = 587
    smtp_user: str = ""  # "" = the server wants no password
    smtp_security: str = "starttls"  # "starttls", "tls" (port 465) or "none"
    sender: str = ""
    email_domains: tuple[str, ...] = ()  # e-mail goes only there; () = anywhere
    webhooks: bool = False  # whether people may name an address of the web to be called
    private_addresses: bool = False  # whether it may be one inside your own network, and plain http
    url: str = ""  # where people open the app, for the links; "" = as the browser of who asks has it


def read_notices(document: Document, at: tuple[str, ...] = ("notices",)) -> Mapping[str, Json]:
    """Return what the table gives of `Notices`; raises ProjectError, also for a password or a missing sender."""
    given = document.at(at)
    for key in ("smtp_password", "password"):
        if key in given:
            raise document.error(
                (*at, key),
                f"{'.'.join((*at, key))} is a secret, and this file is read by everybody who has the app",
                f"Remove it from the file, and set the environment variable {SMTP_PASSWORD} instead.",
            )
    table = document.table(at, _FIELDS)
    if table.get("smtp_host") and not table.get("sender"):
        raise document.error((*at, "smtp_host"), "smtp_host needs a sender", 'Add sender = "me@example.com".')
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
