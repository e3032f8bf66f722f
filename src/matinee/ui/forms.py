"""From the JSON Schema of a predictor's parameters to a form: frozen values that know nothing of widgets.

`form_of(schema)` is the whole of it. A schema no widget fits becomes a field of kind `json`, so that every predictor
can be called from a page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matinee.errors import Problem
from matinee.ui.text import humanize
from matinee.values import registry

Json = Any
Kind = str  # a row's `field` in the registry of values, or how several fields stand together: record, list, union …
Schema = Mapping[str, Json]

MAX_DEPTH = 6  # a recursive model is offered this deep, then as JSON
LONG_TEXT = 200  # a text allowed to be this long gets more than one line

MOVING = frozenset({*registry.UPLOADS, "record", "tuple", "list", "union"})  # kinds drawn anew when they are filled in
PLAIN = ("text", "integer", "number", "decimal")  # kinds that fit on a line


class Missing:
    """The absence of a value: not the same as null."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING = Missing()


@dataclass(frozen=True)
class Choice:
    """One of the values a field may take."""

    label: str
    value: Json


@dataclass(frozen=True)
class Field:
    """One value a person gives. `path` is where it is in the inputs, as in `model.layers`; "" is the form itself."""

    name: str
    path: str
    kind: Kind
    label: str
    help: str = ""
    required: bool = False  # must be given: there is no default
    nullable: bool = False  # may be null
    default: Json = MISSING
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    max_length: int | None = None
    choices: tuple[Choice, ...] = ()
    fields: tuple[Field, ...] = ()  # of a record; the places of a tuple; the alternatives of a union
    item: Field | None = None  # of a list; the values of pairs
    accept: tuple[str, ...] = ()  # file name endings, without the dot
    min_items: int = 0
    max_items: int | None = None

    @property
    def may_be_left_out(self) -> bool:
        """Whether the inputs are whole without it, as null or not at all: a group of fields then has a switch."""
        return self.nullable or (not self.required and self.default is MISSING)

    @property
    def holds_uploads(self) -> bool:
        """Whether it is a list of files: one uploader takes them all."""
        return self.kind == "list" and self.item is not None and self.item.kind in registry.FILES


@dataclass(frozen=True)
class Form:
    """The fields of a predictor's parameters, in the order of its signature."""

    fields: tuple[Field, ...]

    @property
    def is_still(self) -> bool:
        """Whether nothing on the page depends on what is filled in: the browser may keep it until it is sent."""
        return all(_is_still(f) for f in self.fields)


def _is_still(f: Field) -> bool:
    if f.kind in ("record", "tuple"):
        return not f.may_be_left_out and all(_is_still(part) for part in f.fields)
    return f.kind not in MOVING


def form_of(parameters: Schema) -> Form:
    """Return the form of an object schema (JSON Schema 2020-12 with `x-matinee`)."""
    return Form(_fields(parameters, parameters.get("$defs", {}), "", 0))


def messages_by_field(form: Form, problems: Iterable[Problem]) -> dict[str, list[str]]:
    """Return sentences by the path of the field nearest to each problem; "" holds those of the whole form."""
    labels = dict(_labels(form.fields))
    messages: dict[str, list[str]] = {}
    for problem in problems:
        path = problem.path
        while path and path not in labels:
            path = path.rpartition(".")[0]
        places = [_place(part) for part in problem.path[len(path) :].split(".") if part]
        what = ", ".join([labels[path], *places] if path else places)
        sentence = f"{what} {problem.message}".strip()
        ended = sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
        if ended not in messages.setdefault(path, []):
            messages[path].append(ended)
    return messages


def _place(part: str) -> str:
    return f"item {int(part) + 1}" if part.isdecimal() else humanize(part)


def _labels(fields: Iterable[Field]) -> Iterable[tuple[str, str]]:
    for field in fields:
        yield field.path, field.label
        if field.kind in ("record", "tuple"):
            yield from _labels(field.fields)
        elif field.kind == "union":
            yield from ((path, label) for path, label in _labels(field.fields) if path != field.path)


def _fields(schema: Schema, defs: Schema, parent: str, depth: int) -> tuple[Field, ...]:
    required = set(schema.get("required", ()))
    return tuple(
        field_of(name, part, defs, parent=parent, required=name in required, depth=depth)
        for name, part in schema.get("properties", {}).items()
    )


