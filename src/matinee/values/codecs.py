"""Values of libraries ↔ JSON: files, pictures, tables, arrays, figures. The codecs that the registry's rows name.

A codec never imports `decode` or `encode`: what holds other values gets the function for them as an argument.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from matinee.errors import InputError
from matinee.values import blobs, registry
from matinee.values.blobs import Decoder, Json, PutBlob, ReadBlob, ToJson, mismatch


def decoder(codec: str, annotation: Any) -> Decoder:
    """Return the decoder of a codec for this annotation, which may say more (`NDArray[numpy.uint8]`)."""
    return _DECODERS[codec](annotation)


def to_json(codec: str, value: Any, put_blob: PutBlob, path: str, inner: ToJson) -> Json:
    """Return the value as JSON by its codec; `inner` is for values that it holds. InputError if it has no JSON form."""
    return _ENCODERS[codec](value, put_blob, path, inner)


def _bytes(value: Json, read_blob: ReadBlob, path: str) -> bytes:
    if not isinstance(value, dict) or "$blob" not in value:
        raise mismatch(path, "a file")
    return blobs.bytes_of(value, read_blob, path)


# --- files and texts --------------------------------------------------------------------------------------------------


def _file_decoder(cls: Any) -> Decoder:
    def decode(value: Json, read_blob: ReadBlob, path: str) -> Any:
        return cls(_bytes(value, read_blob, path), value.get("name", ""), value["$blob"])

    return decode


def _file_to_json(value: Any, put_blob: PutBlob, path: str, _inner: ToJson) -> Json:
    if not blobs.is_media_type(value.media_type):
        raise InputError(
            path,
            f"has the media type {value.media_type!r}, which is none",
            hint='Write one such as File(data, "report.pdf", "application/pdf").',
        )
    return put_blob(value.data, value.media_type, value.name)


def _path_decoder(cls: Any) -> Decoder:
    """The file that was uploaded, at a path of its own: never a path that a caller names."""

    def decode(value: Json, read_blob: ReadBlob, path: str) -> Any:
        data = _bytes(value, read_blob, path)
        reader = read_blob if isinstance(read_blob, blobs.Reader) else blobs.Reader(None)
        return cls(reader.write(data, blobs.file_name(value)))

    return decode


def _path_to_json(value: Any, put_blob: PutBlob, path: str, _inner: ToJson) -> Json:
    from mimetypes import guess_type

    try:
        data = value.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            path, f"is the path {value}, which cannot be read as a file: {reason}", hint="Write the file first."
        ) from error
    media_type = blobs.media_type_of(guess_type(value.name)[0] or "")
    return put_blob(data, media_type, value.name)


def _markdown_decoder(cls: Any) -> Decoder:
    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        if not isinstance(value, str):
            raise mismatch(path, "text")
        return cls(value)

    return decode


# --- pictures ---------------------------------------------------------------------------------------------------------

# How the modes of pictures travel as PNG: as they are, or in a mode that holds the same colours.
_PNG_MODES = {
    **{mode: mode for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")},
    "PA": "RGBA",
    "La": "LA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "HSV": "RGB",
}
_DEEPEST = 65535  # a PNG has 16 bits a channel


def picture(data: bytes, name: str, path: str = "") -> Any:
    """Return the bytes as a PIL image, upright: its EXIF orientation is applied, here and nowhere else.

    Raises InputError for what Pillow cannot read.
    """
    from io import BytesIO

    from PIL import Image, ImageOps

    try:
        image = Image.open(BytesIO(data))
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    except Exception as error:  # PIL raises a dozen kinds for files that are broken, foreign or a decompression bomb
        endings = ", ".join(
            ending.upper() for ending in registry.MARKED["image"].accept if ending not in ("jpeg", "tif")
        )
        raise InputError(
            path, f"is not an image that can be read ({name or 'the file'})", hint=f"Use one of {endings}."
        ) from error
    return image


def _image_decoder(_cls: Any) -> Decoder:
    def decode(value: Json, read_blob: ReadBlob, path: str) -> Any:
        return picture(_bytes(value, read_blob, path), value.get("name", ""), path)

    return decode


def _image_to_json(image: Any, put_blob: PutBlob, path: str, _inner: ToJson) -> Json:
    from io import BytesIO

    from PIL import ImageOps

    data = BytesIO()
    _for_png(ImageOps.exif_transpose(image), path).save(data, "PNG")
    return put_blob(data.getvalue(), "image/png", _image_name(image))


def _for_png(image: Any, path: str) -> Any:
    """Return the picture in a mode of PNG that holds its values; InputError for one that none does."""
    if image.mode in ("I", "I;16B", "I;16L", "I;16N"):
        whole = image if image.mode == "I" else image.convert("I")
        lowest, highest = whole.getextrema() if min(whole.size) else (0, 0)
        if lowest < 0 or highest > _DEEPEST:
            raise _no_png(image, path, f"values from {lowest} to {highest}, and a PNG holds 0 to {_DEEPEST}")
        return whole.convert("I;16")
    if image.mode not in _PNG_MODES:
        raise _no_png(image, path, "values that a PNG cannot hold")
    return image if _PNG_MODES[image.mode] == image.mode else image.convert(_PNG_MODES[image.mode])


def _no_png(image: Any, path: str, why: str) -> InputError:
    return InputError(
        path,
        f"is a picture of mode {image.mode} with {why}",
        hint="Scale its values to 0…255 and convert it to mode L, or return a numpy array or a matinee.File.",
    )


def _image_name(image: Any) -> str:
    name = str(getattr(image, "filename", "")).replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
    return f"{name or 'image'}.png"


# --- arrays -----------------------------------------------------------------------------------------------------------


def _array_decoder(annotation: Any) -> Decoder:
    dtype = _dtype(annotation)

    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        import numpy

        try:
            array = numpy.asarray(value)
            if array.dtype == object:
                array = _of_objects(array)
            with numpy.errstate(invalid="ignore", over="ignore"):
                exact = array if dtype is None else array.astype(dtype)
        except (ValueError, TypeError, OverflowError):
            raise mismatch(path, f"an array of {_dtype_name(dtype)}") from None
        if exact.dtype.kind in "biu" and not numpy.array_equal(exact, array):
            raise mismatch(path, f"an array of {_dtype_name(dtype)}, without loss")
        return exact

    return decode


def _of_objects(array: Any) -> Any:
    """Return numbers with gaps as floats, null as NaN; ValueError where a float would not be the same number."""
    floats = array.astype(float)
    pairs = zip(array.flat, floats.ravel().tolist(), strict=True)
    if any(cell is not None and cell != number for cell, number in pairs):
        raise ValueError
    return floats


def _dtype(annotation: Any) -> Any:
    """Return the dtype that `NDArray[numpy.uint8]` asks for, None for any."""
    args: tuple[Any, ...] = getattr(annotation, "__args__", ())
    inner = getattr(args[1], "__args__", ()) if len(args) == 2 else ()
    return inner[0] if inner and isinstance(inner[0], type) else None


def _dtype_name(dtype: Any) -> str:
    return "numbers" if dtype is None else str(dtype.__name__)


def _array_to_json(value: Any, _put_blob: PutBlob, path: str, _inner: ToJson) -> Json:
    kind = value.dtype.kind
    if kind not in "biufU" or (kind == "f" and value.dtype.itemsize > 8):
        raise InputError(path, f"is an array of {value.dtype}, which has no JSON form", hint="Return numbers or texts.")
    if kind != "f":
        return value.tolist()
    import numpy

    if numpy.isinf(value).any():
        raise InputError(path, "holds infinity, which JSON cannot carry", hint="Use NaN for a number that is missing.")
    missing = numpy.isnan(value)
    return numpy.where(missing, None, value.astype(object)).tolist() if missing.any() else value.tolist()


# --- figures ----------------------------------------------------------------------------------------------------------


def _figure_decoder(_cls: Any) -> Decoder:
    def decode(_value: Json, _read_blob: ReadBlob, path: str) -> Any:
        raise InputError(path, "is a figure, and figures are results only")

    return decode


def _plotly_to_json(value: Any, _put_blob: PutBlob, _path: str, _inner: ToJson) -> Json:
    import json

    return {"$figure": "plotly", "spec": json.loads(value.to_json())}


def _altair_to_json(value: Any, _put_blob: PutBlob, _path: str, _inner: ToJson) -> Json:
    return {"$figure": "vega-lite", "spec": value.to_dict()}


def _matplotlib_to_json(value: Any, put_blob: PutBlob, _path: str, _inner: ToJson) -> Json:
    from io import BytesIO

    data = BytesIO()
    value.savefig(data, format="png", bbox_inches="tight")
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(value)  # else a warm process gathers every figure it ever drew
    return put_blob(data.getvalue(), "image/png", "figure.png")


# --- tables: `{"$table": [{"name", "type"}], "rows": [[…]]}`; null stands for what is missing -------------------------


def _table_decoder(build: Callable[[Json], Any]) -> Callable[[Any], Decoder]:
    def decode(value: Json, _read_blob: ReadBlob, path: str) -> Any:
        if not isinstance(value, dict) or "$table" not in value:
            raise mismatch(path, "a table")
        try:
            return build(value)
        except (ValueError, TypeError, OverflowError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(path, f"has a column whose values do not fit its type: {reason}") from error

    return lambda _annotation: decode


def _pandas_to_json(frame: Any, _put_blob: PutBlob, path: str, inner: ToJson) -> Json:
    """Return a DataFrame as JSON. An index with a name, of texts or of dates becomes a column."""
    if frame.index.nlevels > 1 or frame.index.name is not None or frame.index.dtype.kind not in "iu":
        frame = frame.reset_index(allow_duplicates=True)
    names = _unique([_name(label) for label in frame.columns])
    columns = [_from_pandas_column(frame.iloc[:, i], _join(path, name), inner) for i, name in enumerate(names)]
    return _table(names, columns, len(frame))


def _polars_to_json(frame: Any, _put_blob: PutBlob, path: str, inner: ToJson) -> Json:
    columns = [
        _column(frame.get_column(name).to_list(), _join(path, name), inner, _polars_type(frame.schema[name]))
        for name in frame.columns
    ]
    return _table(list(frame.columns), columns, frame.height)


def _table(names: list[str], columns: list[tuple[str, list[Json]]], height: int) -> Json:
    heads = [{"name": name, "type": kind} for name, (kind, _) in zip(names, columns, strict=True)]
    rows = [list(row) for row in zip(*(cells for _, cells in columns), strict=True)] if columns else [[]] * height
    return {"$table": heads, "rows": rows}


_CELLS: dict[str, Any] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "date": str, "datetime": str,
}  # fmt: skip
_PANDAS_DTYPES = {"integer": "int64", "number": "float64", "boolean": "bool"}
_PANDAS_NULLABLE = {"integer": "Int64", "number": "float64", "boolean": "boolean"}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _name(label: Any) -> str:
    return " ".join(str(part) for part in label if part != "") if isinstance(label, tuple) else str(label)


def _unique(names: list[str]) -> list[str]:
    taken: set[str] = set()
    for index, name in enumerate(names):
        candidate, number = name, 2
        while candidate in taken:
            candidate, number = f"{name}_{number}", number + 1
        taken.add(candidate)
        names[index] = candidate
    return names


def _from_pandas_column(column: Any, path: str, inner: ToJson) -> tuple[str, list[Json]]:
    dtype = column.dtype
    if str(dtype).startswith("Sparse"):
        column = column.sparse.to_dense()
        dtype = column.dtype
    known = {"i": "integer", "u": "integer", "f": "number", "b": "boolean"}.get(getattr(dtype, "kind", ""), "")
    if str(dtype) == "category":
        column = column.astype(object)
    missing = column.isna().tolist() if column.hasnans else []
    cells = column.tolist()
    if missing:
        cells = [None if gone else cell for gone, cell in zip(missing, cells, strict=True)]
    if str(dtype) in ("str", "string"):
        known = "string"
    return _column(cells, path, inner, known)


def _polars_type(dtype: Any) -> str:
    if dtype.is_integer():
        return "integer"
    if dtype.is_float():
        return "number"
    return {"Boolean": "boolean", "String": "string", "Date": "date", "Datetime": "datetime"}.get(
        str(dtype.base_type()), ""
    )


def _column(cells: list[Any], path: str, inner: ToJson, known: str = "") -> tuple[str, list[Json]]:
    """Return (type, JSON cells); the type is read off the cells when the library does not know it."""
    kind = known or _type_of(cells)
    if kind in ("string", "integer", "boolean"):
        return kind, cells
    if kind == "decimal":
        return _decimals(cells)
    if kind == "number":
        return kind, [_number(cell, path) for cell in cells]
    if kind == "datetime" and not known and all(cell is None or _is_midnight(cell) for cell in cells):
        return "date", [None if cell is None else cell.isoformat()[:10] for cell in cells]
    if kind in ("date", "datetime"):
        return kind, [None if cell is None else cell.isoformat() for cell in cells]
    return "json", [_nested(cell, path, inner) for cell in cells]


def _decimals(cells: list[Any]) -> tuple[str, list[Json]]:
    """Return Decimals as numbers where every one of them is the same as a float, else as the texts they are."""
    floats = [None if cell is None else float(cell) for cell in cells]
    pairs = zip(cells, floats, strict=True)
    if all(cell is None or type(cell)(repr(number)) == cell for cell, number in pairs):
        return "number", floats
    return "string", [None if cell is None else str(cell) for cell in cells]


def _number(cell: Any, path: str) -> float | None:
    if cell is None or cell != cell:
        return None
    if cell - cell != 0:
        raise InputError(path, "holds infinity, which JSON cannot carry", hint="Use NaN for a number that is missing.")
    return float(cell)


def _nested(cell: Any, path: str, inner: ToJson) -> Json:
    return None if isinstance(cell, float) and cell != cell else inner(cell, blobs.inline_blob, path)


def _type_of(cells: list[Any]) -> str:
    import datetime
    from decimal import Decimal

    kinds = {_type_of_cell(cell, datetime, Decimal) for cell in cells if cell is not None}
    if kinds <= {"integer", "number"} and kinds:
        return "number" if "number" in kinds else "integer"
    return kinds.pop() if len(kinds) == 1 else "string" if not kinds else "json"


def _type_of_cell(cell: Any, datetime: Any, decimal: Any) -> str:
    pairs = (
        (str, "string"),
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (decimal, "decimal"),
        (datetime.datetime, "datetime"),
        (datetime.date, "date"),
    )
    return next((kind for cls, kind in pairs if isinstance(cell, cls)), "json")


def _is_midnight(cell: Any) -> bool:
    return cell.tzinfo is None and not (cell.hour or cell.minute or cell.second or cell.microsecond)


def _cells(table: Json) -> list[tuple[str, str, list[Json]]]:
    """Return (name, type, cells) by column; ValueError for a cell that a library would change to fit its column."""
    columns = list(zip(*table["rows"], strict=True)) or [()] * len(table["$table"])
    found = [(c["name"], c["type"], list(cells)) for c, cells in zip(table["$table"], columns, strict=True)]
    for name, kind, cells in found:
        for cell in cells:
            if cell is not None and kind in _CELLS and not _fits(kind, cell):
                raise ValueError(f"{str(cell)[:40]} in the column {name} is not of the type {kind}")
    return found


def _fits(kind: str, cell: Json) -> bool:
    if not isinstance(cell, _CELLS[kind]) or isinstance(cell, bool) != (kind == "boolean"):
        return False
    return kind != "number" or not isinstance(cell, int) or float(cell) == cell


def to_pandas(table: Json) -> Any:
    """Return a DataFrame with the columns' dtypes restored; dates are datetime64."""
    import pandas

    columns = {name: _to_pandas_column(pandas, kind, cells) for name, kind, cells in _cells(table)}
    return pandas.DataFrame(columns, index=pandas.RangeIndex(len(table["rows"])))


