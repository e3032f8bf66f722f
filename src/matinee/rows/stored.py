"""A table that was uploaded for a run, and what has come of its rows: `{"$rows": {…}}` in a run's inputs and result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from matinee.rows import chunks
from matinee.rows.cells import MARK, Cells
from matinee.tables.columns import COMMA, Column

if TYPE_CHECKING:
    from matinee.rows.chunks import RowFiles

Json = Any


@dataclass(frozen=True)
class Upload:
    """What a run's table looks like; its rows are chunks of cells under `key`."""

    key: str
    columns: tuple[Column, ...]
    mapping: Mapping[str, str]  # parameter → column
    total: int
    name: str = ""  # of the file
    readings: Mapping[str, str] = field(default_factory=dict)  # column → how its texts are read, where not plainly

    @property
    def reference(self) -> Json:
        """What stands in the run's inputs."""
        return {MARK: {"key": self.key, "total": self.total, "name": self.name}}

    def cells(self, parameters: dict[str, Any]) -> Cells:
        """Return what makes inputs of its rows."""
        names = [column.name for column in self.columns]
        return Cells(parameters, names, self.mapping, self.readings)

    def put(self, files: RowFiles) -> None:
        """Write the description beside the rows."""
        files.put(f"{self.key}/table.json", json.dumps(asdict(self)).encode(), media_type="application/json")


class Outcome(NamedTuple):
    """One row with what came of it; `error` is "" when it succeeded."""

    number: int
    cells: list[Json]
    result: Json
    error: str


def reference(value: Json) -> dict[str, Json] | None:
    """Return what a run's inputs or result say of rows; None when it is no run of rows."""
    found = value.get(MARK) if isinstance(value, dict) and len(value) == 1 else None
    return found if isinstance(found, dict) and "key" in found else None


def load(files: RowFiles, key: str) -> Upload:
    """Return the table uploaded under `key`."""
    stored = json.loads(files.read(f"{key}/table.json"))
    columns = tuple(Column(**column) for column in stored["columns"])
    if stored.pop("decimal_comma", False):  # how it was stored before columns had readings
        stored["readings"] = {column.name: COMMA for column in columns}
    return Upload(**{**stored, "columns": columns})


def results_key(run_id: str) -> str:
    """Return under which key a run's results are, whatever its attempt."""
    return f"results/{run_id}/rows"


def outcomes(files: RowFiles, upload: Upload, run_id: str, unfinished: str) -> Iterator[Outcome]:
    """Yield every row of the upload with its outcome; rows not reached have the error `unfinished`."""
    given = chunks.rows(files.read, chunks.chain(files, upload.key))
    done = chunks.rows(files.read, chunks.chain(files, results_key(run_id)))
    for number, cells in enumerate(given, 1):
        result, error = next(done, (None, unfinished))
        yield Outcome(number, cells, result, error)
