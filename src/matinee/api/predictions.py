"""Predictors: what there is, predict, submit, submit many."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, BinaryIO

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from matinee.api import responses
from matinee.api.requests import MEGABYTE, Call, Gate, Rates, live
from matinee.api.responses import ApiError, answer, csv_answer, live_run, predictor_json, wants_csv, with_blobs
from matinee.client.core import Client, used_key
from matinee.errors import (
    BackendError,
    InputError,
    LimitError,
    MatineeError,
    NotFoundError,
    Problem,
    RateError,
    UsageError,
)
from matinee.ports import Store
from matinee.runs import Failure, Run, Status, new_run_id
from matinee.values import blobs, validate

log = logging.getLogger(__name__)
Json = Any
LONGEST_KEY = 200


def list_predictors(call: Call) -> Response:
    """All predictors with their schemas."""
    release = live(call.client)
    return answer(
        {
            "app": release.app,
            "title": release.title,
            "release": release.number,
            "user": call.person.name,
            "role": call.person.role,
            "predictors": [predictor_json(predictor) for predictor in release.predictors],
        }
    )


def show_predictor(call: Call) -> Response:
    """One predictor with its schemas."""
    return answer(predictor_json(call.client.predictor(call.path("name"))))


class Predicting:
    """Predict and wait at most `wait_s`."""

    def __init__(self, gate: Gate, later: Later, rates: Rates, wait_s: float) -> None:
        self._gate = gate
        self._later = later
        self._rates = rates
        self._wait_s = wait_s

    async def __call__(self, call: Call) -> Response:
        """Predict: the result, or after `wait_s` the run that goes on."""
        prediction = await self._gate.in_thread(self._start, call)
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(prediction.future)), self._wait_s)
        except TimeoutError:
            if not prediction.future.done():
                return await self._gate.in_thread(_answer_unfinished, call, prediction)
        return await self._gate.in_thread(_answer_prediction, call, prediction)

    def _start(self, call: Call) -> Prediction:
        inputs = _object(call.json())
        name = call.path("name")
        predictor = call.client.predictor(name)
        if predictor.kind != "realtime":
            raise UsageError(f"{name} is a batch predictor.", hint=f"Use /api/v1/predictors/{name}/submit.")
        limit = call.limits.predictions_per_minute
        key = idempotency_key(call.request)
        return self._later.start(call.client, name, inputs, key, lambda: self._rates.spend(call.person.name, limit))


def _answer_prediction(call: Call, prediction: Prediction) -> Response:
    run = prediction.future.result()
    if run.status is not Status.SUCCEEDED:
        return responses.failure_of(run)
    result = call.client.result(run)
    headers = {"Matinee-Run": run.id}
    if wants_csv(call.request.headers.get("accept", "")):
        response = csv_answer(result)
        response.headers.update(headers)
        return response
    address = f"{call.base}/runs/{run.id}/files"
    schema = prediction.predictor.result
    shown = with_blobs(schema, result, call.query["blobs"], address, call.client.read_blob)
    return answer({**live_run(call.client, run), "result": shown}, headers=headers)


def _answer_unfinished(call: Call, prediction: Prediction) -> Response:
    run = prediction.announce()
    return _answer_prediction(call, prediction) if run.status.is_final else answer_accepted(call, run)


def answer_accepted(call: Call, run: Run) -> Response:
    """Return the answer for a run that goes on: where to look."""
    location = f"{call.base}/runs/{run.id}"
    return answer(live_run(call.client, run, place=True), 202, {"Location": location, "Matinee-Run": run.id})


def submit(call: Call) -> Response:
    """Queue one run."""
    key = idempotency_key(call.request)
    inputs = _object(call.json())
    run = call.client.submit(call.path("name"), inputs, idempotency_key=key)
    return answer_accepted(call, run)


def submit_many(call: Call) -> Response:
    """Queue one run a row, all or none."""
    body = _object(call.json())
    validate.check(MANY, body)
    rows, name = body["rows"], call.path("name")
    if len(rows) > call.limits.queue_per_user:
        most = call.limits.queue_per_user
        raise RateError(f"These are {len(rows)} runs, and you may have {most} in the queue.", hint="Send fewer.")
    predictor = call.client.predictor(name)
    found = [
        Problem(f"rows.{number}" + (f".{p.path}" if p.path else ""), p.message)
        for number, row in enumerate(rows)
        for p in validate.problems(predictor.parameters, row)
    ]
    if found and predictor.kind == "batch":
        raise InputError(problems=tuple(found[:100]))
    key = idempotency_key(call.request)
    runs = call.client.submit_many(name, rows, idempotency_key=key)
    return answer({"runs": [live_run(call.client, run) for run in runs]}, 202)


MANY: dict[str, Json] = {
    "type": "object",
    "properties": {"rows": {"type": "array", "minItems": 1, "items": {"type": "object"}}},
    "required": ["rows"],
    "additionalProperties": False,
}


def _object(body: Json) -> Json:
    if not isinstance(body, dict):
        raise InputError("", 'must be a JSON object such as {"name": "value"}')
    return body


def idempotency_key(request: Request) -> str:
    """Return the Idempotency-Key of a request, "" without one; InputError for one that is too long or not ASCII."""
    key = request.headers.get("idempotency-key", "").strip()
    if len(key) > LONGEST_KEY or not re.fullmatch(r"[\x20-\x7e]*", key):
        raise InputError("Idempotency-Key", f"must be at most {LONGEST_KEY} printable ASCII characters")
    return key


# --- uploads of files -------------------------------------------------------------------------------------------------
# Uploads: a file goes into Files under the caller's own prefix, and its reference can be an input.

IN_MEMORY_BYTES = MEGABYTE
LONGEST_NAME = 255
_FORM_ROOM = 10_000  # bytes of a form around its file


class Uploading:
    """Takes a raw body, or the field `file` of a form, up to `upload_mb`."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __call__(self, call: Call) -> Response:
        """Store the file and return its reference."""
        limit = call.limits.upload_mb
        media_type = blobs.media_type_of(call.request.headers.get("content-type", ""))
        if media_type == "multipart/form-data":
            return await self._form(call, limit)
        with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as stream:
            size = 0
            async for chunk in call.request.stream():
                size += len(chunk)
                _check_size(size, limit)
                stream.write(chunk)
            stream.seek(0)
            return await self._gate.in_thread(_put, call, stream, media_type, call.query["name"], size)

    async def _form(self, call: Call, limit: float) -> Response:
        request = Request(call.request.scope, _Counted(call.request, limit).receive)
        async with request.form(max_files=1, max_fields=10) as form:
            upload = form.get("file")
            if not isinstance(upload, UploadFile):
                raise InputError("file", "is required: the form must have a file in this field")
            size = upload.size or 0
            _check_size(size, limit)
            name = call.query["name"] or upload.filename or ""
            media_type = blobs.media_type_of(upload.content_type or "")
            return await self._gate.in_thread(_put, call, upload.file, media_type, name, size)


