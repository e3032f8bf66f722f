"""Look at every row before anything is started: which do not fit, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from matinee.decoding import file_error
from matinee.errors import InputError, Problem
from matinee.tables.columns import (
    POINT,
    Column,
    Json,
    Question,
    Table,
    date_text,
    decide_readings,
    number_text,
    parse_boolean,
)
from matinee.tables.read import Source
from matinee.tables.uploads import check_readings, open_upload
from matinee.values import validate
from matinee.values.validate import resolve

Schema = dict[str, Any]

MAX_PROBLEMS = 100
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
    """What is known of a table before it is started. `mapping` is parameter → column; it holds no rows."""

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
    mapping: Mapping[str, str | None] | None = None,
    *,
    limit: int,
    readings: Mapping[str, str] | None = None,
    sheet: str = "",
) -> RowsCheck:
    """Check every row of the table against the parameters.

    `readings` answers the `questions` of an earlier check: column → reading. Raises InputError when the table cannot be
    read to its end, has no rows or more than `limit`, or when `mapping` names what there is not.
    """
    check_readings(readings or {})
    with open_upload(source, sheet) as table:
        names = [column.name for column in table.columns]
        chosen = choose_columns(parameters, names, mapping)
        missing = missing_parameters(parameters, chosen)
        read = {} if missing else _texts(table, numbers_and_dates(parameters, chosen))
        found, questions = decide_readings(
            names, limit_rows(table, limit) if read else (), read, readings or {}, table.delimiter
        )
    with open_upload(source, sheet) as table:
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
    problems: list[RowProblem] = []
    preview_rows: list[tuple[Json, ...]] = []
    for row in limit_rows(table, limit):
        total += 1
        if total <= PREVIEW_ROWS:
            preview_rows.append(tuple(row))
        found = row_problems(cells, parameters, row)
        if found:
            invalid += 1
            room = MAX_PROBLEMS - len(problems)
            problems += [RowProblem(total, _column(fault.path, chosen), fault.message) for fault in found[:room]]
    preview = tuple(preview_rows)
    return RowsCheck(table.columns, chosen, (), total, invalid, tuple(problems), table.notes, preview, readings)


def limit_rows(table: Table, limit: int) -> Iterator[list[Json]]:
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
        raise file_error("has no rows below its column names")


def row_problems(cells: Cells, parameters: Schema, row: list[Json]) -> list[Problem]:
    """Return what is wrong with one row."""
    try:
        return validate.problems(parameters, cells.inputs(row))
    except InputError as error:
        return list(error.problems)


def _too_many(count: str, limit: int) -> InputError:
    return file_error(
        f"has {count} rows, and at most {limit:,} are allowed at once",
        "Split it, or raise rows under [limits] in matinee.toml.",
    )


def _column(path: str, mapping: Mapping[str, str]) -> str:
    """Return the place as people know it: their column instead of the parameter."""
    name, dot, rest = path.partition(".")
    return f"{mapping.get(name, name)}{dot}{rest}"


# --- matching columns to parameters -----------------------------------------------------------------------------------
# Which column goes to which parameter: by name, ignoring case, spaces and underscores; people may say otherwise.


def match_columns(parameters: Schema, columns: Sequence[str]) -> dict[str, str]:
    """Return parameter → column for the columns whose name is a parameter's: the same name first, then a like one."""
    free = {fold_name(column): column for column in reversed(columns) if fold_name(column)}  # the first wins
    same = set(columns)
    names = parameters.get("properties", {})
    found = {name: name if name in same else free.get(fold_name(name), "") for name in names}
    taken = {column for name, column in found.items() if name == column}
    return {name: column for name, column in found.items() if column and (name == column or column not in taken)}


def choose_columns(
    parameters: Schema, columns: Sequence[str], chosen: Mapping[str, str | None] | None = None
) -> dict[str, str]:
    """Return the automatic mapping with the choices of people (`chosen`) over it; None or "" takes no column.

    Raises InputError for a parameter or column that there is not.
    """
    found: dict[str, str] = match_columns(parameters, columns)
    names = parameters.get("properties", {})
    wrong = []
    for name, column in (chosen or {}).items():
        if name not in names:
            wrong.append(Problem(name, f"is not a parameter; there is {', '.join(names) or 'none'}"))
        elif not column:
            found.pop(name, None)
        elif column not in columns:
            wrong.append(Problem(name, f"there is no column {column!r}; there is {_listed(columns)}"))
        else:
            found[name] = column
    if wrong:
        raise InputError(problems=tuple(wrong))
    return {name: found[name] for name in names if name in found}


