"""Tries what is about to be live: each realtime predictor's first example, on its new version by number."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from matinee.errors import BackendError, MatineeError
from matinee.lambda_api.outcome import failure_of
from matinee.manifest import PredictorManifest
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Note, Report, Tried
from matinee.ops.deploy.tools import Tools
from matinee.values import validate

Json = Any
USER = "deploy"  # whose calls these are


def try_versions(
    cloud: Cloud,
    tools: Tools,
    predictors: Mapping[str, PredictorManifest],
    versions: Mapping[str, str],
    report: Report,
) -> None:
    """Call each predictor's version with its first example. Raises BackendError for the first that fails."""
    for name, version in versions.items():
        predictor = predictors[name]
        if not predictor.examples:
            report(Note(f"{name} has no example, so its new version was not tried.", "Add examples=[{…}] to it."))
            continue
        _try(cloud, tools, predictor, version, report)


def _try(cloud: Cloud, tools: Tools, predictor: PredictorManifest, version: str, report: Report) -> None:
    began = time.monotonic()
    try:
        problem, hint = _problem(cloud, tools, predictor, version)
    except MatineeError as error:
        problem, hint = error.message, error.hint
    report(Tried(predictor.name, version, time.monotonic() - began, problem))
    if problem:
        raise BackendError(
            f"{predictor.name} fails its first example on AWS: {problem}",
            hint=f"{hint} What was live before goes on. `matinee test {predictor.name}` runs the example here.".strip(),
        )


def _problem(cloud: Cloud, tools: Tools, predictor: PredictorManifest, version: str) -> tuple[str, str]:
    inputs = json.dumps(predictor.examples[0], separators=(",", ":")).encode()
    answer = tools.invoker_at(cloud, version).invoke(predictor.name, inputs, context={"user": USER})
    if answer.error_type:
        failure = failure_of(answer, predictor)
        return failure.message, failure.hint
    result: Json = json.loads(answer.payload)
    if isinstance(result, dict) and "$payload" in result:
        return "", ""  # too large to travel in the answer: it was stored, so it came about
    wrong = validate.problems(predictor.result, result)
    return (f"The result does not fit its type: {wrong[0]}", "Mend its return annotation.") if wrong else ("", "")
