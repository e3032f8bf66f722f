"""Checks JSON values against the part of JSON Schema 2020-12 that `describe` writes, with messages for people.

The one validator of the UI, the API, the client and the runtime. Imports next to nothing: a predictor starts fast.
"""

from __future__ import annotations

from typing import Any

from matinee.errors import InputError, Problem
from matinee.schema import scalars, special
from matinee.schema.refs import Schema, resolve

_TYPE_NAMES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "empty",
}


def problems(schema: Schema, value: Any) -> list[Problem]:
    """Return everything that is wrong with the value; nothing if it fits."""
    return _Visit(schema).faults(schema, value, "")


def check(schema: Schema, value: Any) -> Any:
    """Return the arguments with missing defaults filled in; raise InputError naming everything that is wrong."""
    found = problems(schema, value)
    if found:
        raise InputError(problems=tuple(found))
    if not isinstance(value, dict):
        return value
    parts = schema.get("properties", {}).items()
    return {**value, **{n: _fresh(p["default"]) for n, p in parts if "default" in p and n not in value}}


def _fresh(default: Any) -> Any:
    if isinstance(default, dict):
        return {name: _fresh(item) for name, item in default.items()}
    return [_fresh(item) for item in default] if isinstance(default, list) else default


class _Visit:
    """One walk over a value; `root` holds the definitions that references point to."""

    def __init__(self, root: Schema) -> None:
        self.root = root

    def faults(self, schema: Schema, value: Any, path: str) -> list[Problem]:
        if "$ref" in schema:
            schema = resolve(schema, self.root)
        if "x-matinee" in schema:
            message = special.fault(schema["x-matinee"], value)
            return [Problem(path, message)] if message else []
        found = self._branches(schema, value, path)
        message = _choice_fault(schema, value) or _type_fault(schema, value)
        if message:
            return [*found, Problem(path, message)]
        if isinstance(value, dict):
            return found + self._object(schema, value, path)
        if isinstance(value, list):
            return found + self._list(schema, value, path)
        message = scalars.fault(schema, value)
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
        told = schema.get("discriminator")
        if not told or not isinstance(value, dict):
            return None
        reference = told.get("mapping", {}).get(value.get(told["propertyName"]))
        return {"$ref": reference} if reference else None

    def _name(self, schema: Schema) -> str:
        schema = resolve(schema, self.root)
        if "x-matinee" in schema:
            return f"a value of type {schema['x-matinee']}"
        if "const" in schema or "enum" in schema:
            return ", ".join(map(_shown, schema.get("enum") or [schema["const"]]))
        kind = schema.get("type")
        return scalars.FORMAT_NAMES.get(schema.get("format", "")) or _TYPE_NAMES.get(str(kind), "something else")

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
        return [] if scalars.is_after(value[name], earlier) else [Problem(where, f"must be after {sibling}")]

    def _list(self, schema: Schema, value: list[Any], path: str) -> list[Problem]:
        first: list[Schema] = schema.get("prefixItems", [])
        rest = schema.get("items", {})
        found = []
        for index, item in enumerate(value):
            rule = first[index] if index < len(first) else rest
            if rule is False:
                found.append(Problem(path, f"must have at most {len(first)} items"))
                break
            if rule and rule is not True:
                found += self.faults(rule, item, _join(path, str(index)))
        found += _count_faults(schema, len(value), path, "minItems", "maxItems", "items")
        if schema.get("uniqueItems") and any(_same(a, b) for i, a in enumerate(value) for b in value[:i]):
            found.append(Problem(path, "must not hold the same item twice"))
        return found


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else str(name)


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _has_type(kind: str, value: Any) -> bool:
    if kind in ("number", "integer"):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and (kind == "number" or isinstance(value, int) or value.is_integer())
    classes = {"string": str, "boolean": bool, "array": list, "object": dict, "null": type(None)}
    return isinstance(value, classes[kind])


def _type_fault(schema: Schema, value: Any) -> str:
    kinds = schema.get("type")
    if kinds is None:
        return ""
    if isinstance(kinds, str):
        kinds = [kinds]
    if any(_has_type(kind, value) for kind in kinds):
        return ""
    name = scalars.FORMAT_NAMES.get(schema.get("format", ""))
    return "must be " + (name or " or ".join(_TYPE_NAMES[kind] for kind in kinds))


def _choice_fault(schema: Schema, value: Any) -> str:
    if "const" in schema and not _same(schema["const"], value):
        return f"must be {_shown(schema['const'])}"
    choices = schema.get("enum")
    if choices is None or any(_same(choice, value) for choice in choices):
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

    near = get_close_matches(name, parts, n=1)
    return f"is not known; did you mean {near[0]}?" if near else f"is not known; known are {', '.join(parts)}"