def _to_pandas_column(pandas: Any, kind: str, cells: list[Json]) -> Any:
    if kind in ("date", "datetime"):
        is_aware = kind == "datetime" and any(c and (c.endswith("Z") or c[-6:-5] in ("+", "-")) for c in cells)
        return pandas.to_datetime(pandas.Series(cells, dtype=object), format="ISO8601", utc=is_aware)
    if kind in _PANDAS_DTYPES:
        dtypes = _PANDAS_NULLABLE if None in cells else _PANDAS_DTYPES
        return pandas.Series(cells, dtype=dtypes[kind])
    return pandas.Series(cells, dtype="str" if kind == "string" and cells else object)


def to_polars(table: Json) -> Any:
    """Return a polars DataFrame with the columns' types restored."""
    from datetime import date, datetime

    import polars  # type: ignore[import-not-found,unused-ignore]

    types = {
        "string": polars.String,
        "integer": polars.Int64,
        "number": polars.Float64,
        "boolean": polars.Boolean,
        "date": polars.Date,
        "datetime": polars.Datetime,
        "json": None,
    }
    read = {"date": date.fromisoformat, "datetime": datetime.fromisoformat}

    def series(name: str, kind: str, cells: list[Json]) -> Any:
        if kind in read:
            cells = [None if c is None else read[kind](c) for c in cells]
        return polars.Series(name, cells, dtype=types[kind])

    return polars.DataFrame([series(*column) for column in _cells(table)])


# --- the codecs by the names that the registry's rows give them -------------------------------------------------------

_DECODERS: dict[str, Callable[[Any], Decoder]] = {
    "file": _file_decoder,
    "path": _path_decoder,
    "markdown": _markdown_decoder,
    "image": _image_decoder,
    "array": _array_decoder,
    "pandas": _table_decoder(to_pandas),
    "polars": _table_decoder(to_polars),
    "matplotlib": _figure_decoder,
    "plotly": _figure_decoder,
    "altair": _figure_decoder,
}
_ENCODERS: dict[str, Callable[[Any, PutBlob, str, ToJson], Json]] = {
    "file": _file_to_json,
    "path": _path_to_json,
    "markdown": lambda value, _put_blob, _path, _inner: str(value),
    "image": _image_to_json,
    "array": _array_to_json,
    "pandas": _pandas_to_json,
    "polars": _polars_to_json,
    "matplotlib": _matplotlib_to_json,
    "plotly": _plotly_to_json,
    "altair": _altair_to_json,
}
