"""The table of a run of many rows as a script meets it: iterate, save, or read as a DataFrame."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from matinee.client import rows
from matinee.errors import UsageError
from matinee.rows.check import RowsCheck
from matinee.runs import Json, Run
from matinee.tables.read import Source
from matinee.tables.write import format_of

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
        self._summary = rows.summary(run) or {}

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
