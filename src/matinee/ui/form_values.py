"""Between JSON values and what widgets hold. Pure: what a field shows, and the value that is read from it.

Most fields hold text, which is read here and checked by the validator, so that a browser neither rounds a number nor
replaces a date. A field that nobody touched gives back the very value that it began with (`value_from`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial

from matinee.errors import InputError
from matinee.tables.columns import COMMA, DAY_FIRST, MONTH_FIRST, POINT, date_text, number_text
from matinee.ui.forms import MISSING, Field, Json
from matinee.values import registry, validate

TIMES = {"date": "date", "datetime": "date-time", "time": "time"}  # kind of field → format of its text


def initial_value(field: Field, inputs: Json) -> Json:
    """Return the field's value in `inputs` (a draft or an example), else its default, else MISSING."""
    value = MISSING
    if isinstance(inputs, Mapping):
        value = inputs.get(field.name, MISSING)
    elif isinstance(inputs, list) and field.name.isdecimal() and int(field.name) < len(inputs):
        value = inputs[int(field.name)]
    return field.default if value is MISSING else value


def text_of(field: Field, value: Json) -> str:
    """Return the text that the field's widget starts with; "" for no value."""
    if value is MISSING or value is None:
        return ""
    match field.kind:
        case "lines" if isinstance(value, list):
            return _text_or_json(field, value, "\n".join(str(item) for item in value))
        case "pairs" if isinstance(value, Mapping):
            return _text_or_json(field, value, "\n".join(f"{name}: {item}" for name, item in value.items()))
        case "array":
            return array_text(value)
        case "json":
            return json.dumps(value, indent=2, ensure_ascii=False)
        case "datetime" if isinstance(value, str):
            return value.replace("T", " ", 1)
        case "number" if isinstance(value, float):
            return _digits(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _digits(number: float) -> str:
    """Return all digits of the number, as people write them: 12.5, 30319000; tiny and huge ones as 1e-09."""
    text = repr(number)
    is_long = "e" in text and not 1e-5 <= abs(number) < 1e21
    return text if is_long else format(Decimal(text), "f").removesuffix(".0")


def _text_or_json(field: Field, value: Json, text: str) -> str:
    """Return the text where it reads back as the same value, else JSON."""
    try:
        is_same = _read(field, text) == value
    except InputError:
        is_same = False
    is_kept = is_same and "\r" not in text  # a browser makes \n of it
    return text if is_kept else json.dumps(value, indent=2, ensure_ascii=False)


def value_from(field: Field, raw: str | None, start: Json = MISSING) -> Json:
    """Return the JSON value of a field's text, MISSING when there is none; `start` is the value that it began with.

    A text that nobody changed is `start` itself. Raises InputError at the field's path for a text that cannot be read,
    and for an emptied field that had a value: a default never takes its place silently.
    """
    text = raw or ""
    if text == text_of(field, start):
        return _untouched(field, start)
    return _empty(field) if text == "" else _read(field, text)


def _untouched(field: Field, start: Json) -> Json:
    if start is None and not field.nullable:
        return MISSING  # a default that its own type does not allow: Python does not check it either
    return _empty(field) if start is MISSING and field.required else start


def _empty(field: Field) -> Json:
    if field.nullable:
        return None
    if field.kind == "lines":
        return []
    if field.kind == "pairs":
        return {}
    if field.required or field.default is MISSING:
        return MISSING
    if field.kind in ("text", "long_text"):
        return ""
    raise InputError(field.path, "is empty: choose or write a value")


def _read(field: Field, text: str) -> Json:
    match field.kind:
        case "integer" | "number" | "decimal":
            return read_number(field.kind, text, field.path)
        case "date" | "datetime" | "time":
            return _read_time(field, text)
        case "lines":
            return _read_lines(field, text)
        case "pairs":
            return _read_pairs(field, text)
        case "array":
            return read_array(text, field.path)
        case "json":
            return _read_json(text, field.path)
    return text


def _read_json(text: str, path: str) -> Json:
    def refuse(constant: str) -> Json:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"is not valid JSON: {error}") from None


# --- numbers and dates ------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"[+\-\u2212]?[\d.,'\u2019 \u00a0\u202f]+([eE][+-]?\d{1,4})?")
MAX_DIGITS = 400  # of a whole number that is written with an exponent: 1e9999 would be a number of ten thousand digits
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(.*)")