class _Counted:
    """A request's body that ends in an error when it is too long."""

    def __init__(self, request: Request, limit_mb: float) -> None:
        self._request = request
        self._limit_mb = limit_mb
        self._size = 0

    async def receive(self) -> Message:
        message = await self._request.receive()
        self._size += len(message.get("body", b""))
        _check_size(self._size - _FORM_ROOM, self._limit_mb)
        return message


def _check_size(size: int, limit_mb: float) -> None:
    if size > limit_mb * MEGABYTE:
        raise LimitError(
            f"The file is larger than {limit_mb:g} MB.",
            hint="Send a smaller one, or raise upload_mb under [limits] in matinee.toml.",
        )


def _put(call: Call, stream: Any, media_type: str, name: str, size: int) -> Response:
    if size == 0:
        raise ApiError(400, "The file is empty.", hint="Send its bytes as the body, or as the field `file` of a form.")
    name = name.replace("\\", "/").rpartition("/")[2][:LONGEST_NAME]
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)[-80:]
    key = f"{call.client.visibility.uploads}{new_run_id()}/0-{safe or 'file'}"
    file: BinaryIO = stream
    stored = call.client.backend.files.put(key, file, media_type=media_type)
    return answer({"$blob": media_type, "name": name, "key": key, "size_bytes": stored}, 201)


# --- predictions beyond a request -------------------------------------------------------------------------------------
# Predictions that may outlast a request: each in a thread of its own, known by its run's id from the beginning.
#
# An answer within `wait_s` is the response. Else the caller gets the run's id, the prediction runs on, and a small
# document in the store says so to every process, until the run is recorded.

KIND = "prediction"  # the kind of the documents
AT_ONCE = 64  # predictions that run for callers of this process
KEYS_REMEMBERED = 2_000  # idempotency keys, each with its run: some kilobytes
KEYS_REMEMBERED_S = 3600.0
_GRACE_S = 120.0  # after its time limit a prediction that nobody recorded is lost