def field_of(
    name: str, schema: Schema, defs: Schema, *, parent: str = "", required: bool = True, depth: int = 0
) -> Field:
    """Return the field of one property; `defs` are the schema's `$defs`."""
    plain, nullable = _plain(schema, defs)
    path = f"{parent}.{name}" if parent else name
    field = Field(
        name=name,
        path=path,
        kind="json",
        label=_label(name, schema),
        help=str(plain.get("description", "")),
        required=required and "default" not in plain,
        nullable=nullable,
        default=plain.get("default", MISSING),
    )
    return _with_kind(field, plain, defs, depth)


def _label(name: str, schema: Schema) -> str:
    """A title somebody wrote wins over the name; pydantic's own title is only the name again, or a class's."""
    title = str(schema.get("title", ""))
    return title if title and title.casefold() != name.replace("_", " ").casefold() else humanize(name)


def _plain(schema: Schema, defs: Schema) -> tuple[dict[str, Json], bool]:
    """Follow references, join `allOf` of one, and take null out of the alternatives; return whether null was among."""
    merged = dict(schema)
    nullable = False
    for _ in range(20):  # references that go round in a circle end here
        if "$ref" in merged:
            target = defs.get(str(merged.pop("$ref")).rpartition("/")[2], {})
            merged = {**target, **merged}
        elif len(merged.get("allOf", ())) == 1:
            merged = {**merged.pop("allOf")[0], **merged}
        elif isinstance(merged.get("type"), list):
            kinds = [kind for kind in merged["type"] if kind != "null"]
            nullable = nullable or len(kinds) < len(merged["type"])
            merged["type"] = kinds[0] if len(kinds) == 1 else ""
        elif "anyOf" in merged or "oneOf" in merged:
            key = "anyOf" if "anyOf" in merged else "oneOf"
            rest = [part for part in merged[key] if part.get("type") != "null"]
            nullable = nullable or len(rest) < len(merged[key])
            if len(rest) != 1:
                return {**merged, key: rest}, nullable
            merged = {**rest[0], **{k: v for k, v in merged.items() if k != key}}
        else:
            break
    if "enum" in merged and None in merged["enum"]:
        merged["enum"], nullable = [value for value in merged["enum"] if value is not None], True
    return merged, nullable


def _with_kind(field: Field, schema: Schema, defs: Schema, depth: int) -> Field:
    row = registry.row_of(schema)
    if row and "x-matinee" in schema and row.carrier != "markdown":
        return replace(field, kind=row.field, accept=_accept(row, schema))
    if row is registry.FORMATS["decimal"]:
        return _number(replace(field, kind=row.field), schema)
    if "const" in schema and not field.nullable:
        return replace(field, kind="constant", default=schema["const"])
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
    if "enum" in schema:
        return replace(field, kind="choice", choices=_choices(schema))
    if "anyOf" in schema or "oneOf" in schema:
        return _union(field, schema, defs, depth)
    return _typed(field, schema, defs, depth)


def _typed(field: Field, schema: Schema, defs: Schema, depth: int) -> Field:
    match schema.get("type"):
        case "string":
            return _text(field, schema)
        case "integer" | "number" as kind:
            return _number(replace(field, kind=kind), schema)
        case "boolean":
            return _switch(field)
        case "null":
            return replace(field, kind="constant", default=None)
        case "object":
            return _record(field, schema, defs, depth)
        case "array":
            return _list(field, schema, defs, depth)
    return field


def _switch(field: Field) -> Field:
    """A switch cannot show "not chosen", so one that may be left out is a choice."""
    if field.may_be_left_out:
        return replace(field, kind="choice", choices=(Choice("Yes", True), Choice("No", False)))
    return replace(field, kind="switch")


def _choices(schema: Schema) -> tuple[Choice, ...]:
    """Labels that would be the same for two values are the values as JSON: `a` and `A`, 1 and `1`."""
    values, words = schema["enum"], schema.get("x-labels", {})
    labels = [str(words.get(str(value), "")) or humanize(value) for value in values]
    is_clear = len(set(labels)) == len(labels) and all(label.strip() for label in labels)
    return tuple(map(Choice, labels if is_clear else map(json.dumps, values), values))


def _accept(row: registry.ValueType, schema: Schema) -> tuple[str, ...]:
    declared = tuple(str(ending).lstrip(".").lower() for ending in schema.get("x-accept", ()))
    return declared or row.accept


