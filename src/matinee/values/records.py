"""Results and inputs as read-only Python values, made from JSON and its schema, without their classes.

An object is a Record; a marked value is a Blob (file, image, sound, video), a Table or a Figure, without any library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from os import PathLike, fspath
from typing import Any

from matinee.values import blobs, registry
from matinee.values.blobs import Json, ReadBlob
from matinee.values.validate import Schema, branch_of, parse_decimal, parse_moment


class Record(Mapping[str, Any]):
    """A read-only object: `record.activity`, `record["activity"]`, `dict(record)`."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, Any]) -> None:
        object.__setattr__(self, "_fields", dict(fields))

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):  # a field named `items` or `get` wins over the mapping's method
            fields = object.__getattribute__(self, "_fields")
            if name in fields:
                return fields[name]
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        if name in self._fields:
            return self._fields[name]
        raise AttributeError(f"there is no {name}; there are {', '.join(self._fields)}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name} cannot be set: results are read-only")

    __delattr__ = __setattr__  # type: ignore[assignment]

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and self._fields == dict(other)

    __hash__ = None  # type: ignore[assignment]

    def __dir__(self) -> list[str]:
        return [*self._fields]

    def __repr__(self) -> str:
        return f"Record({', '.join(f'{name}={value!r}' for name, value in self._fields.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Record, (dict(self._fields),)


def from_json(schema: Schema, value: Json, read_blob: ReadBlob) -> Any:
    """Return the JSON value as Record, Table, Blob, Figure, date …, as the schema says.

    `read_blob` is asked for bytes when a Blob with a `key` is read. A dictionary that only looks like a blob or a
    table, where the schema has none, stays a dictionary.
    """
    return _Reading(schema, read_blob).value(schema, value)


class _Reading:
    def __init__(self, root: Schema, read_blob: ReadBlob) -> None:
        self.root = root
        self.read_blob = read_blob

    def value(self, schema: Schema, value: Json) -> Any:
        schema = branch_of(schema, value, self.root)
        if "x-matinee" in schema:
            return self._marked(schema["x-matinee"], value)
        if isinstance(value, list):
            return self._list(schema, value)
        if isinstance(value, dict):
            return self._object(schema, value)
        if schema.get("format") in registry.FORMATS:
            return _of_format(schema["format"], value)
        if schema.get("type") == "number" and type(value) is int:
            return float(value)
        return value

    def _marked(self, mark: str, value: Json) -> Any:
        if mark == "markdown":
            from matinee.types import Markdown

            return Markdown(value)
        if not isinstance(value, dict):
            return value
        if "$table" in value:
            return Table(value)
        if "$figure" in value:
            return Figure(str(value["$figure"]), value.get("spec"))
        return Blob(value, self.read_blob) if "$blob" in value else value

    def _list(self, schema: Schema, value: list[Json]) -> Any:
        first = schema.get("prefixItems", [])
        rest = schema.get("items")
        rest = rest if isinstance(rest, dict) else {}
        items = [self.value(first[i] if i < len(first) else rest, item) for i, item in enumerate(value)]
        if first:
            return tuple(items)
        return _as_set(items) if schema.get("uniqueItems") else items

    def _object(self, schema: Schema, value: dict[str, Json]) -> Any:
        parts = schema.get("properties", {})
        extra = schema.get("additionalProperties")
        extra = extra if isinstance(extra, dict) else {}
        fields = {name: self.value(parts.get(name, extra), item) for name, item in value.items()}
        is_open = schema.get("type") == "object" and not parts
        return fields if is_open else Record(fields)


def _as_set(items: list[Any]) -> Any:
    try:
        return frozenset(items)
    except TypeError:
        return items


def _of_format(text_format: str, value: Json) -> Any:
    """Return the date, time, UUID or Decimal; the value itself where it is none (a schema has changed since)."""
    if text_format == "decimal":
        found = None if isinstance(value, bool) else parse_decimal(value)
    elif not isinstance(value, str):
        return value
    elif text_format == "uuid":
        from uuid import UUID

        return UUID(value)
    else:
        found = parse_moment(text_format, value)
    return value if found is None else found