class Prediction:
    """One prediction under way. `future` gives the recorded run, or raises what `Client.predict` raises."""

    def __init__(self, client: Client, name: str, inputs: Json) -> None:
        self.client = client
        self.predictor = client.predictor(name)
        self.inputs = inputs
        self.run_id = new_run_id()
        self.created_at = time.time()
        self.future: Future[Run] = Future()
        self._lock = threading.Lock()
        self._is_announced = False

    def work(self) -> None:
        """Predict, and record what nobody waits for any more."""
        try:
            run = self.client.predict(self.predictor.name, self.inputs, run_id=self.run_id)
        except BaseException as error:
            self._end(self.future.set_exception, error, record=self._make_failed(error))
        else:
            self._end(self.future.set_result, run, is_lost=bool(run.warning))
        self.inputs = None  # it may be large, and its key is remembered for long

    def _end(
        self, settle: Callable[[Any], None], outcome: Any, *, record: Run | None = None, is_lost: bool = False
    ) -> None:
        with self._lock:  # either `announce` finds the future done, or this finds that it was announced
            if self._is_announced and record is not None:
                self._keep_in_store(lambda store: store.record(record))
            settle(outcome)
        if self._is_announced and not is_lost:
            self._keep_in_store(lambda store: store.put_document(KIND, self.run_id, None))

    def _keep_in_store(self, keep: Callable[[Store], None]) -> None:
        try:
            keep(self.client.backend.store)
        except MatineeError as problem:
            log.warning("What became of run %s could not be kept: %s", self.run_id, problem)

    def announce(self) -> Run:
        """Say in the store that it runs on, unless it has just ended; return the run as it is now."""
        with self._lock:
            if not self.future.done():
                self._is_announced = True
                deadline = self.created_at + self.predictor.resources.timeout_s + _GRACE_S
                document = {"predictor": self.predictor.name, "user": self.client.user, "created_at": self.created_at}
                self.client.backend.store.put_document(KIND, self.run_id, {**document, "deadline": deadline})
        return self.future.result() if self.future.done() else self._run()

    def _run(self, **changes: Any) -> Run:
        return _running(self.run_id, self.predictor.name, self.client.user, self.created_at, self.inputs, **changes)

    def _make_failed(self, error: BaseException) -> Run:
        kind = "invalid_input" if isinstance(error, InputError) else "start"
        known = error if isinstance(error, MatineeError) else MatineeError("The prediction could not be made.")
        failure = Failure(kind, known.message, known.hint)
        return self._run(status=Status.FAILED, failure=failure, finished_at=time.time())


class Later:
    """The predictions of this process, and the answers by idempotency key."""

    def __init__(self) -> None:
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str, str], tuple[float, str, Prediction]] = OrderedDict()

    def start(self, client: Client, name: str, inputs: Json, key: str, spend: Callable[[], None]) -> Prediction:
        """Start a prediction, or return the one of this key. `spend` is called for a new one and may refuse it.

        Raises InputError when the key was used with other inputs, BackendError when too many are under way.
        """
        if not key:
            return self._begin(client, name, inputs, spend)
        place = (client.user, name, key)
        digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        with self._lock:
            self._forget()
            known = self._known.get(place)
            if known is not None:
                if known[1] != digest:
                    raise used_key()
                return known[2]
            prediction = self._begin(client, name, inputs, spend)
            self._known[place] = (time.monotonic(), digest, prediction)
        prediction.future.add_done_callback(lambda future: self._drop(place) if future.exception() else None)
        return prediction

    def _drop(self, place: tuple[str, str, str]) -> None:
        with self._lock:
            self._known.pop(place, None)

    def _begin(self, client: Client, name: str, inputs: Json, spend: Callable[[], None]) -> Prediction:
        prediction = Prediction(client, name, inputs)
        spend()
        if not self._places.acquire(blocking=False):
            raise BackendError(f"{AT_ONCE} predictions are under way.", hint="Ask again in a moment.")
        threading.Thread(target=self._work, args=(prediction,), name="matinee-prediction", daemon=True).start()
        return prediction

    def _work(self, prediction: Prediction) -> None:
        try:
            prediction.work()
        finally:
            self._places.release()

    def _forget(self) -> None:
        old = time.monotonic() - KEYS_REMEMBERED_S
        while self._known and (len(self._known) > KEYS_REMEMBERED or next(iter(self._known.values()))[0] < old):
            self._known.popitem(last=False)


def find_submitted(client: Client, run_id: str) -> Run:
    """Return a run, one that is still being predicted included; NotFoundError if it is not theirs to see."""
    try:
        return client.run(run_id)
    except NotFoundError:
        document = client.backend.store.document(KIND, run_id)
        if document is None or not (client.owner or document["user"] == client.user):
            raise
    if time.time() < document["deadline"]:
        return _running(run_id, document["predictor"], document["user"], document["created_at"], None)
    lost = Failure(
        "lost", "The app was stopped while this prediction ran, or its result could not be recorded.", "Predict again."
    )
    times = {"finished_at": document["deadline"], "status": Status.FAILED, "failure": lost}
    return _running(run_id, document["predictor"], document["user"], document["created_at"], None, **times)


def _running(run_id: str, predictor: str, user: str, created_at: float, inputs: Json, **changes: Any) -> Run:
    status = changes.pop("status", Status.RUNNING)
    return Run(
        run_id, predictor, "realtime", user, status, inputs, created_at, attempt=1, started_at=created_at, **changes
    )
