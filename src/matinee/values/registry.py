"""The value types: one row for each kind of value that can be a parameter or a result.

A row says everything about its type that more than one place needs: `describe` writes its schema, `validate` checks by
it, `decode` and `encode` find its codec, and the form, the page, the command line, the HTTP API and MCP ask here what
to offer. A new type is a row, its codec where none fits, its player where the browser needs one, and its test.
Libraries are recognised by name and never imported to check.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from matinee import tables
from matinee.values import blobs
from matinee.values.homogeneous import TOO_DEEP, is_too_deep, types_of

Schema = dict[str, Any]
COLUMN_TYPES = ("string", "integer", "number", "decimal", "boolean", "date", "datetime", "json")
FIGURE_KINDS = ("plotly", "vega-lite")


class ValueType(NamedTuple):
    """One row. `name` is the mark in a schema (`x-matinee`), the format of a text, or a JSON type."""

    name: str
    shown: str  # in the list of what is supported
    expected: str  # in messages: "must be …"
    schema: Schema  # of the bare annotation
    field: str  # how a form asks for it
    carrier: str = "json"  # how it travels, which the API, MCP and the command line go by: json, blob, table, …
    codecs: dict[str, str] = {}  # noqa: RUF012 - "library.Class" → the codec in `codecs`
    media: dict[str, str] = {}  # noqa: RUF012 - the media types a browser shows or plays as this → file ending
    family: str = ""  # of its media types
    accept: tuple[str, ...] = ()  # file name endings an upload may have, without the dot; () = any
    is_result_only: bool = False


def _text(name: str, shown: str, expected: str, field: str) -> ValueType:
    return ValueType(name, shown, expected, {"type": "string", "format": name}, field)


def _json(name: str, shown: str, expected: str, field: str) -> ValueType:
    return ValueType(name, shown, expected, {"type": name}, field)


def _marked(name: str, shown: str, expected: str, json_type: str = "object", **more: Any) -> ValueType:
    return ValueType(name, shown, expected, {"type": json_type, "x-matinee": name}, more.pop("field", name), **more)


# --- the rows ---------------------------------------------------------------------------------------------------------

ROWS = (
    _json("string", "str", "text", "text"),
    _json("integer", "int", "a whole number", "integer"),
    _json("number", "float", "a number", "number"),
    _json("boolean", "bool", "true or false", "switch"),
    _json("null", "None", "empty", "constant"),
    _json("array", "list, set, tuple", "a list", "list"),
    _json("object", "dict, dataclass, TypedDict, NamedTuple, pydantic model", "an object", "record"),
    _text("date", "date", "a date such as 2026-01-31", "date"),
    _text("date-time", "datetime", "a date and time such as 2026-01-31T09:30:00", "datetime"),
    _text("time", "time", "a time such as 09:30:00", "time"),
    _text("uuid", "UUID", "a UUID", "text"),
    ValueType("decimal", "Decimal", "a number", {"type": ["string", "number"], "format": "decimal"}, "decimal"),
    _marked(
        "file", "matinee.File, pathlib.Path", "a file", carrier="blob",
        codecs={"matinee.File": "file", "pathlib.Path": "path"},
    ),
    _marked(
        "image", "matinee.Image", "an image", carrier="blob", family="image", codecs={"PIL.Image": "image"},
        media={"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp",
               "image/bmp": ".bmp"},
        accept=("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"),
    ),
    _marked(
        "audio", "matinee.Audio", "a sound", carrier="blob", family="audio", codecs={"matinee.Audio": "file"},
        media={"audio/wav": ".wav", "audio/x-wav": ".wav", "audio/mpeg": ".mp3", "audio/ogg": ".ogg",
               "audio/flac": ".flac", "audio/mp4": ".m4a", "audio/x-m4a": ".m4a", "audio/webm": ".webm"},
        accept=("wav", "mp3", "ogg", "flac", "m4a", "webm"),
    ),
    _marked(
        "video", "matinee.Video", "a video", carrier="blob", family="video", codecs={"matinee.Video": "file"},
        media={"video/mp4": ".mp4", "video/webm": ".webm", "video/ogg": ".ogv", "video/quicktime": ".mov"},
        accept=("mp4", "webm", "ogv", "mov", "m4v"),
    ),
    _marked("markdown", "matinee.Markdown", "text", "string", field="long_text", carrier="markdown",
        codecs={"matinee.Markdown": "markdown"},
    ),
    _marked(
        "table", "pandas and polars DataFrame", "a table", carrier="table",
        accept=tables.ENDINGS,
        codecs={"pandas.DataFrame": "pandas", "polars.DataFrame": "polars"},
    ),
    _marked(
        "array", "numpy ndarray", "numbers in lists of equal length", "array", carrier="array",
        codecs={"numpy.ndarray": "array"},
    ),
    _marked(
        "figure", "matplotlib, plotly and altair figures (as a result)", "a figure", carrier="figure",
        field="constant", is_result_only=True,
        codecs={"matplotlib.Figure": "matplotlib", "plotly.BaseFigure": "plotly", "plotly.Figure": "plotly",
                "altair.TopLevelMixin": "altair"},
    ),
)  # fmt: skip

MARKED = {row.name: row for row in ROWS if "x-matinee" in row.schema}
FORMATS = {row.name: row for row in ROWS if "format" in row.schema}
JSON_TYPES = {row.name: row for row in ROWS if row.schema == {"type": row.name}}
UPLOADS = tuple(row.name for row in ROWS if row.carrier in ("blob", "table"))  # kinds of fields
FILES = tuple(row.name for row in ROWS if row.carrier == "blob")
ENDINGS = {
    "image/svg+xml": ".svg", "text/csv": ".csv", "text/plain": ".txt", "text/html": ".html", "text/markdown": ".md",
    "application/json": ".json", "application/pdf": ".pdf", "application/zip": ".zip",
    **{media_type: ending for row in ROWS for media_type, ending in row.media.items()},
}  # fmt: skip
SUPPORTED = (
    f"Supported are {', '.join(row.shown for row in ROWS)}; Literal, Enum, Optional and unions of them; and several of "
    "them in a list, a dict or a record."
)
_BY_CLASS = {tuple(name.split(".")): (row, codec) for row in MARKED.values() for name, codec in row.codecs.items()}


# --- looking up a row -------------------------------------------------------------------------------------------------


def row_of_class(cls: Any) -> tuple[ValueType, str] | None:
    """Return (row, codec) if the class is one that a marked value stands for."""
    return _row_of_type(cls) if type(cls) is type else _row_by_mro(cls)


def _row_by_mro(cls: Any) -> tuple[ValueType, str] | None:
    for base in getattr(cls, "__mro__", ()):
        found = _BY_CLASS.get((base.__module__.partition(".")[0], base.__qualname__))
        if found:
            return found
    return None


_row_of_type = lru_cache(maxsize=256)(_row_by_mro)  # every value that is encoded asks


def row_of(schema: Mapping[str, Any]) -> ValueType | None:
    """Return the row of a schema whose references were followed: by mark, format or type; None for a choice."""
    mark, text_format, kind = schema.get("x-matinee"), schema.get("format"), schema.get("type")
    row = MARKED.get(mark) if isinstance(mark, str) else None
    row = row or (FORMATS.get(text_format) if isinstance(text_format, str) else None)
    return row or (JSON_TYPES.get(kind) if isinstance(kind, str) else None)


def shown_as(media_type: str) -> str:
    """Return the row whose player a browser may be given this media type for; "file" for all that is only saved."""
    return next((row.name for row in ROWS if media_type in row.media), "file")


def expected_by(schema: Schema) -> str:
    """Return what a schema expects, as in "a date such as 2026-01-31"; "something else" when nothing is known."""
    kinds = schema.get("type")
    row = row_of(schema)
    if row is None and isinstance(kinds, list):
        return " or ".join(JSON_TYPES[kind].expected for kind in kinds)
    return row.expected if row else "something else"


# --- faults of marked values ------------------------------------------------------------------------------------------


def fault(mark: str, value: Any) -> str:
    """Return what is wrong with a marked value, as in "must be an image"; "" if nothing is."""
    row = MARKED[mark]
    if row.carrier == "blob":
        return _blob_fault(row, value)
    if row.carrier == "table":
        return _table_fault(value)
    if row.carrier == "figure":
        return _figure_fault(row, value)
    is_right = isinstance(value, str) if row.carrier == "markdown" else _shape(value) is not None
    return "" if is_right else f"must be {row.expected}"


def _figure_fault(row: ValueType, value: Any) -> str:
    if not isinstance(value, dict) or "$figure" not in value:
        return _blob_fault(row, value)
    is_known = value["$figure"] in FIGURE_KINDS and isinstance(value.get("spec"), dict)
    if not is_known:
        return "must be a figure with its spec"
    return TOO_DEEP if is_too_deep(value["spec"]) else ""


def _blob_fault(row: ValueType, value: Any) -> str:
    if not blobs.is_blob(value):
        return f'must be {row.expected}: {{"$blob": media type, "name": …, "base64": …}}'
    media_type = value["$blob"]
    if not blobs.is_media_type(media_type):
        return f"has {media_type[:80]!r} where its media type should stand: one such as image/png"
    if not row.family or media_type.startswith(f"{row.family}/") or media_type == blobs.UNKNOWN_MEDIA_TYPE:
        return ""
    return f"must be {row.expected}, and this is {media_type}"


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
    if len({column["name"] for column in columns}) < len(columns):
        return "has two columns of one name"
    width = len(columns)
    if not (types_of(rows) <= {list} and set(map(len, rows)) <= {width}):
        number = next(n for n, row in enumerate(rows, 1) if not isinstance(row, list) or len(row) != width)
        return f"has {width} columns, and row {number} does not have {width} values"
    nested = [place for place, column in enumerate(columns) if column["type"] == "json"]
    return TOO_DEEP if any(is_too_deep([row[place] for row in rows]) for place in nested) else ""


def _shape(value: Any) -> tuple[int, ...] | None:
    """Return the shape of nested lists of scalars, None if they are not rectangular."""
    if not isinstance(value, list):
        return () if value is None or isinstance(value, (int, float, str)) else None
    if types_of(value) <= {int, float, str, bool, type(None)}:
        return (len(value),)
    shapes = {_shape(item) for item in value}
    if len(shapes) > 1 or None in shapes:
        return None
    inner = shapes.pop() if shapes else ()
    return None if inner is None else (len(value), *inner)
