"""Runs, feedback, predictors and blobs as the API shows them. Times are epoch seconds."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

from matinee.client.core import Client
from matinee.dataclass_json import to_json
from matinee.manifest import PredictorManifest
from matinee.runs import Feedback, Progress, Run, Status

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


def blobs_of(value: Json) -> Iterator[dict[str, Json]]:
    """Yield the blobs of a value in the order in which it is written."""
    if isinstance(value, dict):
        if isinstance(value.get("$blob"), str):
            yield value
        else:
            for item in value.values():
                yield from blobs_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from blobs_of(item)


def with_blobs(value: Json, how: str, address: str, read: Callable[[Json], bytes]) -> Json:
    """Return the value with its blobs as the caller wants them.

    `how`: "auto" leaves small ones inline and gives the others a URL, "url" gives every one a URL, "inline" puts all
    bytes in as base64. A blob's URL is `address` and its number.
    """
    count = iter(range(1 << 62))
    return _shown(value, lambda blob: _blob(blob, how, f"{address}/{next(count)}", read))


def _shown(value: Json, blob: Callable[[dict[str, Json]], Json]) -> Json:
    if isinstance(value, dict):
        if isinstance(value.get("$blob"), str):
            return blob(value)
        return {name: _shown(item, blob) for name, item in value.items()}
    return [_shown(item, blob) for item in value] if isinstance(value, list) else value


def _blob(blob: dict[str, Json], how: str, url: str, read: Callable[[Json], bytes]) -> Json:
    told = {name: blob[name] for name in ("$blob", "name") if name in blob}
    if how == "inline":
        return {**told, "base64": blob["base64"] if "base64" in blob else b64encode(read(blob)).decode()}
    if how == "auto" and "base64" in blob:
        return blob
    size = blob["size_bytes"] if "size_bytes" in blob else len(read(blob))
    return {**{name: v for name, v in blob.items() if name != "base64"}, "size_bytes": size, "url": url}
