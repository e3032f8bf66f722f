"""The one line in the log that every failed call of AWS leaves, whatever the service."""

from __future__ import annotations

import json
import logging
from typing import Any

from matinee.log_lines import cut

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
