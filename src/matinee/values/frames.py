"""pandas and polars tables ↔ `{"$table": [{"name", "type"}], "rows": [[…]]}`; null stands for what is missing.

What JSON cannot hold is refused in words; Decimals are texts of their digits, periods and intervals are texts.
"""

from __future__ import annotations

from typing import Any

from matinee.errors import InputError
from matinee.values.blobs import Json, ToJson, inline_blob
from matinee.values.homogeneous import types_of

_CELLS: dict[str, Any] = {
    "string": str, "integer": int, "number": (int, float), "decimal": str, "boolean": bool, "date": str,
    "datetime": str,
}  # fmt: skip
_EXACT = {  # the classes of cells that no library changes to fit the column
    kind: {type(None), float if kind == "number" else cls} for kind, cls in _CELLS.items()
}
_PANDAS_DTYPES = {"integer": "int64", "number": "float64", "boolean": "bool"}
_PANDAS_NULLABLE = {"integer": "Int64", "number": "float64", "boolean": "boolean"}


def from_pandas(frame: Any, to_json: ToJson) -> Json:
    """Return a DataFrame as JSON. An index with a name, of texts or of dates becomes a column."""
    if frame.index.nlevels > 1 or frame.index.name is not None or frame.index.dtype.kind not in "iu":
        frame = frame.reset_index(names=_index_names(frame), allow_duplicates=True)
    names = _unique([_name(label) for label in frame.columns])
    columns = [_from_pandas_column(name, frame.iloc[:, i], to_json) for i, name in enumerate(names)]
    return _table(names, columns, len(frame))


def _index_names(frame: Any) -> list[str]:
    """Return the columns that the index becomes: one named like a column says that it is the index."""
    taken = {_name(label) for label in frame.columns}
    default = "index" if frame.index.nlevels == 1 else "level_{}"
    names = [default.format(i) if n is None else _name(n) for i, n in enumerate(frame.index.names)]
    return [f"{name}_index" if name in taken else name for name in names]


def from_polars(frame: Any, to_json: ToJson) -> Json:
    """Return a polars DataFrame as JSON."""
    columns = [
        _column(name, frame.get_column(name).to_list(), to_json, _polars_type(frame.schema[name]))
        for name in frame.columns
    ]
    return _table(list(frame.columns), columns, frame.height)


def _table(names: list[str], columns: list[tuple[str, list[Json]]], height: int) -> Json:
    heads = [{"name": name, "type": kind} for name, (kind, _) in zip(names, columns, strict=True)]
    rows = [list(row) for row in zip(*(cells for _, cells in columns), strict=True)] if columns else [[]] * height
    return {"$table": heads, "rows": rows}


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


def _from_pandas_column(name: str, column: Any, to_json: ToJson) -> tuple[str, list[Json]]:
    dtype = column.dtype
    if type(dtype).__name__ == "SparseDtype":
        column = column.sparse.to_dense()
        dtype = column.dtype
    if str(dtype) == "category":
        column = column.astype(object)
    if type(dtype).__module__.startswith("numpy") and dtype.kind in "iubfM":
        found = _from_numpy(name, column.to_numpy())
        if found is not None:
            return found
    known = {"i": "integer", "u": "integer", "f": "number", "b": "boolean"}.get(getattr(dtype, "kind", ""), "")
    missing = column.isna().tolist() if column.hasnans else []
    cells = column.tolist()
    if any(cls.__module__ == "numpy" for cls in types_of(cells)):
        cells = [_plain(cell) for cell in cells]
    if missing:
        cells = [None if is_missing else cell for is_missing, cell in zip(missing, cells, strict=True)]
    if str(dtype) in ("str", "string"):
        known = "string"
    elif type(dtype).__name__ in _AS_TEXT:
        known, cells = "string", [None if cell is None else str(cell) for cell in cells]
    return _column(name, cells, to_json, known)


_AS_TEXT = ("PeriodDtype", "IntervalDtype")
_EARLIEST, _LATEST = "1678-01-01", "2262-01-01"  # of dates that pandas and numpy write alike, in every unit


def _from_numpy(name: str, values: Any) -> tuple[str, list[Json]] | None:
    """Return (type, JSON cells) of numpy values as a whole; None where each cell needs its own look."""
    import numpy

    if values.dtype.kind in "iub":
        return "boolean" if values.dtype.kind == "b" else "integer", values.tolist()
    if values.dtype.kind == "M":
        return _from_moments(numpy, values)
    if values.dtype.itemsize > 8:
        return None
    if numpy.isinf(values).any():
        raise InputError("", f"has an infinite number in the column {name}", hint=_INFINITE)
    return "number", _with_gaps(values.tolist(), numpy.isnan(values))


def _from_moments(numpy: Any, values: Any) -> tuple[str, list[Json]] | None:
    """Return dates, or times of whole seconds."""
    missing = numpy.isnat(values)
    known = values[~missing]
    if not len(known) or known.min() < numpy.datetime64(_EARLIEST) or known.max() > numpy.datetime64(_LATEST):
        return None
    for kind, unit in (("date", "D"), ("datetime", "s")):
        if (known == known.astype(f"datetime64[{unit}]")).all():
            return kind, _with_gaps(numpy.datetime_as_string(values, unit=unit).tolist(), missing)
    return None


def _with_gaps(cells: list[Json], missing: Any) -> list[Json]:
    for place in missing.nonzero()[0].tolist():
        cells[place] = None
    return cells


def _plain(cell: Any) -> Any:
    """Return a scalar of numpy as Python's own."""
    return cell.item() if type(cell).__module__ == "numpy" and getattr(cell, "ndim", 1) == 0 else cell


