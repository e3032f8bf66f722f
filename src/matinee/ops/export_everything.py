"""`matinee export FOLDER --everything`: all an app remembers as plain files, readable without Matinee.

    app.json        which app, which stage, when; the live release with every schema
    runs.jsonl      all runs with inputs, results and what people said; calls of other predictors too
    feedback.jsonl  what people said, in the order in which they did
    files/          big inputs, results and uploads, under the keys that runs.jsonl names

Streamed: no more than a page of runs or a piece of a file is held. The folder is there whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from matinee.backends.local.files import FolderFiles
from matinee.client.core import Client
from matinee.client.export import What, export, said_since
from matinee.errors import DiskError, NotFoundError, UsageError
from matinee.manifest import to_json
from matinee.ops.runs import reader
from matinee.project import load

Json = Any
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
        with _whole(folder) as partial:
            told = report or (lambda _what, _count: None)
            _write_app(client, partial, project.name, stage)
            runs = _write_lines(partial / "runs.jsonl", export(client, What(nested=True), "jsonl"), "runs", told)
            said = (json.dumps(asdict(item), ensure_ascii=False).encode() + b"\n" for item in said_since(client, 0.0))
            feedback = _write_lines(partial / "feedback.jsonl", said, "feedback", told)
            files, size = _copy_files(client, FolderFiles(partial / "files"), told)
    size += sum(path.stat().st_size for path in folder.glob("*.json*"))
    return Everything(folder, runs, feedback, files, size)


def _write_app(client: Client, folder: Path, app: str, stage: str) -> None:
    release = client.backend.store.release()
    told = {
        "app": app,
        "stage": stage or None,
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "release": to_json(release) if release else None,
    }
    (folder / "app.json").write_text(json.dumps(told, ensure_ascii=False, indent=1), "utf-8")


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


def _copy_files(client: Client, kept: FolderFiles, report: Report) -> tuple[int, int]:
    """Copy all files; one that is removed meanwhile is left out."""
    count, size = 0, 0
    for prefix in PREFIXES:
        for key in client.backend.files.list(prefix):
            try:
                source = client.backend.files.open(key)
            except NotFoundError:
                continue
            with source:
                size += kept.put(key, source)
            count += 1
            if count % _EVERY == 0:
                report("files", count)
    report("files", count)
    return count, size


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
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