def _text(field: Field, schema: Schema) -> Field:
    formats = {"textarea": "long_text", **{name: row.field for name, row in registry.FORMATS.items()}}
    max_length = schema.get("maxLength")
    is_long = (max_length or 0) > LONG_TEXT or schema.get("x-matinee") == "markdown" or "\n" in str(field.default)
    kind = formats.get(str(schema.get("format", "")), "long_text" if is_long else "text")
    return replace(field, kind=kind, max_length=max_length)


def _number(field: Field, schema: Schema) -> Field:
    step = schema.get("multipleOf", 1 if field.kind == "integer" else None)
    low, high = schema.get("minimum"), schema.get("maximum")
    if field.kind == "integer":
        low = schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else low
        high = schema["exclusiveMaximum"] - 1 if "exclusiveMaximum" in schema else high
    return replace(field, minimum=low, maximum=high, step=step)


def _record(field: Field, schema: Schema, defs: Schema, depth: int) -> Field:
    if depth >= MAX_DEPTH:
        return field
    if not schema.get("properties"):
        return _pairs(field, schema.get("additionalProperties"), defs, depth)
    return replace(field, kind="record", fields=_fields(schema, defs, field.path, depth + 1))


def _pairs(field: Field, values: Json, defs: Schema, depth: int) -> Field:
    """Names and plain values, whose keys nobody knows beforehand: one a line."""
    if not isinstance(values, Mapping):
        return field
    item = field_of("value", values, defs, depth=depth + 1)
    is_plain = item.kind in PLAIN and not item.nullable
    return replace(field, kind="pairs", item=item) if is_plain else field


def _tuple(field: Field, places: list[Schema], defs: Schema, depth: int) -> Field:
    parts = tuple(field_of(str(i), part, defs, parent=field.path, depth=depth + 1) for i, part in enumerate(places))
    named = tuple(replace(f, label=str(i) if f.label.isdecimal() else f.label) for i, f in enumerate(parts, 1))
    return replace(field, kind="tuple", fields=named)


def _list(field: Field, schema: Schema, defs: Schema, depth: int) -> Field:
    if depth < MAX_DEPTH and schema.get("prefixItems"):
        return _tuple(field, schema["prefixItems"], defs, depth)
    if depth >= MAX_DEPTH or not isinstance(schema.get("items"), Mapping):
        return field
    item = field_of("item", schema["items"], defs, depth=depth + 1)
    sized = replace(field, item=item, min_items=schema.get("minItems", 0), max_items=schema.get("maxItems"))
    if item.kind == "choice" and schema.get("uniqueItems"):
        return replace(sized, kind="choices", choices=item.choices)
    if item.kind in PLAIN and not item.nullable:
        return replace(sized, kind="lines")
    return replace(sized, kind="list")


def _union(field: Field, schema: Schema, defs: Schema, depth: int) -> Field:
    parts = schema.get("anyOf") or schema.get("oneOf") or []
    if depth >= MAX_DEPTH or not parts:
        return field
    found = [field_of(field.name, part, defs, depth=depth + 1) for part in parts]
    alternatives = tuple(
        replace(moved(f, field.path), label=_alternative_label(f, part, defs), required=field.required)
        for f, part in zip(found, parts, strict=True)
    )
    whole = tuple(f if f.kind == "constant" else replace(f, default=field.default) for f in alternatives)
    return replace(field, kind="union", fields=tuple(_labelled_apart(whole)))


def _labelled_apart(fields: Sequence[Field]) -> Iterator[Field]:
    """Yield the fields with labels that differ: the browser says by its label which one was chosen."""
    labels = [f.label for f in fields]
    for i, f in enumerate(fields):
        count = labels[:i].count(f.label)
        yield replace(f, label=f"{f.label} ({count + 1})") if count else f


def moved(field: Field, path: str) -> Field:
    """Return the field at another path: an alternative stands at its union's own, an item at its place in the list."""
    inner = tuple(moved(f, f"{path}.{f.name}") for f in field.fields)
    return replace(field, path=path, fields=inner)


def _alternative_label(field: Field, part: Schema, defs: Schema) -> str:
    plain, _ = _plain(part, defs)
    words = {"integer": "Whole number", "long_text": "Text", "lines": "List", "switch": "Yes or no", "json": "Other"}
    return humanize(str(plain.get("title") or plain.get("const") or words.get(field.kind, field.kind)))
