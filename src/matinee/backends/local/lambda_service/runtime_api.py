"""The Lambda Runtime API, which a worker's process speaks.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
from typing import Protocol

from matinee.backends.local.lambda_service.http import JSON_TYPE, Request
from matinee.backends.local.lambda_service.loopback import refusal

_BASE = "/2018-06-01/runtime/"
_ACCEPTED = b'{"status":"OK"}\n'


class Runtime(Protocol):
    """What the API needs of a worker."""

    def next(self, request: Request) -> None:
        """Answer `request` with the next invocation, when there is one."""

    def is_running(self, request_id: str) -> bool:
        """Return whether this request is its present one."""

    def answer(self, payload: bytes, *, failed: bool, kind: str = "") -> bool:
        """Take result or error; False if it is too large."""

    def init_error(self, payload: bytes) -> None:
        """Take the reason of a failed start."""


def serve(runtime: Runtime, request: Request) -> None:
    """Answer one request of the process."""
    reason = refusal(request)
    if reason:
        _error(request, 403, "Forbidden", reason)
        return
    action = request.path.removeprefix(_BASE)
    if request.method == "GET" and action == "invocation/next":
        runtime.next(request)
    elif request.method == "POST" and action == "init/error":
        request.respond(202, _ACCEPTED, JSON_TYPE)
        runtime.init_error(request.body)
    elif request.method == "POST" and action.startswith("invocation/") and action.count("/") == 2:
        _, request_id, outcome = action.split("/")
        _answer(runtime, request, request_id, outcome)
    else:
        _error(request, 404, "NotFound", f"{request.method} {request.path} is not part of the Runtime API.")


def _answer(runtime: Runtime, request: Request, request_id: str, outcome: str) -> None:
    if outcome not in ("response", "error"):
        _error(request, 404, "NotFound", f"{request.path} is not part of the Runtime API.")
    elif not runtime.is_running(request_id):
        _error(request, 400, "InvalidRequestID", "Invalid request ID")
    else:
        failed = outcome == "error"
        kind = request.header(b"lambda-runtime-function-error-type", "Unhandled") if failed else ""
        if runtime.answer(request.body, failed=failed, kind=kind):
            request.respond(202, _ACCEPTED, JSON_TYPE)
        else:
            _error(request, 413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size (6291556 bytes).")


def _error(request: Request, status: int, kind: str, message: str) -> None:
    request.respond(status, json.dumps({"errorMessage": message, "errorType": kind}).encode(), JSON_TYPE)
