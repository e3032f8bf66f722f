"""`matinee predict`: one realtime prediction through the real path, recorded as a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matinee.client.core import Client
from matinee.client.stage import open_app
from matinee.ops.results import save_run
from matinee.project import load
from matinee.runs import Run, Status

Json = Any
Report = Callable[[str, str], None]  # component ("" = the app), line
Inputs = Callable[[dict[str, Json]], Json]  # from the parameters' schema to the values


@dataclass(frozen=True)
class Answer:
    """A run with its result (None unless it succeeded) and the result's schema."""

    run: Run
    result: Json
    schema: dict[str, Json]


def predict(
    path: Path, name: str, inputs: Inputs, *, output: Path | None = None, stage: str = "", report: Report | None = None
) -> Answer:
    """Predict; a predictor that fails is an answer whose run has failed. `output` is where to save the result.

    Raises ProjectError, NotFoundError, InputError, UsageError for a batch predictor.
    """
    with open_app(load(path), stage, report=report) as client:
        predictor = client.predictor(name)
        return answer(client, client.predict(name, inputs(predictor.parameters)), output)


def answer(client: Client, run: Run, output: Path | None = None) -> Answer:
    """Return the run with its result, saved to `output` if given."""
    schema = client.predictor(run.predictor).result
    result = client.result(run) if run.status is Status.SUCCEEDED else None
    if output is not None and run.status is Status.SUCCEEDED:
        save_run(client, run, result, output)
    return Answer(run, result, schema)
