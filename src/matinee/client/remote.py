"""An app somewhere else, by its HTTP API: the same verbs as `core.Client`, the same values, the same errors."""

from __future__ import annotations

import json
import os
import time
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from matinee.client.core import Watch
from matinee.client.history import named_fields
from matinee.dataclass_json import from_json
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
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.ports import LogLine, RunQuery
from matinee.retry import Backoff, retry
from matinee.runs import UNCHANGED, Entry, Feedback, Json, Progress, Run, Scale, Status, Unchanged
from matinee.values import encode
from matinee.values.blobs import INLINE_LIMIT_BYTES, inline_blob

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse
RELEASE_TTL_S = 5.0  # how old the release a call sees may be
LONGEST_PAUSE_S = 2.0  # between two looks at a run that is waited for
PAGE = 200  # runs the API lists at once


class RemoteClient:
    """One person, by their token, at one app. Thread-safe."""

    def __init__(self, url: str, token: str = "") -> None:
        self._http = Http(url, token)
        self._release: tuple[float, Json] = (float("-inf"), None)

    # --- what there is ------------------------------------------------------------------------------------------

    @property
    def user(self) -> str:
        """Whom the token speaks for."""
        return str(self._app()["user"])

    def release(self) -> Release:
        """Return what is live there, at most RELEASE_TTL_S old."""
        app = self._app()
        by_component: dict[str, list[PredictorManifest]] = {}
        for predictor in app["predictors"]:
            by_component.setdefault(predictor["component"], []).append(_predictor(predictor))
        components = tuple(ComponentManifest(name, "", "", tuple(found)) for name, found in by_component.items())
        return Release(app["app"], app["title"], app["release"], 0.0, components)

    def predictor(self, name: str) -> PredictorManifest:
        """Return the predictor of that name; NotFoundError names the nearest."""
        found = self.release().predictor(name)
        return found or _predictor(self._http.ask("GET", f"/predictors/{quote(name, safe='')}").json())

    def _app(self) -> Json:
        read_at, app = self._release
        if app is None or time.monotonic() - read_at > RELEASE_TTL_S:
            app = self._http.ask("GET", "/predictors").json()
            self._release = (time.monotonic(), app)
        return app

    # --- predict and submit -------------------------------------------------------------------------------------

    def predict(self, name: str, inputs: Json) -> Run:
        """Call a realtime predictor and wait for its run, whether it succeeds or fails."""
        try:
            answer = self._http.ask("POST", f"/predictors/{quote(name, safe='')}/predict", body=inputs, key=_key())
        except RemotePredictionError as error:
            if error.run is None:
                raise
            return _run(error.run)
        run = answer.json()
        return self.wait(run["id"]) if answer.status == 202 else _run(run, run["result"])

    def submit(self, name: str, inputs: Json, *, idempotency_key: str = "") -> Run:
        """Queue a batch run; the same key gives the same run."""
        path = f"/predictors/{quote(name, safe='')}/submit"
        return _run(self._http.ask("POST", path, body=inputs, key=idempotency_key or _key()).json())

    def submit_many(self, name: str, rows: Sequence[Json], *, idempotency_key: str = "") -> list[Run]:
        """Queue many batch runs, all or none of them."""
        if not rows:
            return []
        path = f"/predictors/{quote(name, safe='')}/submit-many"
        answer = self._http.ask("POST", path, body={"rows": list(rows)}, key=idempotency_key or _key())
        return [_run(run) for run in answer.json()["runs"]]

    # --- runs ---------------------------------------------------------------------------------------------------

    def run(self, run_id: str) -> Run:
        """Return the run; NotFoundError if there is none."""
        return _run(self._ask_run(run_id))

    def runs(self, query: RunQuery) -> list[Run]:
        """Return a page of runs, newest first; several requests when it asks for more than the API lists at once."""
        found: list[Run] = []
        before: str | None = query.before
        while before is not None and len(found) < query.limit:
            asked = {"before": before, "limit": min(PAGE, query.limit - len(found)), "predictor": query.predictor}
            asked["status"] = next(iter(query.statuses)).value if len(query.statuses) == 1 else ""
            asked["everybody"] = "true" if query.user != self.user else ""
            page = self._http.ask("GET", "/runs", query=asked).json()
            found += [run for run in map(_run, page["runs"]) if _matches(run, query)]
            before = page["next"]
        return found

    def entry(self, run: Run) -> Entry | None:
        """Return the live progress of an unfinished run."""
        return None if run.status.is_final else _entry(self._ask_run(run.id))

    def queue_position(self, run: Run) -> int | None:
        """Return how many runs will start before this one; None when it does not wait."""
        position: int | None = self._ask_run(run.id).get("queue_position")
        return position

    def why_waiting(self, run: Run) -> str:
        """Return why no worker starts, "" when nothing is wrong."""
        return str(self._ask_run(run.id).get("why_waiting") or "")

    def inputs(self, run: Run) -> Json:
        """Return the run's inputs as they were checked."""
        return self._http.ask("GET", f"/runs/{quote(run.id, safe='')}/inputs").json()

    def result(self, run: Run) -> Json:
        """Return the result as JSON; None unless the run succeeded."""
        if run.status is not Status.SUCCEEDED:
            return None
        return run.result if run.result is not None else self._http.ask("GET", f"/runs/{run.id}/result").json()

    def read_blob(self, blob: Json) -> bytes:
        """Return the bytes of a blob value, inline or there."""
        if "base64" in blob:
            return b64decode(blob["base64"])
        if "url" not in blob:
            raise NotFoundError(f"The file {blob.get('name') or blob.get('key')!r} has no address.")
        return self._http.download(blob["url"])

    def to_json(self, value: Any) -> Json:
        """Return any supported Python value as JSON; large files of it are uploaded."""
        return encode.to_json(value, self._put_blob)

    def _put_blob(self, data: bytes, media_type: str, name: str) -> dict[str, Any]:
        if len(data) <= INLINE_LIMIT_BYTES:
            return inline_blob(data, media_type, name)
        stored: dict[str, Any] = self._http.upload(data, media_type, name)
        return stored

    def wait(self, run_id: str, *, timeout_s: float | None = None, watch: Watch | None = None) -> Run:
        """Wait until the run is finished, or `timeout_s` has passed; return it as it is then."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = 0.05
        while True:
            answer = self._ask_run(run_id)
            run = _run(answer)
            if watch:
                watch(run, _entry(answer))
            if run.status.is_final or (deadline is not None and time.monotonic() >= deadline):
                return run
            time.sleep(pause_s if deadline is None else max(0.0, min(pause_s, deadline - time.monotonic())))
            pause_s = min(LONGEST_PAUSE_S, pause_s * 1.3)

    def cancel(self, run_id: str) -> Run:
        """Cancel a queued run at once, ask a running one to stop; ConflictError if it is finished."""
        return _run(self._http.ask("POST", f"/runs/{quote(run_id, safe='')}/cancel").json())

    def share(self, run_id: str) -> None:
        """Let everybody who may use the app see and rate the run."""
        self._http.ask("PUT", f"/runs/{quote(run_id, safe='')}/share")

    def unshare(self, run_id: str) -> None:
        """Keep the run to oneself again."""
        self._http.ask("DELETE", f"/runs/{quote(run_id, safe='')}/share")

    def logs(self, run_id: str) -> list[LogLine]:
        """Return what the run wrote, in order."""
        answer = self._http.ask("GET", f"/runs/{quote(run_id, safe='')}/logs").json()
        return [from_json(LogLine, line) for line in answer["lines"]]

    def feedback(
        self,
        run_id: str,
        rating: int | Unchanged | None = UNCHANGED,
        comment: str | Unchanged = UNCHANGED,
        corrected: Json = UNCHANGED,
        *,
        scale: Scale = "thumbs",
    ) -> Feedback:
        """Say what is right or wrong; what is not named stays as this person said it before."""
        statement = named_fields(rating=rating, comment=comment, corrected=corrected)
        if "rating" in statement:
            statement["scale"] = scale
        answer = self._http.ask("PUT", f"/runs/{quote(run_id, safe='')}/feedback", body=statement)
        return from_json(Feedback, answer.json())

    def feedback_of(self, run_id: str) -> list[Feedback]:
        """Return what was said of the run."""
        answer = self._http.ask("GET", f"/runs/{quote(run_id, safe='')}/feedback").json()
        return [from_json(Feedback, item) for item in answer["feedback"]]

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def _ask_run(self, run_id: str) -> Json:
        return self._http.ask("GET", f"/runs/{quote(run_id, safe='')}").json()


def _key() -> str:
    return os.urandom(16).hex()  # a request that got no answer is sent again, and must not count twice


def _predictor(answer: Json) -> PredictorManifest:
    fields = {name: answer[name] for name in ("name", "kind", "component", "doc", "parameters", "result")}
    return PredictorManifest(
        **fields, resources=Resources(timeout_s=answer["timeout_s"]), examples=tuple(answer["examples"])
    )


def _run(answer: Json, result: Json = None) -> Run:
    shown = {
        name: value for name, value in answer.items() if name not in ("inputs", "result")
    }  # asked for by themselves
    return from_json(Run, shown, inputs=None, result=result)


def _entry(answer: Json) -> Entry:
    progress = from_json(Progress, answer["progress"]) if answer.get("progress") else Progress()
    return Entry(answer["predictor"], answer["id"], answer["user"], 0, 0.0, progress=progress)


def _matches(run: Run, query: RunQuery) -> bool:
    return query.user in (None, run.user) and (not query.statuses or run.status in query.statuses)


# --- HTTP to the API --------------------------------------------------------------------------------------------------
# HTTP to an app's API: one pool of connections, the token, and problems as the same errors as everywhere.

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
    present = {name: value for name, value in (values or {}).items() if value not in ("", None)}
    return f"?{urlencode(present)}" if present else ""


class RemotePredictionError(PredictionError):
    """A prediction that ran and failed far away; `run` is the run as JSON."""

    run: Json = None


def _error(origin: str, answer: Answer) -> MatineeError:
    try:
        problem = answer.json()
        kind = str(problem["type"]).rpartition(":")[2]
        message, hint = str(problem["detail"]), str(problem.get("hint", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return BackendError(
            f"{origin} answered {answer.status}, and not as an app of Matinee does.", hint="Is the address right?"
        )
    if kind == "invalid-input":
        problems = tuple(Problem(p["path"], p["message"]) for p in problem.get("errors", ()))
        return InputError("", message, problems=problems, hint=hint)
    if kind == "too-many":
        return RateError(message, hint=hint, retry_after_s=float(answer.headers.get("Retry-After") or 0))
    if kind == "prediction-failed":
        failed = RemotePredictionError(message, kind=str(problem.get("kind", "exception")), hint=hint)
        failed.run = problem.get("run")
        return failed
    if kind in ("unauthorized", "forbidden"):
        return AccessError(message, hint=hint, signed_in=kind == "forbidden")
    classes = {"not-found": NotFoundError, "conflict": ConflictError, "too-large": LimitError}
    fallback = BackendError if answer.status >= 500 else UsageError
    return classes.get(kind, fallback)(message, hint=hint)
