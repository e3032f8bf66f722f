"""The channels that an app's `[notices]` sets up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

from matinee.manifest import Release
from matinee.notices.email import SmtpSender
from matinee.notices.sender import Sender
from matinee.notices.webhook import WebhookSender, secret_of
from matinee.ports import Store
from matinee.project import Notices
from matinee.settings import SMTP_PASSWORD


def notices_of(release: Release) -> Notices:
    """Return the settings of what is live; a release that says nothing has the defaults."""
    details = release.details.get("notices", {})
    return Notices(**{**details, "email_domains": tuple(details.get("email_domains", ()))})


def open_senders(release: Release, store: Store, environ: Mapping[str, str] = os.environ) -> dict[str, Sender]:
    """Return the channels by name: "email" where a mail server is named, "webhook" where it is allowed."""
    settings = notices_of(release)
    senders: dict[str, Sender] = {}
    if settings.smtp_host:
        title = release.title or release.app
        senders["email"] = SmtpSender(settings, environ.get(SMTP_PASSWORD, ""), title)
    if settings.webhooks:
        senders["webhook"] = WebhookSender(partial(secret_of, store), allow_private=settings.private_addresses)
    return senders
