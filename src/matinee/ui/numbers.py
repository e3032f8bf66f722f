"""Arrays as people write them: numbers apart by commas or blanks, one row a line, as a spreadsheet copies them."""

from __future__ import annotations

import json
import re
from typing import Any

from matinee.errors import InputError

Json = Any

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def to_text(value: Json) -> str:
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


def from_text(text: str, path: str) -> Json:
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
