"""HTTP to an app's API: one pool of connections, the token, and problems as the same errors as everywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from matinee.errors import (
    AccessError,
    BackendError,
    ConflictError,
    InputError,
    LimitError,
    MatineeError,
    NotFoundError,
    PredictionError,
    Problem,
    RateError,
    UsageError,
)
from matinee.retry import Backoff, retry

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

Json = Any
API = "/api/v1"
CONNECT_S = 10.0
READ_S = 120.0  # the API answers within half a minute; the rest is for slow networks and large files
BACKOFF = Backoff(base_s=0.2, cap_s=1.0, tries=3)  # of a request without an answer: all may be sent twice


class Answer:
    """What came back with a status below 400."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.status = status
        self.headers = headers
        self.data = data

    def json(self) -> Json:
        """Return the body as JSON."""
        return json.loads(self.data)


class Http:
    """Requests to one app. Thread-safe. Raises the errors of `matinee.errors`, BackendError without an answer."""

    def __init__(self, url: str, token: str) -> None:
        from urllib3 import PoolManager, Timeout

        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url!r} is not the address of an app.", hint="It looks like https://app.example.com.")
        self.origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._base = self.origin + parts.path.rstrip("/").removesuffix(API)
        self._headers = {"Accept": "application/json", "User-Agent": "matinee"}
        if token:
            self._headers["Authorization"] = f"Bearer {token.strip()}"
        self._pool = PoolManager(retries=False, timeout=Timeout(CONNECT_S, READ_S))

    def ask(
        self, method: str, path: str, *, query: Mapping[str, Json] | None = None, body: Json = None, key: str = ""
    ) -> Answer:
        """Send JSON (or nothing) and return the answer; `path` is within the API."""
        headers = {"Idempotency-Key": key} if key else {}
        data = None
        if body is not None:
            data = _encoded(body)
            headers["Content-Type"] = "application/json"
        return self._send(method, f"{self._base}{API}{path}{_query(query)}", data, headers)

    def upload(self, data: bytes, media_type: str, name: str) -> Json:
        """Send a file and return its reference."""
        url = f"{self._base}{API}/uploads{_query({'name': name})}"
        return self._send("POST", url, data, {"Content-Type": media_type}).json()

    def download(self, path: str) -> bytes:
        """Return the bytes at a path of the app; UsageError for an address elsewhere, which gets no token."""
        if not path.startswith("/") or path.startswith("//"):
            raise UsageError(f"{path!r} is no address of this app.")
        return self._send("GET", self.origin + path, None, {"Accept": "*/*"}).data

    def close(self) -> None:
        """Let go of connections."""
        self._pool.clear()

    def _send(self, method: str, url: str, data: bytes | None, headers: Mapping[str, str]) -> Answer:
        from urllib3.exceptions import HTTPError

        def send() -> BaseHTTPResponse:
            return self._pool.request(method, url, body=data, headers={**self._headers, **headers}, redirect=False)

        try:
            response = retry(send, on=(HTTPError,), backoff=BACKOFF)
        except HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise BackendError(
                f"{self.origin} does not answer: {str(reason).rpartition(': ')[2]}.", hint="Is the app running there?"
            ) from None
        answer = Answer(response.status, response.headers, response.data)
        if response.status >= 300:
            raise _error(self.origin, answer)
        return answer


def _encoded(body: Json) -> bytes:
    try:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        raise InputError("", "holds NaN or an infinite number, which JSON has not", hint="Send None instead.") from None


def _query(values: Mapping[str, Json] | None) -> str:
    given = {name: value for name, value in (values or {}).items() if value not in ("", None)}
    return f"?{urlencode(given)}" if given else ""


class RemotePredictionError(PredictionError):
    """A prediction that ran and failed far away; `run` is the run as JSON."""

    run: Json = None


def _error(origin: str, answer: Answer) -> MatineeError:
    try:
        said = answer.json()
        kind = str(said["type"]).rpartition(":")[2]
        message, hint = str(said["detail"]), str(said.get("hint", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return BackendError(
            f"{origin} answered {answer.status}, and not as an app of Matinee does.", hint="Is the address right?"
        )
    if kind == "invalid-input":
        problems = tuple(Problem(p["path"], p["message"]) for p in said.get("errors", ()))
        return InputError("", message, problems=problems, hint=hint)
    if kind == "too-many":
        return RateError(message, hint=hint, retry_after_s=float(answer.headers.get("Retry-After") or 0))
    if kind == "prediction-failed":
        failed = RemotePredictionError(message, kind=str(said.get("kind", "exception")), hint=hint)
        failed.run = said.get("run")
        return failed
    if kind in ("unauthorized", "forbidden"):
        return AccessError(message, hint=hint, signed_in=kind == "forbidden")
    classes = {"not-found": NotFoundError, "conflict": ConflictError, "too-large": LimitError}
    fallback = BackendError if answer.status >= 500 else UsageError
    return classes.get(kind, fallback)(message, hint=hint)
