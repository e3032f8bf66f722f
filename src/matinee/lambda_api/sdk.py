"""boto3's session, made when first needed: importing boto3 takes a fifth of a second."""

from __future__ import annotations

import logging
import os
from typing import Any

_NOBODY = {  # of a client of this machine: no profile and no file of the person's can break it, or be sent anywhere
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
_IDENTITY = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID")


def identity() -> tuple[str, ...]:
    """Return who is meant at the moment: it may change within a process, as in a notebook."""
    return tuple(os.environ.get(name, "") for name in _IDENTITY)


def local_session() -> Any:
    """Return a session that knows nothing of the person's AWS configuration: for services of this machine."""
    import boto3
    from botocore.session import Session

    return boto3.Session(botocore_session=Session(session_vars=_NOBODY))


def new_session(region: str = "") -> Any:
    """Return a session of its own: boto3's default one must not be shared between threads."""
    import boto3

    told = logging.getLogger("botocore.credentials")
    if told.level == logging.NOTSET:  # where credentials were found is no line of a predictor's log
        told.setLevel(logging.WARNING)
    return boto3.Session(region_name=region or None)
