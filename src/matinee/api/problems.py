"""Errors as RFC 9457 problem details: what is wrong, what to do next, and where in the inputs; never a traceback."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from matinee.errors import (
    BackendError,
    ConflictError,
    InputError,
    LimitError,
    MatineeError,
    NotFoundError,
    PredictionError,
    RateError,
)

Json = Any
MEDIA_TYPE = "application/problem+json"
TYPE = "urn:matinee:problem:"
log = logging.getLogger(__name__)

_KINDS: tuple[tuple[type[MatineeError], str, str], ...] = (  # the first that fits
    (InputError, "invalid-input", "The inputs do not fit"),
    (NotFoundError, "not-found", "There is no such thing"),
    (ConflictError, "conflict", "Not possible in the present state"),
    (RateError, "too-many", "Too much at once"),
    (LimitError, "too-large", "Over a limit"),
    (PredictionError, "prediction-failed", "The predictor failed"),
    (BackendError, "unavailable", "The app cannot answer now"),
    (MatineeError, "refused", "The request cannot be served"),
)
_STATUS = {
    400: ("refused", "The request cannot be served"),
    401: ("unauthorized", "A token is needed"),
    403: ("forbidden", "This is not yours to do"),
    404: ("not-found", "There is no such thing"),
    405: ("method-not-allowed", "This method is not allowed here"),
    406: ("not-acceptable", "The result has no such form"),
    413: ("too-large", "Over a limit"),
    415: ("unsupported-media-type", "The body has another form than is read here"),
}
UNAVAILABLE_RETRY_S = 2


class ApiError(MatineeError):
    """A refusal that only HTTP knows, by its status."""

    def __init__(self, status: int, message: str, *, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.http_status = status
        self.headers = dict(headers or {})


def of_error(error: Exception, **more: Json) -> Response:
    """Return the problem of any error; one that nobody foresaw is logged and told without its particulars."""
    if isinstance(error, HTTPException):
        return _of_status(error.status_code, error.detail, error.headers)
    if not isinstance(error, MatineeError):
        log.exception("The API met an error it does not know", exc_info=error)
        return problem(500, "internal", "Something went wrong here", "Its owner finds the reason in the app's log.")
    if isinstance(error, ApiError):
        return _of_status(error.http_status, error.message, error.headers, hint=error.hint)
    kind, title = next((kind, title) for cls, kind, title in _KINDS if isinstance(error, cls))
    status = error.http_status
    if kind == "refused" and status in _STATUS:
        kind, title = _STATUS[status]
    if isinstance(error, InputError):
        more["errors"] = [problem_json(p) for p in error.problems]
    if isinstance(error, PredictionError):
        more["kind"] = error.kind
    return problem(status, kind, title, error.message, hint=error.hint, headers=_retry(error), **more)


def problem(
    status: int, type_: str, title: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Json
) -> Response:
    """Return one problem; empty members are left out."""
    body = {"type": TYPE + type_, "title": title, "status": status, "detail": detail}
    kept = {name: value for name, value in more.items() if value not in ("", None)}
    return JSONResponse({**body, **kept}, status, headers, media_type=MEDIA_TYPE)


def problem_json(found: Any) -> dict[str, str]:
    """Return one wrong value as `{path, message}`."""
    return {"path": found.path, "message": found.message}


def failure_of(run: Any) -> Response:
    """Return the problem of a prediction that ran and failed; the run is in it."""
    from matinee.api.views import run_json

    failure = run.failure
    error = PredictionError(failure.message, kind=failure.kind, hint=failure.hint)
    return of_error(error, run=run_json(run))


def _of_status(status: int, detail: str, headers: Mapping[str, str] | None, hint: str = "") -> Response:
    kind, title = _STATUS.get(status, ("refused", "The request cannot be served"))
    if status == 404 and detail == "Not Found":
        detail = "There is nothing at this address; /api/v1/docs says what there is."
    if status == 405 and detail == "Method Not Allowed":
        detail = f"Use {(headers or {}).get('Allow', 'another method')} here."
    return problem(status, kind, title, detail, headers=headers, hint=hint)


def _retry(error: MatineeError) -> dict[str, str]:
    if isinstance(error, RateError):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    return {"Retry-After": str(UNAVAILABLE_RETRY_S)} if isinstance(error, BackendError) else {}
