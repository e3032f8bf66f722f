"""Runs, feedback, predictors and blobs as the API shows them. Times are epoch seconds."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from itertools import count
from typing import Any, Literal

from matinee.client.core import Client
from matinee.dataclass_json import to_json
from matinee.manifest import PredictorManifest
from matinee.runs import Feedback, Progress, Run, Status
from matinee.values.blobs import is_blob
from matinee.values.validate import Schema, problems, replace_marked

Json = Any


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


# --- blobs ------------------------------------------------------------------------------------------------------------


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
