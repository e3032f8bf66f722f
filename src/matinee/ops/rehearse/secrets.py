"""Secrets for a rehearsal: those of `.env` and of this shell are put where `matinee secret set` would put them."""

from __future__ import annotations

import os

from matinee import secrets, settings
from matinee.ops.rehearse.rehearsal import Rehearsal

OWN = (
    settings.PASSWORD,
    settings.OWNER_PASSWORD,
    settings.COOKIE_SECRET,
    settings.SMTP_PASSWORD,
    settings.OIDC_CLIENT_ID,
    settings.OIDC_CLIENT_SECRET,
    settings.OIDC_METADATA_URL,
    settings.OIDC_REDIRECT_URI,
)


def bring_secrets(stage: Rehearsal) -> None:
    """Put what is set here; what is missing, the deploy says."""
    own = {name: os.environ[name] for name in OWN if os.environ.get(name)}
    ssm = stage.world.clients("ssm")
    for name, value in {**secrets.read(stage.project.folder), **own}.items():
        ssm.put_parameter(Name=stage.names.parameter(name), Value=value, Type="SecureString", Overwrite=True)
