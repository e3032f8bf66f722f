"""`matinee runs`: read what was run, and cancel. Only the app's data is opened: nothing is started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matinee.backends.factory import open_backend
from matinee.client.core import Client
from matinee.client.host import adopt_data
from matinee.client.stage import open_app
from matinee.errors import ConflictError, NotFoundError
from matinee.ops.results import save_run
from matinee.ports import LogLine, RunQuery
from matinee.project import load
from matinee.runs import Entry, Feedback, Run, Status
from matinee.settings import Settings

Json = Any
NEWEST = "last"  # what people say for the id of the newest run


@dataclass(frozen=True)
class RunView:
    """A run with all that is known of it. `entry` has the live progress of an unfinished one."""

    run: Run
    inputs: Json
    entry: Entry | None
    queue_position: int | None
    why_waiting: str
    feedback: tuple[Feedback, ...]


def list_runs(path: Path, query: RunQuery, *, stage: str = "") -> tuple[Run, ...]:
    """Return a page of the app's runs, newest first, of all its users unless the query names one."""
    with reader(path, stage) as client:
        return tuple(client.runs(query)) if client else ()


def show(path: Path, run_id: str, *, stage: str = "") -> RunView:
    """Return one run; NotFoundError if there is none."""
    with reader(path, stage) as client:
        client, run = found(client, run_id)
        queued = run.status is Status.QUEUED
        return RunView(
            run,
            client.inputs(run),
            client.entry(run),
            client.queue_position(run) if queued else None,
            client.why_waiting(run) if queued else "",
            tuple(client.feedback_of(run.id)),
        )


def result(path: Path, run_id: str, output: Path | None = None, *, stage: str = "") -> tuple[Run, Json]:
    """Return a run and its result, saved to `output` if given; ConflictError if it has not finished."""
    with reader(path, stage) as client:
        client, run = found(client, run_id)
        if not run.status.is_final:
            raise ConflictError(
                f"Run {run.id} is {run.status}: it has no result yet.", hint=f"Follow it: matinee runs show {run.id}"
            )
        value = client.result(run)
        if output is not None and run.status is Status.SUCCEEDED:
            save_run(client, run, value, output)
        return run, value


def logs(path: Path, run_id: str, *, stage: str = "") -> tuple[LogLine, ...]:
    """Return what the run wrote; NotFoundError if there is no such run."""
    with reader(path, stage) as client:
        client, run = found(client, run_id)
        return tuple(client.logs(run.id))


def cancel(path: Path, run_id: str, *, stage: str = "") -> Run:
    """Cancel a queued run, ask a running one to stop; ConflictError if it has finished."""
    with reader(path, stage) as client:
        client, run = found(client, run_id)
        return client.cancel(run.id)


@contextmanager
def reader(path: Path, stage: str = "") -> Iterator[Client | None]:
    """Give a client on a stage's data or the app's own, None while there is none: looking makes nothing."""
    project = load(path)
    if stage:
        with open_app(project, stage) as client:
            yield client
        return
    adopt_data(project)
    if not (project.data / "state.db").exists():
        yield None
        return
    settings = Settings.of_folder(project.name, project.data)
    client = Client(open_backend(settings), settings, owner=True)
    try:
        yield client
    finally:
        client.close()


def found(client: Client | None, run_id: str) -> tuple[Client, Run]:
    """Return the run of that id, or the newest for `last`; NotFoundError if there is none."""
    if client is not None and run_id != NEWEST:
        return client, client.run(run_id)
    newest = client.runs(RunQuery(limit=1)) if client is not None else []
    if client is None or not newest:
        raise NotFoundError("This app has no runs yet.", hint="Make one: matinee predict PREDICTOR key=value")
    return client, newest[0]
