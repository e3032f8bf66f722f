"""`matinee submit`: queue a batch run, and wait for it if asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matinee.client.host import running_dev
from matinee.client.stage import open_app
from matinee.ops.predict import Answer, Inputs, Report, answer
from matinee.project import load
from matinee.runs import Entry, Run

Watch = Callable[[Run, Entry | None], None]


@dataclass(frozen=True)
class SubmitOptions:
    """What `matinee submit` was asked for. The same `key` gives the same run; `output` is where to save the result."""

    path: Path
    predictor: str
    key: str = ""
    wait: bool = False
    output: Path | None = None
    stage: str = ""


@dataclass(frozen=True)
class Submitted:
    """A submitted run; finished when it was waited for. `is_served`: a running dev or a stage works on it."""

    answer: Answer
    is_served: bool


def submit(
    options: SubmitOptions, inputs: Inputs, *, watch: Watch | None = None, report: Report | None = None
) -> Submitted:
    """Submit and, with `wait`, wait; `watch` sees the run while waiting.

    Raises ProjectError, NotFoundError, InputError, UsageError for a realtime predictor.
    """
    project = load(options.path)
    is_served = bool(options.stage) or running_dev(project) is not None
    with open_app(project, options.stage, report=report) as client:
        predictor = client.predictor(options.predictor)
        run = client.submit(predictor.name, inputs(predictor.parameters), idempotency_key=options.key)
        if options.wait:
            run = client.wait(run.id, watch=watch)
        return Submitted(answer(client, run, options.output), is_served)
