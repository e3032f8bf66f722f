"""`matinee submit --rows`: every row of a table as one batch run of a realtime predictor."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from matinee.client.core import Client
from matinee.client.host import running_dev
from matinee.client.stage import open_app
from matinee.errors import InputError, Problem
from matinee.ops.predict import Report, answer
from matinee.ops.submit import Submitted, Watch
from matinee.project import load
from matinee.rows.check import RowsCheck
from matinee.tables.read import Source

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
    is_served = bool(options.stage) or running_dev(project) is not None
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
    with tempfile.TemporaryFile() as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        yield kept