class Blob:
    """Bytes with a name and a media type; they are fetched when they are read."""

    def __init__(self, value: dict[str, Any], read_blob: ReadBlob) -> None:
        self.media_type: str = value["$blob"]
        self.name: str = value.get("name", "")
        self._value = value
        self._read_blob = read_blob

    def read(self) -> bytes:
        """Return the bytes."""
        return blobs.bytes_of(self._value, self._read_blob)

    def text(self, encoding: str = "utf-8") -> str:
        """Return the bytes as text."""
        return self.read().decode(encoding)

    def save(self, path: str | PathLike[str] = "") -> str:
        """Write the bytes to `path` (default: the blob's own name, here) and return the path."""
        target = fspath(path) or blobs.file_name(self._value)
        with open(target, "wb") as stream:  # noqa: PTH123
            stream.write(self.read())
        return target

    def image(self) -> Any:
        """Return it as a PIL image, upright (needs pillow)."""
        from matinee.values.pictures import open_picture

        return open_picture(self.read(), self.name)

    @property
    def json(self) -> Json:
        """The blob as it stands in JSON: what another predictor takes."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and (self._value == other._value or self.read() == other.read())

    __hash__ = None  # type: ignore[assignment]

    def _repr_png_(self) -> bytes | None:
        return self.read() if self.media_type == "image/png" else None

    def __repr__(self) -> str:
        return f"Blob({self.name!r}, {self.media_type})"


class Figure:
    """A plotly or Vega-Lite figure: `kind` ("plotly", "vega-lite") and its `spec`."""

    def __init__(self, kind: str, spec: Any) -> None:
        self.kind = kind
        self.spec = spec

    @property
    def json(self) -> Json:
        """The figure as it stands in JSON."""
        return {"$figure": self.kind, "spec": self.spec}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Figure) and self.json == other.json

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Figure({self.kind})"


class Table:
    """Rows with named, typed columns. `len(table)`, `table["date"]`, `for row in table`, `table.to_pandas()`."""

    def __init__(self, value: dict[str, Any]) -> None:
        self._value = value
        self.columns: list[str] = [column["name"] for column in value["$table"]]
        self.types: dict[str, str] = {column["name"]: column["type"] for column in value["$table"]}

    def __len__(self) -> int:
        return len(self._value["rows"])

    def __getitem__(self, column: str) -> list[Any]:
        index = self.columns.index(column) if column in self.columns else -1
        if index < 0:
            raise KeyError(f"there is no column {column}; there are {', '.join(self.columns)}")
        return [_cell(self.types[column], row[index]) for row in self._value["rows"]]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        kinds = [self.types[name] for name in self.columns]
        for row in self._value["rows"]:
            yield {n: _cell(k, cell) for n, k, cell in zip(self.columns, kinds, row, strict=True)}

    @property
    def rows(self) -> list[list[Json]]:
        """The rows as they stand in JSON."""
        rows: list[list[Json]] = self._value["rows"]
        return rows

    @property
    def json(self) -> Json:
        """The table as it stands in JSON: what another predictor takes."""
        return self._value

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame (needs pandas)."""
        from matinee.values.frames import to_pandas

        return to_pandas(self._value)

    def to_polars(self) -> Any:
        """Return a polars DataFrame (needs polars)."""
        from matinee.values.frames import to_polars

        return to_polars(self._value)

    def to_csv(self) -> str:
        """Return the table as CSV text with a header line; no text in it is a formula."""
        from matinee.tables.write import columns_and_rows, csv_text

        return "".join(csv_text(*columns_and_rows(self._value), ending="\n"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self._value == other._value

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Table({len(self)} rows: {', '.join(self.columns)})"


_READ: dict[str, Callable[[str], Any]] = {
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "decimal": Decimal,
}


def _cell(kind: str, value: Json) -> Any:
    if isinstance(value, str) and kind in _READ:
        return _READ[kind](value)
    return value