def _polars_type(dtype: Any) -> str:
    if dtype.is_integer():
        return "integer"
    if dtype.is_float():
        return "number"
    return {"Boolean": "boolean", "String": "string", "Date": "date", "Datetime": "datetime"}.get(
        str(dtype.base_type()), ""
    )


def _column(name: str, cells: list[Any], to_json: ToJson, known: str = "") -> tuple[str, list[Json]]:
    """Return (type, JSON cells); the type is read off the cells when the library does not know it."""
    kind = known or _type_of(cells)
    if kind in ("string", "integer", "boolean"):
        return kind, cells
    if kind == "number":
        return kind, [_finite(name, cell) for cell in cells]
    if kind == "decimal":
        return kind, [None if cell is None else _digits(name, cell) for cell in cells]
    if kind == "datetime" and not known and all(cell is None or _is_midnight(cell) for cell in cells):
        return "date", [None if cell is None else cell.isoformat()[:10] for cell in cells]
    if kind in ("date", "datetime"):
        if len({cell.tzinfo is None for cell in cells if cell is not None and kind == "datetime"}) > 1:
            raise InputError("", f"has times with and without a time zone in the column {name}", hint=_ZONES)
        return kind, [None if cell is None else cell.isoformat() for cell in cells]
    return "json", [_nested(name, cell, to_json) for cell in cells]


_ZONES = "Give all of them one: df[column].dt.tz_localize(…)."
_INFINITE = "Replace it: df.replace([numpy.inf, -numpy.inf], numpy.nan)."


def _finite(name: str, cell: Any) -> float | None:
    """Return a number; NaN is missing, and JSON has no infinity."""
    if cell is None or cell != cell:
        return None
    if cell - cell != 0:
        raise InputError("", f"has an infinite number in the column {name}", hint=_INFINITE)
    return float(cell)


def _digits(name: str, cell: Any) -> str | None:
    from decimal import Decimal

    number = Decimal(str(cell))
    if number.is_nan():
        return None
    if not number.is_finite():
        raise InputError("", f"has an infinite number in the column {name}", hint=_INFINITE)
    return format(number, "f")


def _nested(name: str, cell: Any, to_json: ToJson) -> Json:
    return _finite(name, cell) if isinstance(cell, float) else to_json(cell, inline_blob, name)


def _type_of(cells: list[Any]) -> str:
    import datetime
    from decimal import Decimal

    kinds = {_type_of_class(cls, datetime, Decimal) for cls in types_of(cells) - {type(None)}}
    if kinds <= {"integer", "number"} and kinds:
        return "number" if "number" in kinds else "integer"
    if kinds == {"integer", "decimal"}:
        return "decimal"
    return kinds.pop() if len(kinds) == 1 else "string" if not kinds else "json"


def _type_of_class(found: type, datetime: Any, decimal: Any) -> str:
    pairs = (
        (str, "string"),
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (decimal, "decimal"),
        (datetime.datetime, "datetime"),
        (datetime.date, "date"),
    )
    return next((kind for cls, kind in pairs if issubclass(found, cls)), "json")


def _is_midnight(cell: Any) -> bool:
    return cell.tzinfo is None and not (cell.hour or cell.minute or cell.second or cell.microsecond)


def _cells(table: Json) -> list[tuple[str, str, list[Json]]]:
    """Return (name, type, cells) by column; ValueError for a cell that a library would change to fit its column."""
    found = [(c["name"], c["type"], [row[i] for row in table["rows"]]) for i, c in enumerate(table["$table"])]
    for name, kind, cells in found:
        if kind in _EXACT and types_of(cells) <= _EXACT[kind]:
            continue
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
        return pandas.to_datetime(pandas.Series(cells, dtype=object), format="ISO8601", utc=_is_zoned(kind, cells))
    if kind == "decimal":
        return pandas.Series(_decimals(cells), dtype=object)
    if kind == "integer" and max((cell for cell in cells if cell is not None), default=0) >= 1 << 63:
        return pandas.Series(cells, dtype="UInt64" if None in cells else "uint64")
    if kind in _PANDAS_DTYPES:
        dtypes = _PANDAS_NULLABLE if None in cells else _PANDAS_DTYPES
        return pandas.Series(cells, dtype=dtypes[kind])
    return pandas.Series(cells, dtype="str" if kind == "string" and cells else object)


def _is_zoned(kind: str, cells: list[Json]) -> bool:
    """Whether the times have a zone; ValueError where some have one and some have none."""
    zoned = {cell.endswith(("Z", "z")) or cell[-6:-5] in ("+", "-") for cell in cells if cell and kind == "datetime"}
    if len(zoned) > 1:
        raise ValueError("some times have a time zone and some have none")
    return zoned == {True}


def _decimals(cells: list[Json]) -> list[Any]:
    from decimal import Decimal, InvalidOperation

    try:
        return [None if cell is None else Decimal(cell) for cell in cells]
    except InvalidOperation:
        raise ValueError("a decimal is a text of digits, such as 12.50") from None


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
        if kind == "decimal":
            return polars.Series(name, _decimals(cells), dtype=polars.Decimal(38, _scale(cells)))
        if kind in read:
            cells = [None if c is None else read[kind](c) for c in cells]
        return polars.Series(name, cells, dtype=types[kind])

    return polars.DataFrame([series(*column) for column in _cells(table)])


def _scale(cells: list[Json]) -> int:
    return max((len(cell.partition(".")[2]) for cell in cells if cell), default=0)
