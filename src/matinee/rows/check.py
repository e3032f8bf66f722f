"""Look at every row before anything is started: which do not fit, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from matinee.errors import InputError, Problem
from matinee.rows import mapping as columns_of
from matinee.rows.cells import Cells, wanted
from matinee.tables.columns import Column, Json, Question, Table, decide, refused
from matinee.tables.read import Source, check_readings, open_table
from matinee.values import validate

Schema = dict[str, Any]

KEPT_PROBLEMS = 100
PREVIEW_ROWS = 5


@dataclass(frozen=True)
class RowProblem:
    """What is wrong with one row; `row` counts from 1 below the header, `column` is "" for the row as a whole."""

    row: int
    column: str
    message: str

    def __str__(self) -> str:
        where = f"{self.column} " if self.column else ""
        return f"row {self.row:,}: {where}{self.message}"


@dataclass(frozen=True)
class RowsCheck:
    """What is known of a table before it is started. `mapping` is parameter → column; nothing is kept of the rows."""

    columns: tuple[Column, ...]
    mapping: Mapping[str, str]
    missing: tuple[str, ...]  # parameters that need a column and have none: then no row was looked at
    total: int = 0
    invalid: int = 0
    problems: tuple[RowProblem, ...] = ()  # the first KEPT_PROBLEMS; `invalid` counts all rows that have one
    notes: tuple[str, ...] = ()
    preview: tuple[tuple[Json, ...], ...] = ()
    readings: Mapping[str, str] = field(default_factory=dict)  # column → how its texts are read, where not plainly
    questions: tuple[Question, ...] = ()  # columns that can be read in two ways: then no row was looked at
    sheet: str = ""  # of a workbook
    sheets: tuple[str, ...] = ()

    @property
    def valid(self) -> int:
        """How many rows can be predicted."""
        return self.total - self.invalid

    @property
    def can_start(self) -> bool:
        """Whether there is anything to predict."""
        return not self.missing and not self.questions and self.valid > 0

    @property
    def why_not(self) -> str:
        """Why it cannot start, in one sentence; "" when it can."""
        if self.missing:
            names = ", ".join(column.name for column in self.columns[:10])
            return f"No column is chosen for {', '.join(self.missing)}: the columns are {names}."
        if self.questions:
            return " ".join(map(str, self.questions))
        if self.total and not self.valid:
            return f"None of the {self.total:,} rows fits; the first: {self.problems[0]}."
        return "" if self.total else "There are no rows below the column names."


def check(
    source: Source,
    parameters: Schema,
    given: Mapping[str, str | None] | None = None,
    *,
    limit: int,
    readings: Mapping[str, str] | None = None,
    sheet: str = "",
) -> RowsCheck:
    """Check every row of the table against the parameters.

    `readings` answers the `questions` of an earlier check: column → reading. Raises InputError when the table cannot be
    read to its end, has no rows or more than `limit`, or when `given` names what there is not.
    """
    check_readings(readings or {})
    with open_table(source, sheet) as table:
        names = [column.name for column in table.columns]
        chosen = columns_of.chosen(parameters, names, given)
        missing = columns_of.missing(parameters, chosen)
        read = {} if missing else _texts(table, wanted(parameters, chosen))
        found, questions = decide(names, counted(table, limit) if read else (), read, readings or {}, table.delimiter)
    with open_table(source, sheet) as table:
        if missing or questions:
            preview = tuple(tuple(row) for row in islice(table.rows, PREVIEW_ROWS))
            known = RowsCheck(table.columns, chosen, missing, notes=table.notes, preview=preview)
            return replace(known, readings=found, questions=questions, sheet=sheet, sheets=table.sheets)
        checked = _check(table, parameters, chosen, found, limit)
        return replace(checked, sheet=sheet, sheets=table.sheets)


def _texts(table: Table, read: dict[str, str]) -> dict[str, str]:
    """Return those of the columns that hold texts, which can be read in more than one way."""
    kinds = {column.name: column.type for column in table.columns}
    return {name: kind for name, kind in read.items() if kinds[name] in ("text", "string", "json")}


def _check(
    table: Table, parameters: Schema, chosen: Mapping[str, str], readings: Mapping[str, str], limit: int
) -> RowsCheck:
    cells = Cells(parameters, [column.name for column in table.columns], chosen, readings)
    total = invalid = 0
    kept: list[RowProblem] = []
    preview_rows: list[tuple[Json, ...]] = []
    for row in counted(table, limit):
        total += 1
        if total <= PREVIEW_ROWS:
            preview_rows.append(tuple(row))
        found = faults(cells, parameters, row)
        if found:
            invalid += 1
            room = KEPT_PROBLEMS - len(kept)
            kept += [RowProblem(total, _column(fault.path, chosen), fault.message) for fault in found[:room]]
    preview = tuple(preview_rows)
    return RowsCheck(table.columns, chosen, (), total, invalid, tuple(kept), table.notes, preview, readings)


def counted(table: Table, limit: int) -> Iterator[list[Json]]:
    """Yield the rows; InputError when there are none, or more than `limit`."""
    if table.total is not None and table.total > limit:
        raise _too_many(f"{table.total:,}", limit)
    total = 0
    for row in table.rows:
        total += 1
        if total > limit:
            raise _too_many(f"more than {limit:,}", limit)
        yield row
    if not total:
        raise refused("has no rows below its column names")


def faults(cells: Cells, parameters: Schema, row: list[Json]) -> list[Problem]:
    """Return what is wrong with one row."""
    try:
        return validate.problems(parameters, cells.inputs(row))
    except InputError as error:
        return list(error.problems)


def _too_many(count: str, limit: int) -> InputError:
    return refused(
        f"has {count} rows, and at most {limit:,} are allowed at once",
        "Split it, or raise rows under [limits] in matinee.toml.",
    )


def _column(path: str, mapping: Mapping[str, str]) -> str:
    """Return the place as people know it: their column instead of the parameter."""
    name, dot, rest = path.partition(".")
    return f"{mapping.get(name, name)}{dot}{rest}"
