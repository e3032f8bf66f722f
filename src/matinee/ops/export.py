"""`matinee export`: history with inputs, results and feedback into one file. Only the app's data is opened."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from matinee.client.export import What, export
from matinee.errors import NotFoundError, UsageError
from matinee.ops.runs import reader
from matinee.project import load
from matinee.tables.write import Form, format_of

STDOUT = Path("-")


@dataclass(frozen=True)
class Exported:
    """What was written."""

    file: Path
    size_bytes: int


def export_to(
    app: Path,
    target: Path,
    what: What,
    *,
    form: Form | None = None,
    stage: str = "",
    report: Callable[[int], None] | None = None,
) -> Exported:
    """Write to `target`: a file (its ending says the format), a folder, or "-" for stdout; `report` gets bytes so far.

    The file is there whole or not at all. Raises UsageError, ProjectError, NotFoundError when nothing has run yet.
    """
    project = load(app)
    if what.predictor:
        _check_known(app, stage, what.predictor)
    kind = "feedback" if what.feedback_only else "runs"
    chosen = form or _form_of(target)
    file = target / f"{project.name}-{kind}.{chosen}" if target.is_dir() else target
    size = 0
    with reader(app, stage) as client:
        if client is None:
            raise NotFoundError("This app has no runs yet.", hint="Make one: matinee predict PREDICTOR key=value")
        with _whole(file) as stream:
            for piece in export(client, what, chosen):
                size += stream.write(piece)
                if report:
                    report(size)
    return Exported(file, size)


def _check_known(app: Path, stage: str, predictor: str) -> None:
    """A name that never ran is a slip of the finger, not an empty file."""
    from matinee.ports import RunQuery

    with reader(app, stage) as client:
        if client is None or client.runs(RunQuery(predictor=predictor, limit=1)):
            return
        client.predictor(predictor)


def _form_of(target: Path) -> Form:
    if target == STDOUT or target.is_dir():
        return "jsonl" if target == STDOUT else "csv"
    return format_of(target.name)


@contextmanager
def _whole(file: Path) -> Iterator[BinaryIO]:
    if file == STDOUT:
        yield sys.stdout.buffer
        return
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            yield stream
        partial.replace(file)
    except OSError as error:
        raise UsageError(
            f"Cannot write {file}: {error.strerror or error}.", hint="Name a file in a folder you may write to."
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
