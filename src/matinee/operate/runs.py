"""`matinee runs`: read what was run, and cancel. Only the app's data is opened: nothing is started."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from matinee.backends.local.files import FolderFiles
from matinee.client.connect import open_app
from matinee.client.core import Client
from matinee.client.export import What, export, feedback_since
from matinee.client.host import adopt_data, open_data, stage_data
from matinee.client.rows import RowsResult, summary_of_rows
from matinee.errors import ConflictError, DiskError, NotFoundError, UsageError
from matinee.manifest import to_json
from matinee.ports import LogLine, RunQuery
from matinee.project.load import load
from matinee.runs import Entry, Feedback, Run, Status
from matinee.tables.write import FORMATS, Form, columns_and_rows, format_of, write
from matinee.values import registry
from matinee.values.blobs import is_blob

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
    if not (project.data / "state.db").exists() and stage_data(project) is None:
        yield None
        return
    backend, settings = open_data(project)
    client = Client(backend, settings, owner=True)
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


# --- saving a result --------------------------------------------------------------------------------------------------
# Writes a result to a file: a blob as its bytes, a table as its ending says (else CSV), anything else as JSON.


def save_run(client: Client, run: Run, result: Json, file: Path) -> None:
    """Write a run's result to `file`; of a run of many rows, the table."""
    if summary_of_rows(run) is None:
        save(result, client.read_blob, file)
    else:
        RowsResult(client, run).save(file)


def save(result: Json, read_blob: Callable[[Json], bytes], file: Path) -> None:
    """Write the result to `file`. Raises UsageError when it cannot be written."""
    try:
        if is_blob(result):
            file.write_bytes(read_blob(result))
        elif not registry.fault("table", result) and file.suffix.lower() != ".json":
            ending = file.suffix.lower().removeprefix(".")
            with file.open("wb") as stream:
                stream.writelines(write(ending if ending in FORMATS else "csv", *columns_and_rows(result)))
        else:
            file.write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise UsageError(
            f"Cannot write {file}: {error.strerror or error}.", hint="Name a file in a folder you may write to."
        ) from error


# --- matinee export ---------------------------------------------------------------------------------------------------
# `matinee export`: history with inputs, results and feedback into one file. Only the app's data is opened.

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


# --- matinee export --everything --------------------------------------------------------------------------------------
# `matinee export FOLDER --everything`: all an app remembers as plain files, readable without Matinee.
#
#     app.json        which app, which stage, when; the live release with every schema
#     runs.jsonl      all runs with inputs, results and what people said; calls of other predictors too
#     feedback.jsonl  what people said, in the order in which they did
#     files/          big inputs, results and uploads, under the keys that runs.jsonl names
#
# Streamed: no more than a page of runs or a piece of a file is held. The folder is there whole or not at all.

Report = Callable[[str, int], None]  # what is being written, how many so far
PREFIXES = ("inputs/", "results/", "uploads/")  # of what belongs to runs; the rest is the deployment's own
_EVERY = 100  # files, between two reports


@dataclass(frozen=True)
class Everything:
    """What was written. `runs` counts records: a run of which two people spoke has two."""

    folder: Path
    runs: int
    feedback: int
    files: int
    size_bytes: int


def export_everything(app: Path, folder: Path, *, stage: str = "", report: Report | None = None) -> Everything:
    """Write all runs, feedback and files to a folder that is missing or empty.

    Raises UsageError when it holds something or cannot be written, NotFoundError when nothing has run yet.
    """
    project = load(app)
    with reader(app, stage) as client:
        if client is None:
            raise NotFoundError("This app has no runs yet.", hint="Make one: matinee predict PREDICTOR key=value")
        with _whole_runs(folder) as partial:
            on_progress = report or (lambda _what, _count: None)
            _write_app(client, partial, project.name, stage)
            runs = _write_lines(partial / "runs.jsonl", export(client, What(nested=True), "jsonl"), "runs", on_progress)
            lines = (
                json.dumps(asdict(item), ensure_ascii=False).encode() + b"\n" for item in feedback_since(client, 0.0)
            )
            feedback = _write_lines(partial / "feedback.jsonl", lines, "feedback", on_progress)
            files, size = _copy_files(client, FolderFiles(partial / "files"), on_progress)
    size += sum(path.stat().st_size for path in folder.glob("*.json*"))
    return Everything(folder, runs, feedback, files, size)


def _write_app(client: Client, folder: Path, app: str, stage: str) -> None:
    release = client.backend.store.release()
    described = {
        "app": app,
        "stage": stage or None,
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "release": to_json(release) if release else None,
    }
    (folder / "app.json").write_text(json.dumps(described, ensure_ascii=False, indent=1), "utf-8")


def _write_lines(file: Path, pieces: Iterable[bytes], what: str, report: Report) -> int:
    """Write the pieces, each of whole lines, and return how many lines there are."""
    count = 0
    with file.open("wb") as stream:
        for piece in pieces:
            stream.write(piece)
            before, count = count, count + piece.count(b"\n")
            if count // _EVERY > before // _EVERY:
                report(what, count)
    report(what, count)
    return count


def _copy_files(client: Client, copies: FolderFiles, report: Report) -> tuple[int, int]:
    """Copy all files; one that is removed meanwhile is left out."""
    count, size = 0, 0
    for prefix in PREFIXES:
        for key in client.backend.files.list(prefix):
            try:
                source = client.backend.files.open(key)
            except NotFoundError:
                continue
            with source:
                size += copies.put(key, source)
            count += 1
            if count % _EVERY == 0:
                report("files", count)
    report("files", count)
    return count, size


@contextmanager
def _whole_runs(folder: Path) -> Iterator[Path]:
    """Give a folder beside the wanted one, and put it in its place at the end."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} is not empty.", hint="Name a folder that is not there yet.")
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            folder.rmdir()
        partial.replace(folder)
    except DiskError as error:
        raise UsageError(f"Cannot write {folder}: {error.message}", hint=error.hint) from error
    except OSError as error:
        raise UsageError(
            f"Cannot write {folder}: {error.strerror or error}.", hint="Name a folder you may write to, with room."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
