"""Runs: list, look, inputs, result, files, logs, cancel, feedback, share."""

from __future__ import annotations

from io import BytesIO
from typing import Any, BinaryIO

from starlette.responses import Response

from matinee.api import predictions, responses
from matinee.api.requests import Call
from matinee.api.responses import (
    answer,
    blobs_of,
    csv_answer,
    download,
    feedback_json,
    live_run,
    run_json,
    schema_of,
    wants_csv,
    with_blobs,
)
from matinee.dataclass_json import to_json
from matinee.errors import ConflictError, InputError, NotFoundError, Problem
from matinee.ports import RunQuery
from matinee.runs import RATINGS, Run, Status
from matinee.values import validate

Json = Any
LONGEST_COMMENT = 10_000  # characters
FEEDBACK: dict[str, Json] = {
    "type": "object",
    "properties": {
        "rating": {
            "anyOf": [{"enum": [-1, 1, 2, 3, 4, 5], "type": "integer"}, {"type": "null"}],
            "description": "1 is good and -1 is bad; 1 to 5 on the scale of stars.",
        },
        "scale": {"type": "string", "enum": ["thumbs", "stars"], "default": "thumbs"},
        "comment": {"type": "string", "maxLength": LONGEST_COMMENT},
        "corrected": {"description": "The right result, in the shape of the predictor's own."},
    },
    "additionalProperties": False,
}


def list_runs(call: Call) -> Response:
    """A page of runs, newest first; `next` is the `before` of the page after."""
    asked = call.query
    statuses = frozenset({Status(asked["status"])}) if asked["status"] else frozenset()
    query = RunQuery(
        user=None if asked["everybody"] and call.person.is_owner else call.person.name,
        predictor=asked["predictor"] or None,
        statuses=statuses,
        before=asked["before"],
        limit=asked["limit"],
    )
    runs = call.client.runs(query)
    is_full = len(runs) == query.limit
    return answer(
        {"runs": [live_run(call.client, run) for run in runs], "next": runs[-1].id if runs and is_full else None}
    )


def show_run(call: Call) -> Response:
    """One run as it is now."""
    run = _run(call)
    return answer(live_run(call.client, run, place=True))


def show_inputs(call: Call) -> Response:
    """The inputs as they were checked."""
    run = call.client.run(call.path("run"))
    address = f"{call.base}/runs/{run.id}/inputs/files"
    schema = schema_of(call.client, run, "parameters")
    return answer(with_blobs(schema, call.client.inputs(run), call.query["blobs"], address, call.client.read_blob))


def show_result(call: Call) -> Response:
    """The result alone: JSON, or a table as CSV."""
    run = _finished(call)
    if run.status is Status.FAILED:
        return responses.failure_of(run)
    result = call.client.result(run)
    if wants_csv(call.request.headers.get("accept", "")):
        return csv_answer(result)
    address = f"{call.base}/runs/{run.id}/files"
    schema = schema_of(call.client, run, "result")
    return answer(with_blobs(schema, result, call.query["blobs"], address, call.client.read_blob))


def result_file(call: Call) -> Response:
    """One file of the result, as it was made."""
    run = _finished(call)
    return _file(call, schema_of(call.client, run, "result"), call.client.result(run))


def input_file(call: Call) -> Response:
    """One file of the inputs, as it was given."""
    run = call.client.run(call.path("run"))
    return _file(call, schema_of(call.client, run, "parameters"), call.client.inputs(run))


def _file(call: Call, schema: Json, value: Json) -> Response:
    text = call.path("number")
    number = int(text) if text.isdecimal() and len(text) < 7 else -1
    found = blobs_of(schema, value)
    if not 0 <= number < len(found):
        raise NotFoundError(f"There is no file {text} in this run.", hint="Files are counted from 0.")
    return download(_open(call, found[number]), found[number])


def _open(call: Call, blob: Json) -> BinaryIO:
    if "base64" in blob:
        return BytesIO(call.client.read_blob(blob))
    call.client.visibility.check_key(str(blob["key"]), call.path("run"))
    return call.client.backend.files.open(str(blob["key"]))


def show_logs(call: Call) -> Response:
    """What the run wrote."""
    return answer({"lines": [to_json(line) for line in call.client.logs(call.path("run"))]})


def cancel(call: Call) -> Response:
    """Cancel a queued run at once, ask a running one to stop."""
    run = _run(call)
    if run.kind == "realtime" and not run.status.is_final:
        raise ConflictError(
            "A realtime prediction cannot be cancelled.", hint="It ends by its time limit at the latest."
        )
    return answer(run_json(call.client.cancel(run.id)))


def give_feedback(call: Call) -> Response:
    """Say what is right or wrong; fields that are not named stay as this person said them before."""
    run = call.client.run(call.path("run"))
    statement = validate.check(FEEDBACK, call.json())
    if not isinstance(statement, dict):
        raise InputError("", "must be an object")
    if statement.get("corrected") is not None:
        schema = call.client.predictor(run.predictor).result
        found = validate.problems(schema, statement["corrected"])
        if found:
            raise InputError(problems=tuple(Problem(f"corrected.{p.path}".rstrip("."), p.message) for p in found))
    if statement.get("rating") is not None:
        statement["rating"] = int(statement["rating"])
        ratings = RATINGS[statement["scale"]]
        if statement["rating"] not in ratings:
            raise InputError("rating", f"is none of {', '.join(map(str, ratings))}")
    return answer(feedback_json(call.client.feedback(run.id, **statement)))


def list_feedback(call: Call) -> Response:
    """What was said of the run."""
    return answer({"feedback": [feedback_json(item) for item in call.client.feedback_of(call.path("run"))]})


def share(call: Call) -> Response:
    """Let everybody who may use the app see and rate the run."""
    call.client.share(call.path("run"))
    return answer({"shared": True})


def unshare(call: Call) -> Response:
    """Keep the run to oneself again."""
    call.client.unshare(call.path("run"))
    return answer({"shared": False})


def _run(call: Call) -> Run:
    return predictions.find_submitted(call.client, call.path("run"))


def _finished(call: Call) -> Run:
    run = _run(call)
    if not run.status.is_final:
        raise ConflictError(
            f"Run {run.id} is {run.status}: it has no result yet.", hint="Ask again when it is finished."
        )
    if run.status is Status.CANCELLED:
        raise ConflictError(f"Run {run.id} was cancelled: it has no result.", hint="Submit it again.")
    return run