def missing_parameters(parameters: Schema, mapping: Mapping[str, str]) -> tuple[str, ...]:
    """Return the parameters that need a column and have none."""
    return tuple(name for name in parameters.get("required", ()) if name not in mapping)


def fold_name(name: str) -> str:
    """Return the name without case and without what is neither letter nor digit."""
    return "".join(filter(str.isalnum, name.casefold()))


def _listed(columns: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(columns[:most])
    return shown if len(columns) <= most else f"{shown} and {len(columns) - most} more"


# --- converting cells -------------------------------------------------------------------------------------------------
# One row's cells → a predictor's inputs: texts converted as its schema says.
#
# A text that cannot be converted stays text, so that the one validator says what is wrong with it.


_INTEGER = re.compile(r"[+-]?\d{1,400}")
_DECIMAL = re.compile(r"-?\d+\.\d+")
_MIDNIGHT = re.compile(r"(\d{4}-\d{2}-\d{2})[T ]00:00(:00(\.0+)?)?(Z|[+-]00:?00)?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_OMITTED = object()
MARK = "$rows"  # a run of many rows, in its inputs and its result


class Cells:
    """Makes inputs of rows. `mapping` is parameter → column; `readings` is column → how its texts are read."""

    def __init__(
        self,
        parameters: Schema,
        columns: Sequence[str],
        mapping: Mapping[str, str],
        readings: Mapping[str, str] | None = None,
    ) -> None:
        chosen = readings or {}
        self._width = len(columns)
        parts = parameters.get("properties", {})
        places = {column: index for index, column in enumerate(columns)}
        required = set(parameters.get("required", ()))
        self._readers = [
            (name, places[column], _Reader(parts[name], parameters, name in required, chosen.get(column, POINT)))
            for name, column in mapping.items()
        ]

    def inputs(self, cells: Sequence[Json]) -> dict[str, Json]:
        """Return the inputs of one row; InputError when it has more or fewer cells than there are columns."""
        if len(cells) != self._width:
            counted = f"{len(cells)} value{'' if len(cells) == 1 else 's'}"
            raise InputError("", f"has {counted} where the header has {self._width}")
        found = {name: reader.value(cells[place]) for name, place, reader in self._readers}
        if _OMITTED in found.values():
            return {name: value for name, value in found.items() if value is not _OMITTED}
        return found


class _Reader:
    """Makes one parameter's value of a cell."""

    def __init__(self, part: Schema, root: Schema, required: bool, reading: str) -> None:
        branches = _branches(part, root)
        self._kinds = {kind for branch in branches for kind in _kinds(branch)}
        self._texts = "string" in self._kinds
        self._format = next((b["format"] for b in branches if "format" in b and "string" in _kinds(b)), "")
        self._choices = _choices(branches)
        self._decimal = is_decimal(branches)
        self._reading = reading
        takes_empty = self._texts and not self._format and not self._choices and not self._decimal
        empty = None if "null" in self._kinds else "" if takes_empty else _OMITTED
        self._empty = empty if required else _OMITTED

    def value(self, cell: Json) -> Json:
        found = self._value(cell)
        if isinstance(found, (dict, list)) and _refers(found):
            raise InputError("", "refers to a file kept elsewhere: a table holds a file as base64")
        return found

    def _value(self, cell: Json) -> Json:
        if cell is None:
            return None if self._empty is None else _OMITTED
        if isinstance(cell, str):
            return self._text(cell) if cell else self._empty
        if isinstance(cell, float) and cell.is_integer() and "integer" in self._kinds and "number" not in self._kinds:
            return int(cell)  # a column of whole numbers with gaps arrives as one of floats
        if self._texts and isinstance(cell, (int, float)) and not self._kinds & {"integer", "number", "boolean"}:
            return self._text(json.dumps(cell))
        return cell

    def _text(self, text: str) -> Json:
        stripped = text.strip()
        if self._choices:
            found = self._choices.get(text, self._choices.get(stripped.casefold(), _OMITTED))
            if found is not _OMITTED:
                return found
        if self._decimal:
            return number_text(stripped, self._reading) or text
        if self._texts:
            return self._time(stripped) if self._format else text
        if not stripped:
            return self._empty
        if "boolean" in self._kinds and not self._kinds & {"integer", "number"}:
            meaning = parse_boolean(stripped)
            return text if meaning is None else meaning
        if self._kinds & {"integer", "number"}:
            return self._number(stripped, text)
        return _json(stripped, text)

    def _number(self, stripped: str, text: str) -> Json:
        plain = number_text(stripped, self._reading)
        if plain is None:
            return text
        if _INTEGER.fullmatch(plain):
            return int(plain)
        if "number" not in self._kinds and _DECIMAL.fullmatch(plain) and not plain.partition(".")[2].strip("0"):
            return int(plain.partition(".")[0])  # a column of decimals that are whole
        number = float(plain)
        return number if abs(number) != float("inf") else text

    def _time(self, text: str) -> str:
        """Spreadsheets and libraries write a date with a midnight, a time with a space for the T, and days in order."""
        iso = date_text(text, self._reading) or text
        if self._format == "date":
            midnight = _MIDNIGHT.fullmatch(iso)
            return midnight[1] if midnight else iso if _DAY.fullmatch(iso) else text
        if self._format != "date-time":
            return text
        return f"{iso}T00:00:00" if _DAY.fullmatch(iso) else iso.replace(" ", "T", 1)


def _json(stripped: str, text: str) -> Json:
    try:
        return json.loads(stripped, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def numbers_and_dates(parameters: Schema, mapping: Mapping[str, str]) -> dict[str, str]:
    """Return column → "number" or "date" for the columns whose texts are read as one: which reading must be known."""
    found = {}
    for name, column in mapping.items():
        branches = _branches(parameters["properties"][name], parameters)
        kinds = {kind for branch in branches for kind in _kinds(branch)}
        formats = {branch.get("format") for branch in branches}
        if is_decimal(branches) or (kinds & {"integer", "number"} and "string" not in kinds):
            found[column] = "number"
        elif formats & {"date", "date-time"}:
            found[column] = "date"
    return found


def is_decimal(branches: list[Schema]) -> bool:
    """Whether a parameter is a Decimal: `format: decimal`, or a number or, second, any text that writes one."""
    if any(branch.get("format") == "decimal" for branch in branches):
        return True
    kinds = [kind for branch in branches for kind in _kinds(branch) if kind != "null"]
    texts = [branch for branch in branches if branch.get("type") == "string"]
    return kinds == ["number", "string"] and all(set(branch) <= {"type", "pattern"} for branch in texts)


def _refers(value: Json) -> bool:
    """Whether a value points into Files: nobody reads what is another's by way of a table."""
    if isinstance(value, dict):
        marked = "$payload" in value or MARK in value or ("$blob" in value and "key" in value)
        return marked or any(map(_refers, value.values()))
    return isinstance(value, list) and any(map(_refers, value))


def _refuse(constant: str) -> Json:
    raise ValueError(constant)


def _branches(part: Schema, root: Schema) -> list[Schema]:
    part = resolve(part, root)
    choices = part.get("anyOf") or part.get("oneOf")
    return [leaf for choice in choices for leaf in _branches(choice, root)] if choices else [part]


def _kinds(branch: Schema) -> list[str]:
    kind = branch.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)


def _choices(branches: list[Schema]) -> dict[str, Json]:
    """Return the choices by how a cell may say them: as they are or, where that is no other's, in any case."""
    listed = [choice for b in branches for choice in b.get("enum", [b["const"]] if "const" in b else [])]
    exact = {choice if isinstance(choice, str) else json.dumps(choice): choice for choice in listed}
    loose: dict[str, list[Json]] = {}
    for text, choice in exact.items():
        loose.setdefault(text.casefold(), []).append(choice)
    return {**{text: found[0] for text, found in loose.items() if len(found) == 1}, **exact}
