"""Results and inputs as read-only Python values, made from JSON and its schema, without their classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from matinee.schema import validate
from matinee.schema.decode import Json, ReadBlob
from matinee.schema.refs import Schema, resolve
from matinee.schema.values import Blob, Figure, Table


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

    `read_blob` is asked for bytes when a Blob with a `key` is read. With the empty schema marked values are still
    recognised and objects become Records.
    """
    return _Reading(schema, read_blob).value(schema, value)


class _Reading:
    def __init__(self, root: Schema, read_blob: ReadBlob) -> None:
        self.root = root
        self.read_blob = read_blob

    def value(self, schema: Schema, value: Json) -> Any:
        schema = self._meant(schema, value)
        if schema.get("x-matinee") == "markdown":
            from matinee.types import Markdown

            return Markdown(value)
        if isinstance(value, str):
            return _text(schema.get("format", ""), value)
        if isinstance(value, list):
            return self._list(schema, value)
        if isinstance(value, dict):
            return self._object(schema, value)
        if schema.get("type") == "number" and type(value) is int:
            return float(value)
        return value

    def _meant(self, schema: Schema, value: Json) -> Schema:
        """Follow references and take the branch of a union that fits."""
        schema = resolve(schema, self.root)
        branches = schema.get("anyOf") or schema.get("oneOf")
        if not branches:
            return schema
        defs = {"$defs": self.root.get("$defs", {})}
        fitting = (b for b in branches if not validate.problems({**b, **defs}, value))
        return self._meant(next(fitting, {}), value)

    def _list(self, schema: Schema, value: list[Json]) -> Any:
        if schema.get("x-matinee") == "array":
            return value
        first = schema.get("prefixItems", [])
        rest = schema.get("items")
        rest = rest if isinstance(rest, dict) else {}
        items = [self.value(first[i] if i < len(first) else rest, item) for i, item in enumerate(value)]
        if first:
            return tuple(items)
        return _as_set(items) if schema.get("uniqueItems") else items

    def _object(self, schema: Schema, value: dict[str, Json]) -> Any:
        if "$blob" in value:
            return Blob(value, self.read_blob)
        if "$table" in value:
            return Table(value)
        if "$figure" in value:
            return Figure(str(value["$figure"]), value.get("spec"))
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


def _text(kind: str, value: str) -> Any:
    if kind in ("date", "date-time", "time"):
        from matinee.schema.scalars import parsed

        found = parsed(kind, value)
        return value if found is None else found
    if kind == "uuid":
        from uuid import UUID

        return UUID(value)
    return value
