"""Between JSON values and what widgets hold: dates, lines of text, uploads. Pure, and the inverse of each other."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from matinee.errors import InputError
from matinee.ui.forms import MISSING, Field, Json

TYPED = ("text", "long_text", "decimal", "lines", "pairs", "array", "json")  # kinds written as text


def initial_value(field: Field, inputs: Json) -> Json:
    """Return the field's value in `inputs` (a draft or an example), else its default, else MISSING."""
    value = MISSING
    if isinstance(inputs, Mapping):
        value = inputs.get(field.name, MISSING)
    elif isinstance(inputs, list) and field.name.isdecimal() and int(field.name) < len(inputs):
        value = inputs[int(field.name)]
    return field.default if value is MISSING else value


def to_widget(field: Field, value: Json) -> Any:
    """Return what the field's widget starts with; a value that does not fit starts it empty."""
    if value is MISSING or value is None:
        return "" if field.kind in TYPED else None
    try:
        return _to_widget(field, value)
    except (TypeError, ValueError):
        return to_widget(field, MISSING)


def _to_widget(field: Field, value: Json) -> Any:
    match field.kind:
        case "integer":
            return _within(field, int(value))
        case "number":
            return float(_within(field, float(value)))
        case "date":
            return date.fromisoformat(value)
        case "datetime":
            moment = datetime.fromisoformat(value)
            return moment.astimezone().replace(tzinfo=None) if moment.tzinfo else moment
        case "time":
            return time.fromisoformat(value).replace(tzinfo=None)
    return _to_text(field, value) if field.kind in TYPED else value


def _to_text(field: Field, value: Json) -> str:
    match field.kind:
        case "lines":
            return "\n".join(str(line) for line in value)
        case "pairs":
            return _pairs_text(field, value)
        case "array":
            return number_to_text(value)
        case "json":
            return json.dumps(value, indent=2, ensure_ascii=False)
    return str(value)


def _within(field: Field, value: float) -> float:
    low, high = field.minimum, field.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(value)
    return value


def value_from(field: Field, raw: Any) -> Json:
    """Return the JSON value of what a widget holds, MISSING when nothing was given.

    Raises InputError at the field's path for text that cannot be read as what it should be.
    """
    if raw is None or raw == "" or raw is MISSING:
        return _nothing(field)
    match field.kind:
        case "date" | "datetime" | "time":
            return raw.isoformat()
        case "lines":
            return [_line(field, i, line.strip()) for i, line in enumerate(raw.splitlines(), 1) if line.strip()]
        case "pairs":
            return _pairs(field, raw)
        case "array":
            return number_from_text(raw, field.path)
        case "integer" if isinstance(raw, str):
            return _whole(raw.strip())
        case "decimal":
            return str(raw).strip()
        case "json":
            return _json(field, raw)
    return raw


def _whole(text: str) -> Json:
    """Return the whole number; a text that is none stays text, for the validator."""
    return int(text) if re.fullmatch(r"[+-]?\d{1,4000}", text) else text


def _nothing(field: Field) -> Json:
    if field.nullable:
        return None
    if field.kind in ("text", "long_text") and not field.required:
        return ""
    if field.kind == "lines":
        return []
    return {} if field.kind == "pairs" else MISSING


def _line(field: Field, number: int, line: str) -> Json:
    kind = field.item.kind if field.item else "text"
    if kind in ("text", "decimal"):
        return line
    try:
        return int(line) if kind == "integer" else float(line)
    except ValueError:
        wanted = "a whole number" if kind == "integer" else "a number"
        raise InputError(field.path, f"line {number}, “{line}”, is not {wanted}") from None


def _pairs_text(field: Field, value: Mapping[str, Json]) -> str:
    """Return a line for each pair, or JSON where lines would not read back as the same."""
    text = "\n".join(f"{name}: {part}" for name, part in value.items())
    try:
        is_same = _pairs(field, text) == value
    except InputError:
        is_same = False
    return text if is_same else json.dumps(value, indent=2, ensure_ascii=False)


