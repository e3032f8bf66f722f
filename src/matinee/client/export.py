"""History with inputs, results and what people said, for the owner: one record a run and person who said something.

Streamed: a page of runs at a time, newest first; with `feedback_only` in the order things were said.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from matinee.client.core import Client
from matinee.errors import AccessError, NotFoundError
from matinee.ports import RunQuery
from matinee.runs import Feedback, Json, Run
from matinee.tables.columns import Column
from matinee.tables.write import Form, check_format, json_lines, write

PAGE = 500
Record = dict[str, Json]
COLUMNS = {  # name -> text | json | number | integer
    "run": "text",
    "predictor": "text",
    "version": "text",
    "kind": "text",
    "user": "text",
    "status": "text",
    "created_at": "text",
    "duration_s": "number",
    "inputs": "json",
    "result": "json",
    "failure": "text",
    "failure_message": "text",
    "feedback_user": "text",
    "rating": "integer",
    "scale": "text",  # thumbs: -1 or 1; stars: 1 to 5
    "score": "number",  # 0 (worst) to 1 (best) on any scale
    "comment": "text",
    "corrected": "json",
    "feedback_at": "text",
}


@dataclass(frozen=True)
class What:
    """What to export. `since` (epoch seconds) bounds when runs were made."""

    predictor: str = ""  # "" = all
    since: float = 0.0
    feedback_only: bool = False
    nested: bool = False  # also runs that other runs made by calling a predictor


def export(client: Client, what: What, form: Form) -> Iterator[bytes]:
    """Yield the file in pieces; AccessError unless the client is an owner's, UsageError for a format there is not."""
    if not client.owner:
        raise AccessError("Only the owner of the app may export everybody's runs.", hint="Sign in as an owner.")
    check_format(form)
    found = records(client, what)
    if form == "jsonl":
        return json_lines(found)
    columns = [Column(name, kind) for name, kind in COLUMNS.items()]
    return write(form, columns, (list(map(_cell, record.values(), COLUMNS.values())) for record in found))


def _cell(value: Json, kind: str) -> Json:
    """What is JSON is a text in its cell, also when it is a text itself."""
    return json.dumps(value, ensure_ascii=False) if kind == "json" and value is not None else value


def records(client: Client, what: What) -> Iterator[Record]:
    """Yield the records, by the names of `COLUMNS`."""
    pairs = _pairs_by_feedback(client, what) if what.feedback_only else _all(client, what)
    for run, feedback in pairs:
        yield _record(client, run, feedback)


def _all(client: Client, what: What) -> Iterator[tuple[Run, Feedback | None]]:
    """Runs, each with every feedback on it. Which have any is read first: most have none."""
    rated = {feedback.run_id for feedback in feedback_since(client, what.since)}
    before = ""
    while True:
        query = RunQuery(
            predictor=what.predictor or None,
            since=what.since or None,
            include_nested=what.nested,
            before=before,
            limit=PAGE,
        )
        page = client.runs(query)
        for run in page:
            for feedback in client.feedback_of(run.id) if run.id in rated else (None,):
                yield run, feedback
        if len(page) < PAGE:
            return
        before = page[-1].id


def _pairs_by_feedback(client: Client, what: What) -> Iterator[tuple[Run, Feedback | None]]:
    for feedback in feedback_since(client, what.since):
        try:
            run = client.run(feedback.run_id)
        except NotFoundError:
            continue
        if run.created_at >= what.since and what.predictor in ("", run.predictor):
            yield run, feedback


def feedback_since(client: Client, since: float) -> Iterator[Feedback]:
    """All that was said since: nobody can speak of a run before it was made."""
    last: Feedback | None = None
    while page := client.backend.store.feedback_since(since, after=last, limit=PAGE):
        yield from page
        last = page[-1]


def _record(client: Client, run: Run, feedback: Feedback | None) -> Record:
    failure = run.failure
    return {
        "run": run.id,
        "predictor": run.predictor,
        "version": run.version,
        "kind": run.kind,
        "user": run.user,
        "status": run.status.value,
        "created_at": _time(run.created_at),
        "duration_s": run.duration_s,
        "inputs": _there(client.inputs, run),
        "result": _there(client.result, run),
        "failure": failure.kind if failure else None,
        "failure_message": failure.message if failure else None,
        "feedback_user": feedback.user if feedback else None,
        "rating": feedback.rating if feedback else None,
        "scale": feedback.scale if feedback and feedback.rating is not None else None,
        "score": feedback.score if feedback else None,
        "comment": (feedback.comment or None) if feedback else None,
        "corrected": feedback.corrected if feedback else None,
        "feedback_at": _time(feedback.updated_at) if feedback else None,
    }


def _there(read: Callable[[Run], Json], run: Run) -> Json:
    """A file that is gone leaves its place empty; it must not end the export."""
    try:
        return read(run)
    except NotFoundError:
        return None


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
