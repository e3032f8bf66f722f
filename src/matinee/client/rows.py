"""Many rows at once: check a table, keep it for a run, and give the table back with the results.

Everything is streamed: neither the table nor its results are ever in memory as a whole.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from matinee.errors import ConflictError, InputError, UsageError
from matinee.rows import storage
from matinee.rows.inputs import RowsCheck, limit_rows
from matinee.rows.inputs import check as check_table
from matinee.rows.storage import Layout, Upload, export
from matinee.runs import Json, Run, Status
from matinee.tables.read import Source, file_name
from matinee.tables.uploads import open_upload
from matinee.tables.write import format_of

if TYPE_CHECKING:
    from matinee.manifest import PredictorManifest
    from matinee.ports import Files
_WHY_NO_RESULT = {
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
    """Look at every row; see `matinee.rows.inputs.check`."""
    return check_table(source, predictor.parameters, mapping, limit=limit, readings=readings, sheet=sheet)


@contextmanager
def store_table(
    files: Files, key: str, source: Source, checked: RowsCheck, *, name: str, limit: int
) -> Iterator[Upload]:
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
    writer = storage.Writer(files, key)
    with open_upload(source, checked.sheet) as table:
        for row in limit_rows(table, limit):
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
    uploads = [
        storage.load_upload(files, str(item["key"])) for item in map(storage.rows_reference, (one, other)) if item
    ]
    if len(uploads) < 2:
        return False
    first, second = (replace(upload, key="", name="") for upload in uploads)
    rows = [storage.read_rows(files.read, storage.chain_chunks(files, upload.key)) for upload in uploads]
    return first == second and all(a == b for a, b in zip_longest(*rows))


def discard(files: Files, key: str) -> None:
    """Delete a table that no run needs."""
    files.delete(list(files.list(f"{key}/")))


def summary_of_rows(run: Run) -> dict[str, Json] | None:
    """Return `{"key", "total", "name"}` of a run of many rows, with `failed` once it is done; None for other runs."""
    reference = storage.rows_reference(run.inputs)
    return None if reference is None else {**reference, **{k: v for k, v in _done(run).items() if k == "failed"}}


def _done(run: Run) -> dict[str, Json]:
    return storage.rows_reference(run.result) or {}


def result(
    files: Files, run: Run, predictor: PredictorManifest | None, form: str, separator: str = ","
) -> Iterator[bytes]:
    """Return the table with results as a file in pieces; of an unfinished run, what there is so far.

    Raises UsageError for a run that is not of many rows, or a format there is not.
    """
    reference = storage.rows_reference(run.inputs)
    if reference is None or run.kind != "batch":
        raise UsageError(f"Run {run.id} is not one of many rows.", hint="Its result is in `result`.")
    upload = storage.load_upload(files, str(reference["key"]))
    unfinished = _WHY_NO_RESULT.get(run.status, "not predicted")
    rows = storage.read_outcomes(files, upload, run.id, unfinished)
    return export(Layout(upload.columns, predictor.result if predictor else {}), rows, form, separator)


# --- the result as a table --------------------------------------------------------------------------------------------
# The table of a run of many rows as a script meets it: iterate, save, or read as a DataFrame.

Columns = Mapping[str, str | None]  # parameter → column


class RowVerbs(Protocol):
    """What a client that can do many rows does; `core.Client` says what and what is raised."""

    def check_rows(
        self,
        name: str,
        source: Source,
        mapping: Columns | None = None,
        *,
        readings: Mapping[str, str] | None = None,
        sheet: str = "",
    ) -> RowsCheck: ...
    def submit_rows(
        self, name: str, source: Source, checked: RowsCheck, *, file_name: str = "", idempotency_key: str = ""
    ) -> Run: ...
    def rows_result(self, run: Run, form: str = "csv", separator: str = ",") -> Iterator[bytes]: ...


def row_verbs(client: object) -> RowVerbs:
    """Return the client as one that can do many rows; UsageError if it cannot."""
    if not hasattr(client, "submit_rows"):
        raise UsageError(
            "Many rows cannot be sent through this connection.", hint="Upload the table on the app's page."
        )
    return cast("RowVerbs", client)


class RowsResult:
    """`for row in result` gives `{"row", "inputs", "result", "error"}`; `len`, `failed`, `save`, `to_pandas`."""

    def __init__(self, client: RowVerbs, run: Run) -> None:
        self._client = client
        self._run = run
        self._summary = summary_of_rows(run) or {}

    def __repr__(self) -> str:
        return f"RowsResult({len(self):,} rows, {self.failed:,} failed)"

    def __len__(self) -> int:
        return int(self._summary.get("total", 0))

    @property
    def failed(self) -> int:
        """How many rows have an error instead of a result."""
        return int(self._summary.get("failed", 0))

    def __iter__(self) -> Iterator[dict[str, Json]]:
        for piece in self._client.rows_result(self._run, "jsonl"):
            yield from map(json.loads, piece.splitlines())

    def save(self, path: str | Path) -> Path:
        """Write the table as CSV, Excel, Parquet or JSON Lines, as the name ends, and return its path."""
        target = Path(path).expanduser()
        form = format_of(target.name)
        try:
            with target.open("wb") as stream:
                stream.writelines(self._client.rows_result(self._run, form))
        except OSError as error:
            raise UsageError(
                f"Cannot write {target}: {error.strerror or error}.", hint="Name a file in a folder you may write to."
            ) from error
        return target

    def to_pandas(self) -> Any:
        """Return the table as a pandas DataFrame (needs pandas and pyarrow)."""
        import pandas

        return pandas.read_parquet(io.BytesIO(b"".join(self._client.rows_result(self._run, "parquet"))))
