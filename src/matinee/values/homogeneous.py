"""Lists whose items are all plain: looked at by type and as a whole, a hundred times faster than item by item.

Every function answers only what is certain; where it returns False, the caller goes through the items and finds what
to say. Imports next to nothing: a predictor starts fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

MAX_DEPTH = 100  # of lists and objects in each other, where a schema leaves open what is inside
TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep"
_TYPES: dict[str, frozenset[type]] = {
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "null": frozenset({type(None)}),
}
_NOTES = frozenset({"title", "description", "default", "examples", "deprecated"})  # keywords that check nothing
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_CONTAINERS = (list, dict)
_NUMBERS = frozenset({int, float})
_PLAIN = frozenset({str, int, bool, type(None)})


def types_of(items: Iterable[Any]) -> set[type]:
    """Return the classes of the items."""
    return set(map(type, items))


def fits_all(schema: Any, items: Sequence[Any]) -> bool:
    """Whether every item certainly fits a schema of a plain type, or a union of such, with bounds at most."""
    if "anyOf" in schema:
        return _fits_union(schema, items)
    allowed = _TYPES.get(schema["type"]) if isinstance(schema.get("type"), str) else None
    rest = schema.keys() - _NOTES - {"type"}
    if allowed is None or not rest <= _BOUNDS or not types_of(items) <= allowed:
        return False
    if allowed & _NUMBERS:
        return _are_finite(items) and (not rest or not items or _within(schema, min(items), max(items)))
    return not rest


def _fits_union(schema: Any, items: Sequence[Any]) -> bool:
    branches = schema["anyOf"]
    if schema.keys() - _NOTES - {"anyOf"} or any(b.keys() - _NOTES != {"type"} for b in branches):
        return False
    names = [b["type"] for b in branches]
    if not all(isinstance(name, str) and name in _TYPES for name in names):
        return False
    found = types_of(items)
    if not found <= frozenset().union(*(_TYPES[name] for name in names)):
        return False
    return float not in found or _are_finite([item for item in items if type(item) is float])


def _are_finite(numbers: Iterable[Any]) -> bool:
    try:
        return all(map(isfinite, numbers))
    except OverflowError:  # a whole number beyond any float
        return False


def _within(schema: Any, least: Any, most: Any) -> bool:
    return bool(
        least >= schema.get("minimum", least)
        and most <= schema.get("maximum", most)
        and ("exclusiveMinimum" not in schema or least > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or most < schema["exclusiveMaximum"])
    )


def is_json(items: Sequence[Any]) -> bool:
    """Whether every item is certainly a plain JSON value as it is: a text, a finite number, true, false or null."""
    found = types_of(items)
    if found <= _PLAIN:
        return True
    if not found <= _PLAIN | {float}:
        return False
    return _are_finite(items if found == {float} else [item for item in items if type(item) is float])


def is_too_deep(value: Any) -> bool:
    """Whether lists and objects are nested more than MAX_DEPTH levels."""
    level = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(MAX_DEPTH):
        parts = [item.values() if isinstance(item, dict) else item for item in level]
        level = [
            inner
            for part in parts
            if not types_of(part).isdisjoint(_CONTAINERS)
            for inner in part
            if isinstance(inner, _CONTAINERS)
        ]
        if not level:
            return False
    return True
