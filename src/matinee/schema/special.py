"""The `x-matinee` values of the wire: what they look like, and which classes of which libraries they stand for.

Libraries are recognised by name and never imported to check.
"""

from __future__ import annotations

from typing import Any

_KINDS = {
    ("matinee", "Audio"): "audio",
    ("matinee", "File"): "file",
    ("matinee", "Markdown"): "markdown",
    ("PIL", "Image"): "image",
    ("numpy", "ndarray"): "array",
    ("pandas", "DataFrame"): "table",
    ("polars", "DataFrame"): "table",
    ("matplotlib", "Figure"): "figure",
    ("plotly", "BaseFigure"): "figure",
    ("plotly", "Figure"): "figure",
    ("altair", "TopLevelMixin"): "figure",
}
_JSON_TYPES = {"array": "array", "markdown": "string"}
_MEDIA = {"image": ("image/", "an image"), "audio": ("audio/", "a sound")}
COLUMN_TYPES = ("string", "integer", "number", "decimal", "boolean", "date", "datetime", "json")


def kind_of(cls: Any) -> tuple[str, str] | None:
    """Return (library, kind) if the class is one a marked value stands for: ("pandas", "table")."""
    for base in getattr(cls, "__mro__", ()):
        library = base.__module__.partition(".")[0]
        kind = _KINDS.get((library, base.__qualname__))
        if kind:
            return library, kind
    return None


def schema_of(kind: str) -> dict[str, Any]:
    """Return the schema of a marked value."""
    return {"type": _JSON_TYPES.get(kind, "object"), "x-matinee": kind}


def fault(kind: str, value: Any) -> str:
    """Return what is wrong with a marked value, as in "must be an image"; "" if nothing is."""
    if kind == "markdown":
        return "" if isinstance(value, str) else "must be text"
    if kind == "array":
        return "" if _shape(value) is not None else "must be numbers in lists of equal length"
    if kind == "table":
        return _table_fault(value)
    if kind == "figure" and isinstance(value, dict) and "$figure" in value:
        return "" if isinstance(value.get("spec"), dict) else "must be a figure with its spec"
    return _blob_fault(kind, value)


def is_blob(value: Any) -> bool:
    """Whether the value is a blob: bytes inside (`base64`) or in Files (`key`)."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("$blob"), str)
        and (isinstance(value.get("base64"), str) or isinstance(value.get("key"), str))
    )


def _blob_fault(kind: str, value: Any) -> str:
    prefix, name = _MEDIA.get(kind, ("", "a figure" if kind == "figure" else "a file"))
    if not is_blob(value):
        return f'must be {name}: {{"$blob": media type, "name": …, "base64": …}}'
    media_type: str = value["$blob"]
    if media_type.startswith(prefix) or media_type == "application/octet-stream":
        return ""
    return f"must be {name}, and this is {media_type}"


def _table_fault(value: Any) -> str:
    columns = value.get("$table") if isinstance(value, dict) else None
    rows = value.get("rows") if isinstance(value, dict) else None
    if not isinstance(columns, list) or not isinstance(rows, list):
        return 'must be a table: {"$table": [{"name": …, "type": …}], "rows": [[…]]}'
    for column in columns:
        if not isinstance(column, dict) or not isinstance(column.get("name"), str):
            return "has a column without a name"
        if column.get("type") not in COLUMN_TYPES:
            return f"has a column {column['name']} whose type is not one of {', '.join(COLUMN_TYPES)}"
    width = len(columns)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, list) or len(row) != width:
            return f"has {width} columns, and row {number} does not have {width} values"
    return ""


def _shape(value: Any) -> tuple[int, ...] | None:
    """Return the shape of nested lists of scalars, None if they are not rectangular."""
    if not isinstance(value, list):
        return () if value is None or isinstance(value, (int, float, str)) else None
    shapes = {_shape(item) for item in value}
    if len(shapes) > 1 or None in shapes:
        return None
    inner = shapes.pop() if shapes else ()
    return None if inner is None else (len(value), *inner)
