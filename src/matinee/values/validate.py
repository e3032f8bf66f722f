"""JSON values against the part of JSON Schema 2020-12 that `describe` writes, with messages for people.

The one validator of the UI, the API, the client and the runtime. Imports next to nothing: a predictor starts fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from matinee.errors import InputError, Problem
from matinee.values import registry
from matinee.values.homogeneous import TOO_DEEP, fits_all, is_too_deep

Json = Any
Schema = dict[str, Any]
_FEW_ITEMS = 8  # items that are sooner checked one by one
_COMBINED = frozenset({"allOf", "anyOf", "oneOf"})
_CLASSES: dict[str, type] = {
    "string": str, "integer": int, "number": float, "boolean": bool, "array": list, "object": dict, "null": type(None),
}  # fmt: skip
_LONGEST_NAME = 100  # characters of an unknown name that similar ones are looked for


def resolve(schema: Schema, root: Schema) -> Schema:
    """Return what the schema means, its `$ref` followed; keywords beside the reference win."""
    while "$ref" in schema:
        target = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def problems(schema: Schema, value: Any) -> list[Problem]:
    """Return everything that is wrong with the value; nothing if it fits."""
    try:
        return _Visit(schema).faults(schema, value, "")
    except RecursionError:
        return [Problem("", "is nested too deep")]


def check(schema: Schema, value: Any) -> Any:
    """Return the arguments with missing defaults filled in; raise InputError naming everything that is wrong."""
    found = problems(schema, value)
    if found:
        raise InputError(problems=tuple(found))
    if not isinstance(value, dict):
        return value
    parts = schema.get("properties", {}).items()
    return {**value, **{n: _copy(p["default"]) for n, p in parts if "default" in p and n not in value}}


def _copy(default: Any) -> Any:
    if isinstance(default, dict):
        return {name: _copy(item) for name, item in default.items()}
    return [_copy(item) for item in default] if isinstance(default, list) else default


def branch_of(schema: Mapping[str, Any], value: Any, root: Schema) -> Schema:
    """Return the schema with references followed and, of a union, the branch that fits the value ({} if none does)."""
    schema = resolve(dict(schema), root)
    branches = schema.get("anyOf") or schema.get("oneOf")
    if not branches:
        return schema
    defs = {"$defs": root.get("$defs", {})}
    return branch_of(next((b for b in branches if not problems({**b, **defs}, value)), {}), value, root)


def replace_marked(schema: Schema, value: Json, replace: Callable[[str, Json], Json]) -> Json:
    """Return the value with `replace(mark, part)` for each part that the schema marks, in the order it is written.

    Only the schema marks: a dictionary of a caller that looks like a blob stays what it is.
    """

    def visit(part: Schema, item: Json) -> Json:
        part = branch_of(part, item, schema)
        if "x-matinee" in part:
            return replace(part["x-matinee"], item)
        if isinstance(item, dict):
            named, rest = part.get("properties", {}), part.get("additionalProperties")
            other = rest if isinstance(rest, dict) else {}
            return {name: visit(named.get(name, other), inner) for name, inner in item.items()}
        if isinstance(item, list):
            first, rest = part.get("prefixItems", []), part.get("items")
            other = rest if isinstance(rest, dict) else {}
            return [visit(first[i] if i < len(first) else other, inner) for i, inner in enumerate(item)]
        return item

    return visit(schema, value)


class _Visit:
    """One walk over a value; `root` holds the definitions that references point to."""

    def __init__(self, root: Schema) -> None:
        self.root = root

    def faults(self, schema: Schema, value: Any, path: str) -> list[Problem]:
        if "$ref" in schema:
            schema = resolve(schema, self.root)
        if "x-matinee" in schema:
            message = registry.fault(schema["x-matinee"], value)
            return [Problem(path, message)] if message else []
        found = [] if _COMBINED.isdisjoint(schema) else self._branches(schema, value, path)
        message = _choice_fault(schema, value) or _type_fault(schema, value)
        if message:
            return [*found, Problem(path, message)]
        if isinstance(value, dict):
            return found + self._object(schema, value, path)
        if isinstance(value, list):
            return found + self._list(schema, value, path)
        message = _scalar_fault(schema, value)
        return [*found, Problem(path, message)] if message else found

    def _branches(self, schema: Schema, value: Any, path: str) -> list[Problem]:
        found = [fault for part in schema.get("allOf", ()) for fault in self.faults(part, value, path)]
        branches = schema.get("anyOf") or schema.get("oneOf")
        return found + self._any_of(schema, branches, value, path) if branches else found

    def _any_of(self, schema: Schema, branches: list[Schema], value: Any, path: str) -> list[Problem]:
        """Take the branch that fits, else speak of the one that was meant."""
        meant = self._by_discriminator(schema, value)
        if meant is not None:
            return self.faults(meant, value, path)
        tried = []
        for branch in branches:
            found = self.faults(branch, value, path)
            if not found:
                return []
            tried.append((branch, found))
        of_this_type = [found for branch, found in tried if not _type_fault(resolve(branch, self.root), value)]
        if of_this_type:
            return min(of_this_type, key=len)
        names = dict.fromkeys(self._name(branch) for branch in branches if branch.get("type") != "null")
        return [Problem(path, "must be " + " or ".join(names))]

    def _by_discriminator(self, schema: Schema, value: Any) -> Schema | None:
        discriminator = schema.get("discriminator")
        if not discriminator or not isinstance(value, dict):
            return None
        tag = value.get(discriminator["propertyName"])
        reference = discriminator.get("mapping", {}).get(tag) if isinstance(tag, str) else None
        return {"$ref": reference} if reference else None

    def _name(self, schema: Schema) -> str:
        schema = resolve(schema, self.root)
        if "const" in schema or "enum" in schema:
            return ", ".join(map(_shown, schema.get("enum") or [schema["const"]]))
        return registry.expected_by(schema)

    def _object(self, schema: Schema, value: dict[str, Any], path: str) -> list[Problem]:
        parts: dict[str, Schema] = schema.get("properties", {})
        found = [
            Problem(_join(path, name), "is required")
            for name in schema.get("required", ())
            if value.get(name, self) is self
        ]
        extra = schema.get("additionalProperties", True)
        for name, item in value.items():
            where = _join(path, name)
            if name in parts:
                found += self.faults(parts[name], item, where) or self._after(parts, name, value, where)
            elif extra is False:
                found.append(Problem(where, _unknown(name, parts)))
            elif isinstance(extra, dict):
                found += self._key(schema, name, where) or self.faults(extra, item, where)
            elif isinstance(item, (dict, list)) and is_too_deep(item):
                found.append(Problem(where, TOO_DEEP))
        return found + _count_faults(schema, len(value), path, "minProperties", "maxProperties", "entries")

    def _key(self, schema: Schema, name: str, where: str) -> list[Problem]:
        rule = schema.get("propertyNames")
        return (
            [Problem(where, f"has a name that {fault.message}") for fault in self.faults(rule, name, "")]
            if rule
            else []
        )

    def _after(self, parts: dict[str, Schema], name: str, value: dict[str, Any], where: str) -> list[Problem]:
        sibling = parts[name].get("x-after")
        if sibling is None:
            return []
        earlier = value.get(sibling, parts.get(sibling, {}).get("default"))
        return [] if is_after(value[name], earlier) else [Problem(where, f"must be after {sibling}")]

    def _list(self, schema: Schema, value: list[Any], path: str) -> list[Problem]:
        first: list[Schema] = schema.get("prefixItems", [])
        rest = schema.get("items", {})
        found = []
        certain = len(value) > _FEW_ITEMS and not first and isinstance(rest, dict) and fits_all(rest, value)
        for index, item in enumerate(() if certain else value):
            rule = first[index] if index < len(first) else rest
            if rule is False:
                found.append(Problem(path, f"must have at most {len(first)} items"))
                break
            if rule and rule is not True:
                found += self.faults(rule, item, _join(path, str(index)))
            elif isinstance(item, (dict, list)) and is_too_deep(item):
                found.append(Problem(_join(path, str(index)), TOO_DEEP))
        found += _count_faults(schema, len(value), path, "minItems", "maxItems", "items")
        if schema.get("uniqueItems") and len(set(map(_hashable, value))) < len(value):
            found.append(Problem(path, "must not hold the same item twice"))
        return found


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else str(name)


def _same(a: Any, b: Any) -> bool:
    return bool(_hashable(a) == _hashable(b))


def _hashable(value: Any) -> Any:
    """Return what is equal for equal JSON: 1 is 1.0 and not true, in lists and objects, too."""
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, list):
        return ("list", *map(_hashable, value))
    if isinstance(value, dict):
        return ("object", frozenset((name, _hashable(item)) for name, item in value.items()))
    return value


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _has_type(kind: str, value: Any) -> bool:
    if kind in ("number", "integer"):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and (kind == "number" or isinstance(value, int) or value.is_integer())
    return isinstance(value, _CLASSES[kind])


def _type_fault(schema: Schema, value: Any) -> str:
    kinds = schema.get("type")
    if kinds is None:
        return ""
    if isinstance(kinds, str):
        if type(value) is _CLASSES[kinds]:
            return ""
        kinds = [kinds]
    if any(_has_type(kind, value) for kind in kinds):
        return ""
    return f"must be {registry.expected_by(schema)}"


def _choice_fault(schema: Schema, value: Any) -> str:
    if "const" in schema and not _same(schema["const"], value):
        return f"must be {_shown(schema['const'])}"
    choices = schema.get("enum")
    if choices is None or (type(value) is str and value in choices) or any(_same(choice, value) for choice in choices):
        return ""
    return f"is not one of {', '.join(map(_shown, choices))}"


def _count_faults(schema: Schema, count: int, path: str, least: str, most: str, noun: str) -> list[Problem]:
    if count < schema.get(least, 0):
        return [Problem(path, f"must have at least {_counted(schema[least], noun)}")]
    if count > schema.get(most, count):
        return [Problem(path, f"must have at most {_counted(schema[most], noun)}")]
    return []


def _counted(count: int, noun: str) -> str:
    singular = {"items": "item", "entries": "entry"}[noun]
    return f"{count} {singular if count == 1 else noun}"


def _unknown(name: str, parts: dict[str, Schema]) -> str:
    if not parts:
        return "is not known: nothing is expected here"
    from difflib import get_close_matches

    near = get_close_matches(name[:_LONGEST_NAME], parts, n=1)
    return f"is not known; did you mean {near[0]}?" if near else f"is not known; known are {', '.join(parts)}"


# --- texts and numbers ------------------------------------------------------------------------------------------------


def _scalar_fault(schema: Schema, value: Any) -> str:
    """Return what is wrong with a text or number that has the right type, as in "must be at least 1"; else ""."""
    if schema.get("format") == "decimal":
        return _decimal_fault(schema, value)
    if isinstance(value, str):
        return _text_fault(schema, value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _number_fault(schema, value)
    return ""


def _text_fault(schema: Schema, value: str) -> str:
    if len(value) < schema.get("minLength", 0):
        return (
            "must not be empty" if schema["minLength"] == 1 else f"must have at least {schema['minLength']} characters"
        )
    if len(value) > schema.get("maxLength", len(value)):
        return f"must have at most {schema['maxLength']} characters"
    text_format = schema.get("format")
    if text_format in registry.FORMATS and not _has_format(text_format, value):
        return f"must be {registry.FORMATS[text_format].expected}"
    if "pattern" in schema and not _matches(schema["pattern"], value):
        return f"must match the pattern {schema['pattern']}"
    return ""


def _matches(pattern: str, value: str) -> bool:
    """Whether the pattern is found in the text, by pydantic's own engine: in linear time, whatever the text.

    A pattern that it does not have (look-around, of a model with `regex_engine="python-re"`) passes: the model checks
    it in the predictor's own process, which has a time limit.
    """
    matcher = _matchers.get(pattern)
    if matcher is None:
        from pydantic_core import SchemaError, SchemaValidator, core_schema

        try:
            matcher = SchemaValidator(core_schema.str_schema(pattern=pattern)).isinstance_python
        except SchemaError:
            matcher = _accept
        _matchers[pattern] = matcher
    return matcher(value)


def _accept(_value: str) -> bool:
    return True


_matchers: dict[str, Callable[[str], bool]] = {}  # patterns are those of schemas, so there are few


def _has_format(text_format: str, value: str) -> bool:
    if text_format == "uuid":
        import re

        return re.fullmatch(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}", value) is not None
    return parse_moment(text_format, value) is not None


def parse_moment(text_format: str, value: str) -> Any:
    """Return the date, datetime or time that the text says, None if it is none, or says more than microseconds."""
    import datetime

    fraction = value.replace(",", ".").partition(".")[2]
    digits = len(fraction) - len(fraction.lstrip("0123456789"))
    if fraction[6:digits].strip("0"):
        return None
    try:
        if text_format == "date":
            return datetime.date.fromisoformat(value) if len(value) == 10 and value[4] == "-" == value[7] else None
        if text_format == "time":
            return datetime.time.fromisoformat(value) if ":" in value else None
        return datetime.datetime.fromisoformat(value) if value[4:5] == "-" else None
    except ValueError:
        return None


def _number_fault(schema: Schema, value: float) -> str:
    try:
        as_float = float(value)
    except OverflowError:
        as_float = value if schema.get("type") == "integer" else float("inf")
    if as_float != as_float or as_float in (float("inf"), float("-inf")):
        return "must be a finite number"
    step = schema.get("multipleOf")
    return _bound_fault(schema, value) or (
        f"must be a multiple of {_shown_bound(step)}" if step and not _is_multiple(value, step) else ""
    )


def _bound_fault(schema: Schema, value: Any) -> str:
    """Return which bound a number is beyond; `value` is an int, a float or a Decimal, which compare exactly."""
    if value < schema.get("minimum", value):
        return f"must be at least {_shown_bound(schema['minimum'])}"
    if value > schema.get("maximum", value):
        return f"must be at most {_shown_bound(schema['maximum'])}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        return f"must be more than {_shown_bound(schema['exclusiveMinimum'])}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        return f"must be less than {_shown_bound(schema['exclusiveMaximum'])}"
    return ""


def _is_multiple(value: float, step: float) -> bool:
    if float(step).is_integer() and isinstance(value, int):
        return value % int(step) == 0
    try:
        quotient = value / step
        return abs(quotient - round(quotient)) <= 1e-9
    except OverflowError:  # so large that a float has no fraction left
        return True


def parse_decimal(value: Any) -> Any:
    """Return the Decimal that a JSON number or text says exactly, None if it is none or not finite."""
    from decimal import Decimal, InvalidOperation

    try:
        found = Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, ValueError, TypeError):
        return None
    return found if found.is_finite() and not (isinstance(value, str) and "_" in value) else None


def _decimal_fault(schema: Schema, value: Any) -> str:
    """A Decimal travels as text or as a number: its bounds and digits hold for both."""
    number = parse_decimal(value)
    if number is None:
        return f"must be {registry.FORMATS['decimal'].expected}"
    from decimal import Decimal

    names = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    bounds = {name: Decimal(str(schema[name])) for name in names if name in schema}
    step = schema.get("multipleOf")
    if step and not _is_decimal_multiple(number, Decimal(str(step))):
        return f"must be a multiple of {_shown_bound(step)}"
    return _bound_fault(bounds, number) or _digits_fault(
        number, schema.get("x-max-digits"), schema.get("x-decimal-places")
    )


def _digits_fault(number: Any, most_digits: int | None, most_places: int | None) -> str:
    digits, places = _digits(number)
    if most_digits is not None and digits > most_digits:
        return f"must have at most {_count(most_digits, 'digit')}"
    if most_places is not None and places > most_places:
        return f"must have at most {_count(most_places, 'decimal place')}"
    if most_digits is not None and most_places is not None and digits - places > most_digits - most_places:
        return f"must have at most {_count(most_digits - most_places, 'digit')} before the decimal point"
    return ""


def _is_decimal_multiple(number: Any, step: Any) -> bool:
    try:
        return not number % step
    except ArithmeticError:  # the quotient has more digits than a Decimal computes with
        return False


def _digits(number: Any) -> tuple[int, int]:
    """Return (digits, decimal places) of a Decimal as written: 0.05 has two of each, 1E+3 four and none."""
    _, digits, exponent = number.as_tuple()
    places = max(0, -exponent)
    return max(len(digits) + max(0, exponent), places), places


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _shown_bound(bound: float) -> str:
    return str(int(bound)) if float(bound).is_integer() else str(bound)


def is_after(later: Any, earlier: Any) -> bool:
    """Whether `later` comes after `earlier`: dates, times or numbers. Values that cannot be compared pass."""
    if earlier is None or later is None:
        return True
    if isinstance(later, str) and isinstance(earlier, str):
        pairs = ((parse_moment(kind, later), parse_moment(kind, earlier)) for kind in ("date", "date-time", "time"))
        later, earlier = next((pair for pair in pairs if None not in pair), (None, None))
    try:
        return bool(later > earlier)
    except TypeError:
        return True
