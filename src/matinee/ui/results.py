"""From a result (its schema and its JSON) to view blocks: what to show and what to offer for download. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from matinee.errors import MatineeError
from matinee.tables.columns import Column
from matinee.tables.write import LABELS, MEDIA_TYPES, write
from matinee.ui.forms import Schema
from matinee.ui.text import humanize
from matinee.values import registry
from matinee.values.validate import branch_of, problems

Json = Any

MAX_DEPTH = 4  # deeper than this, values are shown as JSON
SHORT_TEXT = 40  # characters that fit beside others in one line


@dataclass(frozen=True)
class Download:
    """Something to save. `make` returns its bytes when it is asked for; or `blob` holds them."""

    label: str
    file_name: str
    media_type: str
    make: Callable[[], bytes] | None = None
    blob: Json = None


@dataclass(frozen=True)
class Empty:
    """There is nothing: the result is null."""


@dataclass(frozen=True)
class Text:
    """Text as it is; `is_markdown` when the predictor said so."""

    text: str
    is_markdown: bool = False


@dataclass(frozen=True)
class Number:
    """A number, or a yes or no."""

    value: float | Decimal


@dataclass(frozen=True)
class Words:
    """A few short values side by side."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Shares:
    """Fractions between 0 and 1 by name, largest first: probabilities."""

    shares: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Record:
    """Named values."""

    entries: tuple[tuple[str, Block], ...]


@dataclass(frozen=True)
class Items:
    """Values one after the other."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Table:
    """Rows of plain values; `kinds` are the columns' types, as the table's own heading has them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Json, ...], ...]
    downloads: tuple[Download, ...] = ()
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Media:
    """A blob: shown by the player of its `kind` (a row of the registry), and always offered for download."""

    kind: str
    blob: Json
    downloads: tuple[Download, ...]


@dataclass(frozen=True)
class Figure:
    """A figure drawn by the browser: `kind` is "vega-lite" or "plotly"."""

    kind: str
    spec: Json
    downloads: tuple[Download, ...]


@dataclass(frozen=True)
class Tree:
    """Anything else, as JSON."""

    value: Json


Block = Empty | Text | Number | Words | Shares | Record | Items | Table | Media | Figure | Tree


_UNKNOWN: dict[str, Json] = {}  # of a result that is older than its predictor's schema: then its shape says what it is
_UNKNOWN |= {"items": _UNKNOWN, "additionalProperties": _UNKNOWN}


def blocks_of(schema: Schema, result: Json, name: str = "result") -> Block:
    """Return what to show of a result; `name` names the files to download."""
    is_known = schema and not problems(dict(schema), result)
    return _block(schema if is_known else _UNKNOWN, result, schema.get("$defs", {}), name, 0)


def _is_marked(schema: Schema, value: Json, defs: Schema) -> bool:
    """Whether the schema says file, table or figure; a dictionary that only looks like one is shown as it is."""
    if schema is _UNKNOWN:
        return not all(registry.fault(mark, value) for mark in ("file", "table", "figure"))
    return "x-matinee" in branch_of(schema, value, {"$defs": defs})


def _json(value: Json) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def _block(schema: Schema, value: Json, defs: Schema, name: str, depth: int) -> Block:
    if value is None:
        return Empty()
    if isinstance(value, Mapping) and _is_marked(schema, value, defs):
        return _marked(value, name)
    plain = branch_of(schema, value, {"$defs": defs})
    row = registry.row_of(plain)
    if isinstance(value, str) and row is not None and row.name == "decimal" and _is_decimal(value):
        return Number(Decimal(value))
    if isinstance(value, str):
        return Text(value, is_markdown=row is not None and row.carrier == "markdown")
    if isinstance(value, (bool, int, float)):
        return Number(value)
    if depth >= MAX_DEPTH:
        return Tree(value)
    if isinstance(value, Mapping):
        return _mapping(plain, value, defs, name, depth)
    return _list(plain, value, defs, name, depth)


