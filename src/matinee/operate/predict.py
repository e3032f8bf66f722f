"""`matinee predict`: one realtime prediction through the real path, recorded as a run."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matinee.backends.local.dev_record import running_dev
from matinee.client.connect import open_app
from matinee.client.core import Client
from matinee.errors import InputError, Problem
from matinee.operate.runs import save_run
from matinee.project.load import load
from matinee.rows.inputs import RowsCheck
from matinee.runs import Entry, Run, Status
from matinee.tables.read import Source

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


# --- matinee submit ---------------------------------------------------------------------------------------------------
# `matinee submit`: queue a batch run, and wait for it if asked.

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
    is_served = bool(options.stage) or running_dev(project.data) is not None
    with open_app(project, options.stage, report=report) as client:
        predictor = client.predictor(options.predictor)
        run = client.submit(predictor.name, inputs(predictor.parameters), idempotency_key=options.key)
        if options.wait:
            run = client.wait(run.id, watch=watch)
        return Submitted(answer(client, run, options.output), is_served)


# --- matinee submit --rows --------------------------------------------------------------------------------------------
# `matinee submit --rows`: every row of a table as one batch run of a realtime predictor.

SHOWN_PROBLEMS = 5


@dataclass(frozen=True)
class RowsOptions:
    """What was asked for. `file` "-" is stdin; `columns` is parameter → column; `skip_invalid` starts what fits."""

    path: Path
    predictor: str
    file: str
    columns: Mapping[str, str] = field(default_factory=dict)
    skip_invalid: bool = False
    readings: Mapping[str, str] = field(default_factory=dict)  # column → reading
    sheet: str = ""
    key: str = ""
    wait: bool = False
    output: Path | None = None
    stage: str = ""


def submit_rows(
    options: RowsOptions,
    *,
    watch: Watch | None = None,
    report: Report | None = None,
    checked: Callable[[RowsCheck], None] = lambda _: None,
) -> Submitted:
    """Check every row, submit and, with `wait`, wait; `checked` is told what was found before anything starts.

    Raises InputError when rows do not fit (unless they are to be skipped) or when the file is no table.
    """
    project = load(options.path)
    is_served = bool(options.stage) or running_dev(project.data) is not None
    with open_app(project, options.stage, report=report) as client, _source(options.file) as source:
        check = _check(client, options, source)
        checked(check)
        run = client.submit_rows(
            options.predictor, source, check, file_name=_name(options), idempotency_key=options.key
        )
        if options.wait:
            run = client.wait(run.id, watch=watch)
        return Submitted(answer(client, run, options.output), is_served)


def _check(client: Client, options: RowsOptions, source: Source) -> RowsCheck:
    check = client.check_rows(
        options.predictor, source, options.columns, readings=options.readings, sheet=options.sheet
    )
    if check.questions:
        answer = f"{check.questions[0].column}={check.questions[0].choices[0].reading}"
        raise InputError("", check.why_not, hint=f"Say which it is: --reading {answer}")
    if not check.can_start:
        raise InputError("", check.why_not, hint="Choose columns with --column parameter=column.")
    if check.invalid and not options.skip_invalid:
        first = tuple(Problem("", str(problem)) for problem in check.problems[:SHOWN_PROBLEMS])
        more = f"{check.invalid:,} of {check.total:,} rows do not fit."
        raise InputError(problems=first, hint=f"{more} Mend them, or predict the others with --skip-invalid.")
    return check


def _name(options: RowsOptions) -> str:
    return "" if options.file == "-" else Path(options.file).name


@contextmanager
def _source(file: str) -> Iterator[Source]:
    """Give the file; stdin is kept on disk, as it is read twice."""
    if file != "-":
        yield file
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        yield copy
