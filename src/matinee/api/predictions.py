"""Predictors: what there is, predict, submit, submit many."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from matinee.api import problems
from matinee.api.answers import answer, csv_answer, wants_csv
from matinee.api.gate import Call, Gate, live
from matinee.api.later import Later, Prediction
from matinee.api.rates import Rates
from matinee.api.views import live_run, predictor_json, schema_of, with_blobs
from matinee.errors import InputError, Problem, RateError, UsageError
from matinee.runs import Run, Status
from matinee.values import validate

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
                return await self._gate.in_thread(_accepted_prediction, call, prediction)
        return await self._gate.in_thread(_predicted, call, prediction)

    def _start(self, call: Call) -> Prediction:
        inputs = _object(call.json())
        name = call.path("name")
        predictor = call.client.predictor(name)
        if predictor.kind != "realtime":
            raise UsageError(f"{name} is a batch predictor.", hint=f"Use /api/v1/predictors/{name}/submit.")
        limit = call.limits.predictions_per_minute
        key = idempotency_key(call.request)
        return self._later.start(call.client, name, inputs, key, lambda: self._rates.spend(call.person.name, limit))


def _predicted(call: Call, prediction: Prediction) -> Response:
    run = prediction.future.result()
    if run.status is not Status.SUCCEEDED:
        return problems.failure_of(run)
    result = call.client.result(run)
    headers = {"Matinee-Run": run.id}
    if wants_csv(call.request.headers.get("accept", "")):
        response = csv_answer(result)
        response.headers.update(headers)
        return response
    address = f"{call.base}/runs/{run.id}/files"
    schema = schema_of(call.client, run, "result")
    shown = with_blobs(schema, result, call.query["blobs"], address, call.client.read_blob)
    return answer({**live_run(call.client, run), "result": shown}, headers=headers)


def _accepted_prediction(call: Call, prediction: Prediction) -> Response:
    run = prediction.tell()
    return _predicted(call, prediction) if run.status.is_final else accepted(call, run)


def accepted(call: Call, run: Run) -> Response:
    """Return the answer for a run that goes on: where to look."""
    location = f"{call.base}/runs/{run.id}"
    return answer(live_run(call.client, run, place=True), 202, {"Location": location, "Matinee-Run": run.id})


def submit(call: Call) -> Response:
    """Queue one run."""
    key = idempotency_key(call.request)
    inputs = _object(call.json())
    run = call.client.submit(call.path("name"), inputs, idempotency_key=key)
    return accepted(call, run)


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
