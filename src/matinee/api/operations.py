"""Every address of the API in one table: what routes it, checks its query and describes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.responses import Response

from matinee.api import predictions, runs
from matinee.api.requests import Call
from matinee.runs import Status

Json = Any
Work = Callable[[Call], Response] | Callable[[Call], Awaitable[Response]]

_BLOBS = {
    "blobs": {
        "type": "string",
        "enum": ["auto", "url", "inline"],
        "default": "auto",
        "description": "Files in the answer: small ones inline and others by URL, all by URL, or all inline.",
    }
}
_LISTING: dict[str, Json] = {
    "before": {
        "type": "string",
        "maxLength": 26,
        "default": "",
        "description": "The id of the last run of the page before.",
    },
    "limit": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
    "predictor": {"type": "string", "maxLength": 200, "default": ""},
    "status": {"type": "string", "enum": ["", *(str(status) for status in Status)], "default": ""},
    "everybody": {"type": "boolean", "default": False, "description": "Everybody's runs: the owner's to ask."},
}
_NAME = {
    "name": {"type": "string", "maxLength": 1000, "default": "", "description": "The file's name, as in digit.png."}
}


@dataclass(frozen=True)
class Operation:
    """One method of one address. `per` says for which predictors the document has a path of its own.

    `answers` are names of schemas by status; `errors` the statuses beside those every operation may have.
    """

    id: str
    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    summary: str
    work: Work
    answers: dict[int, str]
    body: Literal["", "json", "file"] = ""
    body_schema: Json = None
    query: dict[str, Json] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    per: Literal["", "realtime", "batch"] = ""
    has_key: bool = False  # takes an Idempotency-Key
    has_csv: bool = False


def operations(predict: Work, upload: Work) -> tuple[Operation, ...]:
    """Return the table; `predict` and `upload` are made by the caller because they hold state."""
    many = predictions.MANY
    return (
        Operation(
            "listPredictors", "GET", "/predictors", "List the predictors with their schemas",
            predictions.list_predictors, {200: "Predictors"},
        ),
        Operation(
            "showPredictor", "GET", "/predictors/{name}", "Show one predictor",
            predictions.show_predictor, {200: "Predictor"}, errors=(404,),
        ),
        Operation(
            "predict", "POST", "/predictors/{name}/predict", "Predict",
            predict, {200: "Prediction", 202: "Run"}, "json", query=_BLOBS,
            errors=(400, 404, 406, 413, 415, 429, 500, 503), per="realtime", has_key=True, has_csv=True,
        ),
        Operation(
            "submit", "POST", "/predictors/{name}/submit", "Submit a run",
            predictions.submit, {202: "Run"}, "json",
            errors=(400, 404, 413, 415, 429, 503), per="batch", has_key=True,
        ),
        Operation(
            "submitMany", "POST", "/predictors/{name}/submit-many", "Submit many runs, all or none",
            predictions.submit_many, {202: "Runs"}, "json", many,
            errors=(400, 404, 413, 415, 429, 503), per="batch", has_key=True,
        ),
        Operation("upload", "POST", "/uploads", "Upload a file", upload, {201: "StoredFile"}, "file", query=_NAME,
                  errors=(400, 413)),
        *_history(),
    )  # fmt: skip


def _history() -> tuple[Operation, ...]:
    run, files = "/runs/{run}", "/files/{number}"
    return (
        Operation("listRuns", "GET", "/runs", "List runs, newest first", runs.list_runs, {200: "RunPage"},
                  query=_LISTING),
        Operation("showRun", "GET", run, "Show a run", runs.show_run, {200: "Run"}, errors=(404,)),
        Operation("showInputs", "GET", f"{run}/inputs", "Show the inputs", runs.show_inputs, {200: "Anything"},
                  query=_BLOBS, errors=(404,)),
        Operation("showResult", "GET", f"{run}/result", "Show the result", runs.show_result, {200: "Anything"},
                  query=_BLOBS, errors=(404, 406, 409, 500), has_csv=True),
        Operation("resultFile", "GET", f"{run}{files}", "Download a file of the result", runs.result_file,
                  {200: "Bytes"}, errors=(404, 409)),
        Operation("inputFile", "GET", f"{run}/inputs{files}", "Download a file of the inputs", runs.input_file,
                  {200: "Bytes"}, errors=(404,)),
        Operation("showLogs", "GET", f"{run}/logs", "Show what the run wrote", runs.show_logs, {200: "Logs"},
                  errors=(404,)),
        Operation("cancel", "POST", f"{run}/cancel", "Cancel a run", runs.cancel, {200: "Run"},
                  errors=(403, 404, 409)),
        Operation("listFeedback", "GET", f"{run}/feedback", "Show the feedback", runs.list_feedback,
                  {200: "FeedbackList"}, errors=(404,)),
        Operation("giveFeedback", "PUT", f"{run}/feedback", "Rate, comment, correct", runs.give_feedback,
                  {200: "Feedback"}, "json", runs.FEEDBACK, errors=(400, 404, 413, 415)),
        Operation("share", "PUT", f"{run}/share", "Share a run", runs.share, {200: "Shared"}, errors=(403, 404)),
        Operation("unshare", "DELETE", f"{run}/share", "Share a run no more", runs.unshare, {200: "Shared"},
                  errors=(403, 404)),
    )  # fmt: skip