def read_number(kind: str, text: str, path: str, where: str = "") -> Json:
    """Return the number of a text: 12.5, 12,5, 1.234,5 and 1,234.5, exactly; a Decimal's digits as text.

    A point alone begins the decimals. Raises InputError, its message led by `where`, for what is no number, for 1,234,
    which is one in Berlin and another in Boston, and for what has more digits than its type.
    """
    plain = _plain_number(text.strip(), path, where)
    if plain is None or (kind == "integer" and not _is_whole(Decimal(plain))):
        row = registry.FORMATS["decimal"] if kind == "decimal" else registry.JSON_TYPES[kind]
        raise InputError(path, f"{where}{'is not' if where else 'must be'} {row.expected}")
    if kind == "decimal":
        return plain
    exact = Decimal(plain)
    if kind == "integer":
        return int(exact)
    number = float(plain)
    if abs(number) == float("inf") or (_is_whole(exact) and Decimal(number) != exact):
        raise InputError(path, f"{where}has more digits than this kind of number holds")
    return number


def _is_whole(number: Decimal) -> bool:
    return number.adjusted() < MAX_DIGITS and number == number.to_integral_value()


def _plain_number(text: str, path: str, where: str) -> str | None:
    """Return the number in Python's own notation, None when it is none."""
    if re.fullmatch(r"[+-]?[0-9]{1,4000}", text):
        return text.removeprefix("+")
    if not _NUMBER.fullmatch(text):
        return None
    with_point, with_comma = number_text(text, POINT), number_text(text, COMMA)
    if "," in text and None not in (with_point, with_comma) and with_point != with_comma:
        raise InputError(path, f"{where}can be read as {with_point} or as {with_comma}: write one of these")
    return with_comma if with_point is None else with_point


def _read_time(field: Field, text: str) -> str:
    """Return a date, a time or both as ISO 8601; InputError for other texts, and for 01/02/2026, which is two."""
    text = text.strip()
    if field.kind == "time":
        found = _time(text)
    elif validate.parse_moment("date-time", text) is not None and (field.kind == "datetime") == (len(text) > 10):
        found = text.replace(" ", "T", 1)
    else:
        found = _local_date(text, field.path)
    is_whole = found is not None and (field.kind == "time" or (len(found) > 10) == (field.kind == "datetime"))
    if found is None or not is_whole or validate.parse_moment(TIMES[field.kind], found) is None:
        raise InputError(field.path, f"must be {registry.FORMATS[TIMES[field.kind]].expected}")
    return found


def _local_date(text: str, path: str) -> str | None:
    found = {date_text(text, DAY_FIRST), date_text(text, MONTH_FIRST)} - {None}
    if len(found) > 1:
        raise InputError(path, f"can be read as {' or as '.join(sorted(map(str, found)))}: write one of these")
    return found.pop() if found else None


def _time(text: str) -> str | None:
    clock = _CLOCK.fullmatch(text)
    if clock is None:
        return None
    half = re.fullmatch(r"(.*?)\s*([AaPp])\.?[Mm]\.?", text)
    if half is None:
        return f"{int(clock[1]):02}:{clock[2]}{clock[3]}"
    for form in ("%I:%M", "%I:%M:%S"):
        try:
            return datetime.strptime(f"{half[1]} {half[2]}M", f"{form} %p").time().isoformat()
        except ValueError:
            continue
    return None


# --- lists and pairs, one a line --------------------------------------------------------------------------------------


def _read_lines(field: Field, text: str) -> Json:
    if text.lstrip().startswith("["):
        try:
            found = _read_json(text, field.path)
        except InputError:
            found = None
        if isinstance(found, list):
            return found
    lines = enumerate(text.split("\n"), 1)
    return [_read_item(field, number, line.removesuffix("\r")) for number, line in lines if line.strip()]


def _read_item(field: Field, number: int, text: str) -> Json:
    kind = field.item.kind if field.item else "text"
    return text if kind == "text" else read_number(kind, text, field.path, f"line {number}, “{text.strip()}”, ")


def _read_pairs(field: Field, text: str) -> Json:
    if text.lstrip().startswith("{"):
        return _read_json(text, field.path)
    pairs: dict[str, Json] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        name, value = _read_pair(field, number, line.strip())
        if name in pairs:
            raise InputError(field.path, f"line {number} names “{name}” a second time")
        pairs[name] = value
    return pairs


def _read_pair(field: Field, number: int, line: str) -> tuple[str, Json]:
    is_text = field.item is None or field.item.kind == "text"
    name, colon, value = line.partition(":") if is_text else line.rpartition(":")
    if not colon or not name.strip():
        raise InputError(field.path, f"line {number}, “{line}”, is not a name, a colon and a value")
    return name.strip(), _read_item(field, number, value.strip())


# --- arrays -----------------------------------------------------------------------------------------------------------
# Numbers apart by commas or blanks, one row a line, as a spreadsheet copies them.


def array_text(value: Json) -> str:
    """Return the array as rows of numbers where this reads back as the same array, else as JSON."""
    if _is_row(value) and len(value) > 0:
        return ", ".join(map(json.dumps, value))
    rows = value if isinstance(value, list) else []
    if len(rows) > 1 and all(_is_row(row) and len(row) > 1 for row in rows):
        return "\n".join(", ".join(map(json.dumps, row)) for row in rows)
    return json.dumps(value)


