"""`[notices]` of a `matinee.toml`: how people are told that a run is done. A password is refused there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matinee.project.fields import Document, Field, key, read_table

Json = Any
PASSWORD_VARIABLE = "MATINEE_SMTP_PASSWORD"  # noqa: S105 - a variable's name


@dataclass(frozen=True)
class Notices:
    """How people are told that a run is done, beside the badge in the app."""

    smtp_host: str = key("", Field("text"), 'the mail server; "" = no e-mail')
    smtp_port: int = key(587, Field("whole", low=1, high=65535), "its port")
    smtp_user: str = key("", Field("text"), f'"" = the server wants no password; the password is `{PASSWORD_VARIABLE}`')
    smtp_security: str = key(
        "starttls", Field("text", choices=("starttls", "tls", "none")), 'or "tls" (port 465), "none"'
    )
    sender: str = key(
        "",
        Field("text", pattern=r"[^\r\n]+@[^\r\n]+", example='must be an address such as "Me <me@example.com>"'),
        "who e-mail comes from",
    )
    email_domains: tuple[str, ...] = key((), Field("texts"), "e-mail goes only there; [] = anywhere")
    webhooks: bool = key(False, Field("switch"), "people may name an address of the web to be called")
    private_addresses: bool = key(False, Field("switch"), "also one inside your own network, and plain http")
    url: str = key(
        "",
        Field("text", pattern="https?://[^/\\s]+", example='must be as in "https://app.example.com"'),
        'where people open the app, for links; "" = as the browser of who asks has it',
    )


def read_notices(document: Document, at: tuple[str, ...] = ("notices",)) -> Mapping[str, Json]:
    """Return what the table gives of `Notices`; raises ProjectError, also for a password or a missing sender."""
    given = document.at(at)
    for name in ("smtp_password", "password"):
        if name in given:
            raise document.error(
                (*at, name),
                f"{'.'.join((*at, name))} is a secret, and this file is read by everybody who has the app",
                f"Remove it from the file, and set the environment variable {PASSWORD_VARIABLE} instead.",
            )
    table = read_table(document, at, Notices)
    if table.get("smtp_host") and not table.get("sender"):
        raise document.error((*at, "smtp_host"), "smtp_host needs a sender", 'Add sender = "me@example.com".')
    return table