def _is_decimal(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _marked(value: Mapping[str, Json], name: str) -> Block:
    if "$table" in value:
        columns = [str(column["name"]) for column in value["$table"]]
        return _table(columns, value["rows"], name, [str(column["type"]) for column in value["$table"]])
    if "$blob" in value:
        return _media(value, name)
    spec = Download("Figure", f"{name}.json", "application/json", partial(_json, value["spec"]))
    return Figure(str(value["$figure"]), value["spec"], (spec,))


def _media(blob: Mapping[str, Json], name: str) -> Media:
    media_type = str(blob["$blob"])
    file_name = str(blob.get("name") or "") or name + registry.ENDINGS.get(media_type, "")
    kind = registry.shown_as(media_type)
    label = (
        file_name.rpartition(".")[2].upper() if kind == "image" else file_name if kind == "file" else kind.capitalize()
    )
    return Media(kind, blob, (Download(label, file_name, media_type, blob=blob),))


def _table(columns: Sequence[str], rows: Sequence[Sequence[Json]], name: str, kinds: Sequence[str] = ()) -> Table:
    known = kinds or [_kind([row[i] for row in rows if i < len(row)]) for i in range(len(columns))]
    heads = [Column(title, kind) for title, kind in zip(columns, known, strict=True)]
    whole = [[*row, *[None] * (len(columns) - len(row))] for row in rows]
    downloads = [
        Download(label, f"{name}.{form}", MEDIA_TYPES[form], partial(_file, form, heads, whole))
        for form, label in LABELS.items()
    ]
    downloads.insert(1, Download("CSV ;", f"{name}.csv", MEDIA_TYPES["csv"], partial(_file, "csv", heads, whole, ";")))
    return Table(tuple(columns), tuple(map(tuple, rows)), tuple(downloads), tuple(known))


def _file(form: str, columns: Sequence[Column], rows: Sequence[Sequence[Json]], separator: str = ",") -> bytes:
    try:
        return b"".join(write(form, columns, rows, separator=separator))
    except MatineeError as error:  # it runs outside the page, which cannot show it
        return str(error).encode()


def _kind(values: Sequence[Json]) -> str:
    types = {type(value) for value in values if value is not None}
    names: list[tuple[set[type], str]] = [({bool}, "boolean"), ({int}, "integer"), ({int, float}, "number")]
    return next((name for fitting, name in names if types and types <= fitting), "string")


def _mapping(schema: Schema, value: Mapping[str, Json], defs: Schema, name: str, depth: int) -> Block:
    if not value:
        return Empty()
    properties = schema.get("properties", {})
    if not properties and _are_shares(value.values()):
        return Shares(tuple(sorted(((str(k), float(v)) for k, v in value.items()), key=lambda share: -share[1])))
    rest = schema.get("additionalProperties")
    other = rest if isinstance(rest, Mapping) else {}
    return Record(
        tuple(
            (
                _label(str(key), properties.get(key)),
                _block(properties.get(key, other), v, defs, f"{name}-{key}", depth + 1),
            )
            for key, v in value.items()
        )
    )


def _label(key: str, schema: Schema | None) -> str:
    """Only the names of a model's fields become words; the keys of a dict are the predictor's own data."""
    return key if schema is None else humanize(key)


def _are_shares(values: Any) -> bool:
    numbers = list(values)
    inside = all(isinstance(v, (int, float)) and not isinstance(v, bool) and 0 <= v <= 1 for v in numbers)
    return len(numbers) > 1 and inside and 0.98 <= sum(numbers) <= 1.02


def _list(schema: Schema, values: Sequence[Json], defs: Schema, name: str, depth: int) -> Block:
    if not values:
        return Empty()
    prefix, item = schema.get("prefixItems", ()), schema.get("items")
    parts = [*prefix, *[item if isinstance(item, Mapping) else {}] * (len(values) - len(prefix))]
    if not any(_is_marked(part, v, defs) for part, v in zip(parts, values, strict=False)):
        if all(map(_is_plain, values)) and not prefix:
            return _plain_list(values, name)
        if all(isinstance(v, Mapping) and all(map(_is_plain, v.values())) for v in values):
            keys = tuple(dict.fromkeys(str(key) for row in values for key in row))
            return _table(keys, [[row.get(key) for key in keys] for row in values], name)
        if _is_matrix(values):
            width = max(map(len, values))
            return _table([str(i + 1) for i in range(width)], values, name)
    return Items(
        tuple(
            _block(part, v, defs, f"{name}-{i}", depth + 1)
            for i, (part, v) in enumerate(zip(parts, values, strict=False), 1)
        )
    )


def _plain_list(values: Sequence[Json], name: str) -> Block:
    words = [_word(value) for value in values]
    if len(words) <= 24 and all(len(word) <= SHORT_TEXT for word in words):
        return Words(tuple(words))
    return _table(["value"], [[value] for value in values], name)


def _word(value: Json) -> str:
    return "—" if value is None else humanize(value) if isinstance(value, bool) else f"{value}"


def _is_plain(value: Json) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _is_matrix(values: Sequence[Json]) -> bool:
    rows = [row for row in values if isinstance(row, list) and row and all(map(_is_plain, row))]
    return len(rows) == len(values) and len({len(row) for row in rows}) == 1