def _is_row(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in value)


def read_array(text: str, path: str) -> Json:
    """Return the array of JSON, or of rows of numbers: one row, or one number a line, is a list, several are a matrix.

    Where tabs or semicolons part the numbers, a comma begins the decimals. Raises InputError that names the line.
    """
    if text.lstrip().startswith("["):
        return _read_json(text, path)
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    rows = [[_read_cell(cell, number, path) for cell in _cells(line)] for number, line in lines]
    if len(rows) == 1:
        return rows[0]
    if all(len(row) == 1 for row in rows):
        return [row[0] for row in rows]
    for (number, _), row in zip(lines, rows, strict=True):
        if len(row) != len(rows[0]):
            raise InputError(path, f"line {number} has {len(row)} numbers, the first has {len(rows[0])}")
    return rows


def _cells(line: str) -> list[str]:
    if re.search(r"[\t;]", line.strip()):
        return re.split(r"[\s;]+", line.strip(" \t;"))
    return re.split(r"\s*,\s*" if "," in line else r"\s+", line.strip(" \t,"))


def _read_cell(cell: str, line: int, path: str) -> float:
    where = f"line {line}, “{cell}”, "
    if " " in cell:
        raise InputError(path, f"{where}is not a number: part numbers by commas or by blanks, not by both")
    is_whole = re.fullmatch(r"[+-]?\d+", cell) is not None
    number: float = read_number("integer" if is_whole else "number", cell, path, where)
    return number


# --- which widget a value fits ----------------------------------------------------------------------------------------


def is_blob(value: Json) -> bool:
    """Whether the value is a blob."""
    return isinstance(value, Mapping) and "$blob" in value


def is_table(value: Json) -> bool:
    """Whether the value is a table."""
    return isinstance(value, Mapping) and "$table" in value


def holds(field: Field, value: Json) -> bool:
    """Whether the field's widgets can show this value and give it back as it is."""
    if value is MISSING or (value is None and field.nullable):
        return True
    parts = value if isinstance(value, list) else None
    match field.kind:
        case "record":
            return _record_holds(field, value)
        case "tuple":
            return parts is not None and len(parts) == len(field.fields) and all(map(holds, field.fields, parts))
        case "union":
            return any(holds(alternative, value) for alternative in field.fields)
        case "list" if field.item is not None:
            return parts is not None and all(map(partial(holds, field.item), parts))
        case "choices":
            return parts is not None and None not in (choice_of(field, part) for part in parts)
    return _scalar_holds(field, value)


def _scalar_holds(field: Field, value: Json) -> bool:
    match field.kind:
        case "choice":
            return choice_of(field, value) is not None
        case "date" | "datetime" | "time":
            return isinstance(value, str) and validate.parse_moment(TIMES[field.kind], value) is not None
        case "constant":
            return field.default is MISSING or bool(value == field.default)
        case "json":
            return True
    return _is_of_kind(field.kind, value)


def _record_holds(field: Field, value: Json) -> bool:
    parts = {part.name: part for part in field.fields}
    if not isinstance(value, Mapping) or not set(value) <= set(parts):
        return False
    tags = {name: part for name, part in parts.items() if part.kind == "constant" and part.default is not MISSING}
    is_this = all(value.get(name) == tag.default for name, tag in tags.items())
    return is_this and all(holds(parts[name], item) for name, item in value.items())


_CLASSES: dict[str, type | tuple[type, ...]] = {
    "text": str, "long_text": str, "integer": int, "number": (int, float),
    "switch": bool, "lines": list, "array": list, "list": list,
}  # fmt: skip


def _is_of_kind(kind: str, value: Json) -> bool:
    if kind in ("text", "long_text") and isinstance(value, str):
        return "\r" not in value  # a browser makes \n of it
    if kind == "decimal":
        return isinstance(value, (str, int, float)) and validate.parse_decimal(value) is not None
    if kind == "table" or kind in registry.FILES:
        return is_table(value) if kind == "table" else is_blob(value)
    return isinstance(value, _CLASSES.get(kind, dict)) and isinstance(value, bool) == (kind == "switch")


def choice_of(field: Field, value: Json) -> int | None:
    """Return the place of a value among the field's choices, None if it is none of them: 1 is not True."""
    places = (i for i, choice in enumerate(field.choices) if choice.value == value)
    return next((i for i in places if type(field.choices[i].value) is type(value)), None)


def alternative_of(field: Field, value: Json) -> int:
    """Return the alternative of a union that holds the value; -1 where it is left out or null, else 0."""
    if field.may_be_left_out and (value is None or value is MISSING):
        return -1
    return next((i for i, alternative in enumerate(field.fields) if holds(alternative, value)), 0)
