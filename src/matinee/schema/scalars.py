"""Rules for texts and numbers: bounds, lengths, patterns, formats, and which of two values is later."""

from __future__ import annotations

from typing import Any

FORMAT_NAMES = {
    "date": "a date such as 2026-01-31",
    "date-time": "a date and time such as 2026-01-31T09:30:00",
    "time": "a time such as 09:30:00",
    "uuid": "a UUID",
    "duration": "a duration such as P1DT2H",
}
_UUID = r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"
DURATION = (
    r"(?P<sign>[-+]?)P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)


def fault(schema: dict[str, Any], value: Any) -> str:
    """Return what is wrong with a text or number that has the right type, as in "must be at least 1"; else ""."""
    if isinstance(value, str):
        return _text_fault(schema, value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _number_fault(schema, value)
    return ""


def _text_fault(schema: dict[str, Any], value: str) -> str:
    if len(value) < schema.get("minLength", 0):
        return (
            "must not be empty" if schema["minLength"] == 1 else f"must have at least {schema['minLength']} characters"
        )
    if len(value) > schema.get("maxLength", len(value)):
        return f"must have at most {schema['maxLength']} characters"
    kind = schema.get("format")
    if kind in FORMAT_NAMES and not _has_format(kind, value):
        return f"must be {FORMAT_NAMES[kind]}"
    if "pattern" in schema:
        import re

        if not re.search(schema["pattern"], value):
            return f"must match the pattern {schema['pattern']}"
    return ""


def _has_format(kind: str, value: str) -> bool:
    if kind in ("uuid", "duration"):
        import re

        return re.fullmatch(_UUID if kind == "uuid" else DURATION, value) is not None and value[-1] not in "PT"
    return parsed(kind, value) is not None


def parsed(kind: str, value: str) -> Any:
    """Return the date, datetime or time that the text says (`kind` is its JSON Schema format), None if none."""
    import datetime

    try:
        if kind == "date":
            return datetime.date.fromisoformat(value) if len(value) == 10 and value[4] == "-" == value[7] else None
        if kind == "time":
            return datetime.time.fromisoformat(value) if ":" in value else None
        return datetime.datetime.fromisoformat(value) if value[4:5] == "-" else None
    except ValueError:
        return None


def _number_fault(schema: dict[str, Any], value: float) -> str:
    try:
        as_float = float(value)
    except OverflowError:
        as_float = value if schema.get("type") == "integer" else float("inf")
    if as_float != as_float or as_float in (float("inf"), float("-inf")):
        return "must be a finite number"
    if value < schema.get("minimum", value):
        return f"must be at least {_shown(schema['minimum'])}"
    if value > schema.get("maximum", value):
        return f"must be at most {_shown(schema['maximum'])}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        return f"must be more than {_shown(schema['exclusiveMinimum'])}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        return f"must be less than {_shown(schema['exclusiveMaximum'])}"
    step = schema.get("multipleOf")
    if step and abs(value / step - round(value / step)) > 1e-9:
        return f"must be a multiple of {_shown(step)}"
    return ""


def _shown(bound: float) -> str:
    return str(int(bound)) if float(bound).is_integer() else str(bound)


def is_after(later: Any, earlier: Any) -> bool:
    """Whether `later` comes after `earlier`: dates, times or numbers. Values that cannot be compared pass."""
    if earlier is None or later is None:
        return True
    if isinstance(later, str) and isinstance(earlier, str):
        pairs = ((parsed(kind, later), parsed(kind, earlier)) for kind in ("date", "date-time", "time"))
        later, earlier = next((pair for pair in pairs if None not in pair), (None, None))
    try:
        return bool(later > earlier)
    except TypeError:
        return True
