"""Secrets for a rehearsal: those of `.env` and of this shell are put where `matinee secret set` would put them."""

from __future__ import annotations

import os

from matinee import secrets
from matinee.ops.rehearse.rehearsal import Rehearsal
from matinee.project.sections import SIGN_IN_MODES
from matinee.settings import COOKIE_SECRET, SMTP_PASSWORD

OWN = (
    COOKIE_SECRET,
    SMTP_PASSWORD,
    *(name for mode in SIGN_IN_MODES.values() for name in (*mode.variables, *mode.optional_variables)),
)


def bring_secrets(stage: Rehearsal) -> None:
    """Put what is set here; what is missing, the deploy says."""
    own = {name: os.environ[name] for name in OWN if os.environ.get(name)}
    ssm = stage.world.clients("ssm")
    for name, value in {**secrets.read(stage.project.folder), **own}.items():
        ssm.put_parameter(Name=stage.names.parameter(name), Value=value, Type="SecureString", Overwrite=True)
