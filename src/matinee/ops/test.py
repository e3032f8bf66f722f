"""`matinee test`: every predictor's declared examples through the real path, results checked against the schema."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matinee.client.core import Client
from matinee.client.host import open_client
from matinee.errors import MatineeError
from matinee.manifest import PredictorManifest, Trouble
from matinee.ops.predict import Report
from matinee.project import load
from matinee.runs import Run, Status
from matinee.values import validate

Json = Any
USER = "test"  # whose runs these are: they stay out of everybody's own history
START_S = 60.0  # beyond the predictor's own timeouts: for a worker to start


@dataclass(frozen=True)
class Tried:
    """One example. `number` counts from 1 within its predictor; `problem` is "" when it passed."""

    predictor: str
    number: int
    inputs: Json
    problem: str = ""
    hint: str = ""
    run_id: str = ""
    duration_s: float | None = None

    @property
    def ok(self) -> bool:
        """Whether it passed."""
        return not self.problem


@dataclass(frozen=True)
class Tested:
    """All examples, the predictors without any, and by component why it does not load."""

    tried: tuple[Tried, ...]
    without_examples: tuple[str, ...]
    troubles: dict[str, Trouble]

    @property
    def ok(self) -> bool:
        """Whether every example passed and every component loads."""
        return not self.troubles and all(item.ok for item in self.tried)


def test(
    path: Path, *, only: str = "", on_tried: Callable[[Tried], None] | None = None, report: Report | None = None
) -> Tested:
    """Run the examples of all predictors, or of `only` one; `on_tried` hears of each as it ends.

    Raises ProjectError, NotFoundError for an unknown predictor.
    """
    with open_client(load(path), user=USER, report=report) as client:
        return try_all(client, only, on_tried)


def try_all(client: Client, only: str = "", on_tried: Callable[[Tried], None] | None = None) -> Tested:
    """Run the examples of what is live. Raises NotFoundError for an unknown predictor."""
    release = client.release()
    predictors = (client.predictor(only),) if only else release.predictors
    heard = on_tried or (lambda _: None)
    tried = []
    for predictor in predictors:
        for number, inputs in enumerate(predictor.examples, 1):
            tried.append(_try(client, predictor, number, inputs))
            heard(tried[-1])
    troubles = {} if only else {c.name: c.trouble for c in release.components if c.trouble}
    return Tested(tuple(tried), tuple(p.name for p in predictors if not p.examples), troubles)


def _try(client: Client, predictor: PredictorManifest, number: int, inputs: Json) -> Tried:
    try:
        run = _run(client, predictor, inputs)
        problem, hint = _problem(client, predictor, run)
    except MatineeError as error:
        return Tried(predictor.name, number, inputs, error.message, error.hint)
    return Tried(predictor.name, number, inputs, problem, hint, run.id, run.duration_s)


def _run(client: Client, predictor: PredictorManifest, inputs: Json) -> Run:
    if predictor.kind == "realtime":
        return client.predict(predictor.name, inputs)
    resources = predictor.resources
    longest_s = (resources.timeout_s + START_S) * (resources.retries + 1)
    run = client.submit(predictor.name, inputs, idempotency_key=f"test-{time.time_ns()}")
    return client.wait(run.id, timeout_s=longest_s)


def _problem(client: Client, predictor: PredictorManifest, run: Run) -> tuple[str, str]:
    if run.failure is not None and run.status is Status.FAILED:
        return run.failure.message, run.failure.hint
    if run.status is not Status.SUCCEEDED:
        return f"The run is {run.status}. {client.why_waiting(run)}".strip(), f"matinee runs show {run.id}"
    wrong = validate.problems(predictor.result, client.result(run))
    if wrong:
        return f"The result does not fit its type: {wrong[0]}", "Mend the function or its return annotation."
    return "", ""