def _pairs(field: Field, text: str) -> Json:
    if text.lstrip().startswith("{"):
        return _json(field, text)
    return dict(_pair(field, i, line.strip()) for i, line in enumerate(text.splitlines(), 1) if line.strip())


def _pair(field: Field, number: int, line: str) -> tuple[str, Json]:
    is_text = field.item is None or field.item.kind == "text"
    name, colon, value = line.partition(":") if is_text else line.rpartition(":")
    if not colon or not name.strip():
        raise InputError(field.path, f"line {number}, “{line}”, is not a name, a colon and a value")
    return name.strip(), _line(field, number, value.strip())


def _json(field: Field, text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(field.path, f"is not valid JSON: {error}") from None


def is_blob(value: Json) -> bool:
    """Whether the value is a blob."""
    return isinstance(value, Mapping) and "$blob" in value


def is_table(value: Json) -> bool:
    """Whether the value is a table."""
    return isinstance(value, Mapping) and "$table" in value


def alternative_of(field: Field, value: Json) -> int:
    """Return which alternative of a union the value most likely is; -1 for null where that is allowed, else 0."""
    if field.nullable and (value is None or value is MISSING):
        return -1
    fitting = (i for i, alternative in enumerate(field.fields) if _looks_like(alternative, value))
    return next(fitting, 0)


def _looks_like(field: Field, value: Json) -> bool:
    if field.kind == "record":
        if not isinstance(value, Mapping):
            return False
        parts = {part.name: part for part in field.fields}
        tags = all(value.get(n) == part.default for n, part in parts.items() if part.kind == "constant")
        return tags and set(value) <= set(parts)
    if field.kind == "choice":
        return any(choice.value == value for choice in field.choices)
    shapes: dict[str, type | tuple[type, ...]] = {
        "integer": int, "number": (int, float), "decimal": (str, int, float),
        "switch": bool, "text": str, "long_text": str, "date": str,
        "datetime": str, "time": str, "list": list, "lines": list, "choices": list, "tuple": list, "array": list,
    }  # fmt: skip
    fits = isinstance(value, shapes.get(field.kind, dict))
    return fits and isinstance(value, bool) == (field.kind == "switch")


# --- numbers ----------------------------------------------------------------------------------------------------------
# Arrays as people write them: numbers apart by commas or blanks, one row a line, as a spreadsheet copies them.


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def number_to_text(value: Json) -> str:
    """Return the array as rows of numbers where this reads back as the same array, else as JSON."""
    if _is_row(value) and len(value) > 0:
        return ", ".join(map(_word, value))
    rows = value if isinstance(value, list) else []
    if len(rows) > 1 and all(_is_row(row) and len(row) > 1 for row in rows):
        return "\n".join(", ".join(map(_word, row)) for row in rows)
    return json.dumps(value)


def _is_row(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in value)


def _word(number: float) -> str:
    return json.dumps(number)


def number_from_text(text: str, path: str) -> Json:
    """Return the array of JSON, or of rows of numbers: one row, or one number a line, is a list, several are a matrix.

    Raises InputError at `path`, naming the line.
    """
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except ValueError as error:
            raise InputError(path, f"is not valid JSON: {error}") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    rows = [[_number(word, number, path) for word in _words(line)] for number, line in lines]
    if len(rows) == 1:
        return rows[0]
    if all(len(row) == 1 for row in rows):
        return [row[0] for row in rows]
    for (number, _), row in zip(lines, rows, strict=True):
        if len(row) != len(rows[0]):
            raise InputError(path, f"line {number} has {len(row)} numbers, the first has {len(rows[0])}")
    return rows


def _words(line: str) -> list[str]:
    return re.split(r"[\s,;]+", line.strip(" \t,;"))


def _number(word: str, line: int, path: str) -> float:
    if re.fullmatch(r"[+-]?\d+", word):
        return int(word)
    if not _NUMBER.fullmatch(word):
        raise InputError(path, f"line {line}, “{word}”, is not a number")
    return float(word)
