"""Answers: JSON that any text survives in, tables as CSV, files as downloads that no browser runs."""

from __future__ import annotations

import json
import logging
import math
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, BinaryIO, Literal
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse

from matinee.client.core import Client
from matinee.dataclass_json import to_json
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
from matinee.manifest import PredictorManifest
from matinee.runs import Feedback, Progress, Run, Status
from matinee.values import registry
from matinee.values.blobs import is_blob, media_type_of
from matinee.values.records import Table
from matinee.values.validate import Schema, problems, replace_marked

Json = Any
CHUNK_BYTES = 256 * 1024
SAFE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def answer(value: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer; half of a surrogate pair stays an escape, as it came."""
    body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    return Response(body, status, {**SAFE, **(headers or {})}, "application/json")


def wants_csv(accept: str) -> bool:
    """Whether CSV is asked for rather than JSON."""
    asked = {}
    for part in accept.lower().split(","):
        media_type, *parameters = (word.strip() for word in part.split(";"))
        asked[media_type] = next((_quality(p) for p in parameters if p.startswith("q=")), 1.0)
    csv = asked.get("text/csv", 0.0)
    return csv > 0 and csv > asked.get("application/json", asked.get("*/*", 0.0) if "text/csv" not in asked else 0.0)


def _quality(parameter: str) -> float:
    try:
        return float(parameter[2:])
    except ValueError:
        return 0.0


def csv_answer(result: Json) -> Response:
    """Return a table as CSV; ApiError 406 for a result that is none."""
    if registry.fault("table", result):
        raise ApiError(406, "Only a table has a CSV form, and this result is none.", hint="Ask for application/json.")
    return Response(Table(result).to_csv().encode("utf-8", "replace"), 200, SAFE, "text/csv; charset=utf-8")


def download(stream: BinaryIO, blob: dict[str, Json]) -> Response:
    """Return a file to keep: in no browser is it shown as a page of this app."""
    name = str(blob.get("name") or "file").replace("\\", "/").rpartition("/")[2] or "file"
    quoted = quote(name.encode("utf-8", "replace"), safe="")
    headers = {
        **SAFE,
        "Content-Disposition": f"attachment; filename*=UTF-8''{quoted}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return StreamingResponse(_chunks(stream), 200, headers, media_type_of(str(blob["$blob"])))


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


# --- problem details for errors ---------------------------------------------------------------------------------------
# Errors as RFC 9457 problem details: what is wrong, what to do next, and where in the inputs; never a traceback.

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
    members = {name: value for name, value in more.items() if value not in ("", None)}
    return JSONResponse({**body, **members}, status, headers, media_type=MEDIA_TYPE)


def problem_json(found: Any) -> dict[str, str]:
    """Return one wrong value as `{path, message}`."""
    return {"path": found.path, "message": found.message}


def failure_of(run: Any) -> Response:
    """Return the problem of a prediction that ran and failed; the run is in it."""
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


# --- JSON of the API's values -----------------------------------------------------------------------------------------
# Runs, feedback, predictors and blobs as the API shows them. Times are epoch seconds.


def run_json(run: Run, **more: Json) -> dict[str, Json]:
    """Return a run without its inputs and result: those have addresses of their own."""
    return {**to_json(run), "duration_s": run.duration_s, **more}


def live_run(client: Client, run: Run, *, place: bool = False) -> dict[str, Json]:
    """Return a run with how far it is and, with `place`, where it stands in the queue."""
    if run.status.is_final:
        done = Progress(1.0) if run.status is Status.SUCCEEDED else Progress()
        return run_json(run, progress=to_json(done))
    entry = client.entry(run)
    more: dict[str, Json] = {"progress": to_json(entry.progress if entry else Progress())}
    if place and run.status is Status.QUEUED:
        more |= {"queue_position": client.queue_position(run), "why_waiting": client.why_waiting(run)}
    return run_json(run, **more)


def predictor_json(predictor: PredictorManifest) -> dict[str, Json]:
    """Return what a caller needs of a predictor: how to call it and what it answers."""
    return {
        "name": predictor.name,
        "kind": predictor.kind,
        "component": predictor.component,
        "doc": predictor.doc,
        "parameters": predictor.parameters,
        "result": predictor.result,
        "examples": list(predictor.examples),
        "timeout_s": predictor.resources.timeout_s,
    }


def feedback_json(feedback: Feedback) -> dict[str, Json]:
    """Return what one person says of a run."""
    return to_json(feedback)


# --- links to blobs ---------------------------------------------------------------------------------------------------


def schema_of(client: Client, run: Run, part: Literal["parameters", "result"]) -> Schema:
    """Return the schema of a run's inputs or result; {} for a predictor that is no part of the app any more."""
    predictor = client.release().predictor(run.predictor)
    return getattr(predictor, part) if predictor else {}


def blobs_of(schema: Schema, value: Json) -> list[dict[str, Json]]:
    """Return the blobs of a value in the order in which it is written."""
    found: list[dict[str, Json]] = []

    def note(blob: dict[str, Json]) -> Json:
        found.append(blob)
        return blob

    _replace_blobs(schema, value, note)
    return found


def with_blobs(schema: Schema, value: Json, how: str, address: str, read: Callable[[Json], bytes]) -> Json:
    """Return the value with its blobs as the caller wants them.

    `how`: "auto" leaves small ones inline and gives the others a URL, "url" gives every one a URL, "inline" puts all
    bytes in as base64. A blob's URL is `address` and its number.
    """
    numbers = count()
    return _replace_blobs(schema, value, lambda blob: _blob(blob, how, f"{address}/{next(numbers)}", read))


def _replace_blobs(schema: Schema, value: Json, replace: Callable[[dict[str, Json]], Json]) -> Json:
    """Replace what the schema marks as a file; in a value of an older schema, what has the shape of one."""
    if schema and not problems(schema, value):
        return replace_marked(schema, value, lambda _, part: replace(part) if is_blob(part) else part)
    return _replace_by_shape(value, replace)


def _replace_by_shape(value: Json, replace: Callable[[dict[str, Json]], Json]) -> Json:
    if is_blob(value):
        return replace(value)
    if isinstance(value, dict):
        return {name: _replace_by_shape(item, replace) for name, item in value.items()}
    return [_replace_by_shape(item, replace) for item in value] if isinstance(value, list) else value


def _blob(blob: dict[str, Json], how: str, url: str, read: Callable[[Json], bytes]) -> Json:
    head = {name: blob[name] for name in ("$blob", "name") if name in blob}
    if how == "inline":
        return {**head, "base64": blob["base64"] if "base64" in blob else b64encode(read(blob)).decode()}
    if how == "auto" and "base64" in blob:
        return blob
    size = blob["size_bytes"] if "size_bytes" in blob else len(read(blob))
    return {**{name: v for name, v in blob.items() if name != "base64"}, "size_bytes": size, "url": url}
