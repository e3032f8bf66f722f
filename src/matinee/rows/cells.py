"""One row's cells → a predictor's inputs: texts converted as its schema wants them.

A text that cannot be what is wanted stays text, so that the one validator says what is wrong with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from matinee.errors import InputError
from matinee.tables.columns import POINT, boolean, date_text, number_text
from matinee.values.validate import resolve

Json = Any
Schema = dict[str, Any]

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
            meaning = boolean(stripped)
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


def wanted(parameters: Schema, mapping: Mapping[str, str]) -> dict[str, str]:
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
