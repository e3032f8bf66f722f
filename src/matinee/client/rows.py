"""Many rows at once: check a table, keep it for a run, and give the table back with the results.

Everything is streamed: neither the table nor its results are ever in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from matinee.errors import ConflictError, InputError, UsageError
from matinee.rows import chunks, stored
from matinee.rows.check import RowsCheck, counted
from matinee.rows.check import check as check_table
from matinee.rows.export import Layout, export
from matinee.rows.stored import Upload
from matinee.runs import Json, Run, Status
from matinee.tables.read import Source, file_name, open_table

if TYPE_CHECKING:
    from matinee.manifest import PredictorManifest
    from matinee.ports import Files

_NOT_REACHED = {
    Status.QUEUED: "not predicted yet",
    Status.RUNNING: "not predicted yet",
    Status.CANCELLED: "not predicted: the run was cancelled",
    Status.FAILED: "not predicted: the run failed before",
}


def check(
    predictor: PredictorManifest,
    source: Source,
    mapping: Mapping[str, str | None] | None,
    *,
    limit: int,
    readings: Mapping[str, str] | None = None,
    sheet: str = "",
) -> RowsCheck:
    """Look at every row; see `matinee.rows.check.check`."""
    return check_table(source, predictor.parameters, mapping, limit=limit, readings=readings, sheet=sheet)


@contextmanager
def kept(files: Files, key: str, source: Source, checked: RowsCheck, *, name: str, limit: int) -> Iterator[Upload]:
    """Put the table under `key` for the block, and for good when the block succeeds.

    Raises InputError when nothing of it can start, ConflictError when it is not the table that was checked.
    """
    if not checked.can_start:
        raise InputError("", checked.why_not)
    try:
        yield _put(files, key, source, checked, name, limit)
    except BaseException:
        discard(files, key)
        raise


def _put(files: Files, key: str, source: Source, checked: RowsCheck, name: str, limit: int) -> Upload:
    writer = chunks.Writer(files, key)
    with open_table(source, checked.sheet) as table:
        for row in counted(table, limit):
            writer.add(row)
            if writer.is_full:
                writer.flush()
        writer.flush()
        total = writer.next - 1
        if (table.columns, total) != (checked.columns, checked.total):
            raise ConflictError("The table has changed since it was checked.", hint="Check it again.")
    upload = Upload(key, checked.columns, checked.mapping, total, name or file_name(source), checked.readings)
    upload.put(files)
    return upload


def is_equal(files: Files, one: Json, other: Json) -> bool:
    """Whether the inputs of two runs of many rows are the same table, read in the same way."""
    uploads = [stored.load(files, str(item["key"])) for item in map(stored.reference, (one, other)) if item]
    if len(uploads) < 2:
        return False
    first, second = (replace(upload, key="", name="") for upload in uploads)
    rows = [chunks.rows(files.read, chunks.chain(files, upload.key)) for upload in uploads]
    return first == second and all(a == b for a, b in zip_longest(*rows))


def discard(files: Files, key: str) -> None:
    """Delete a table that no run needs."""
    files.delete(list(files.list(f"{key}/")))


def summary(run: Run) -> dict[str, Json] | None:
    """Return `{"key", "total", "name"}` of a run of many rows, with `failed` once it is done; None for other runs."""
    given = stored.reference(run.inputs)
    return None if given is None else {**given, **{k: v for k, v in _done(run).items() if k == "failed"}}


def _done(run: Run) -> dict[str, Json]:
    return stored.reference(run.result) or {}


def result(
    files: Files, run: Run, predictor: PredictorManifest | None, form: str, separator: str = ","
) -> Iterator[bytes]:
    """Return the table with results as a file in pieces; of an unfinished run, what there is so far.

    Raises UsageError for a run that is not of many rows, or a format there is not.
    """
    given = stored.reference(run.inputs)
    if given is None or run.kind != "batch":
        raise UsageError(f"Run {run.id} is not one of many rows.", hint="Its result is in `result`.")
    upload = stored.load(files, str(given["key"]))
    unfinished = _NOT_REACHED.get(run.status, "not predicted")
    rows = stored.outcomes(files, upload, run.id, unfinished)
    return export(Layout(upload.columns, predictor.result if predictor else {}), rows, form, separator)
