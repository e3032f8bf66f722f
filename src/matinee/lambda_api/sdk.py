"""boto3's session, made when first needed: importing boto3 takes a fifth of a second."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

from matinee.log_lines import cut

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

    logger = logging.getLogger("botocore.credentials")
    if logger.level == logging.NOTSET:  # where credentials were found is no line of a predictor's log
        logger.setLevel(logging.WARNING)
    return boto3.Session(region_name=region or None)


# --- logging failed calls ---------------------------------------------------------------------------------------------
# The one line in the log that every failed call of AWS leaves, whatever the service.

log = logging.getLogger("matinee.aws")


def code_of(error: BaseException) -> str:
    """Return AWS's own code of an answer ("" for what is no answer), as in "AccessDeniedException"."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def log_failure(error: Exception, action: str, resource: str) -> None:
    """Write the one line that says which call failed and why: JSON as the message, its fields as `extra`."""
    response = getattr(error, "response", None)
    meta: dict[str, Any] = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    fields = {
        "event": "aws_call_failed",
        "action": action,
        "resource": resource,
        "code": code_of(error) or type(error).__name__,
        "status": meta.get("HTTPStatusCode", 0),
        "request_id": meta.get("RequestId", ""),
        "retries": meta.get("RetryAttempts", 0),
        "error": cut(str(error), 500),
    }
    log.warning(json.dumps(fields), extra={"aws": fields})
