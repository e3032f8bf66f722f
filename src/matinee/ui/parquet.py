"""Tables as they travel from and to Parquet. pyarrow comes with Streamlit but costs 80 MB: it is loaded only here."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

Json = Any


def read(data: bytes) -> dict[str, Json]:
    """Return the table of a Parquet file; ValueError or OSError if it is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    columns = [{"name": field.name, "type": _arrow_kind(pa.types, field.type)} for field in table.schema]
    lists = [[_plain(value) for value in column.to_pylist()] for column in table.columns]
    return {"$table": columns, "rows": [list(row) for row in zip(*lists, strict=True)]}


def write(columns: Sequence[str], kinds: Sequence[str], rows: Sequence[Sequence[Json]]) -> bytes:
    """Return the table as Parquet; what a column's kind does not hold is written as text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = [[row[i] if i < len(row) else None for row in rows] for i in range(len(columns))]
    arrays = [_arrow(pa, kind, column) for kind, column in zip(kinds, values, strict=True)]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, names=_distinct(columns)), buffer)
    return buffer.getvalue()


def _arrow(pa: Any, kind: str, values: Sequence[Json]) -> Any:
    convert, arrow_type = _ARROW.get(kind, (_text, lambda pa: pa.string()))
    try:
        return pa.array([None if value is None else convert(value) for value in values], arrow_type(pa))
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError, OverflowError):
        return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


_ARROW: dict[str, tuple[Callable[[Json], Any], Callable[[Any], Any]]] = {
    "integer": (lambda value: value, lambda pa: pa.int64()),
    "number": (lambda value: value, lambda pa: pa.float64()),
    "boolean": (lambda value: value, lambda pa: pa.bool_()),
    "date": (date.fromisoformat, lambda pa: pa.date32()),
    "datetime": (_moment, lambda pa: pa.timestamp("us")),
}


def _distinct(names: Sequence[str]) -> list[str]:
    """Column names may be the same twice in a table, not in Parquet."""
    taken: dict[str, int] = {}
    result = []
    for name in names:
        taken[name] = count = taken.get(name, 0) + 1
        result.append(name if count == 1 else f"{name} ({count})")
    return result


def _arrow_kind(types: Any, kind: Any) -> str:
    checks = (
        ("boolean", types.is_boolean), ("integer", types.is_integer), ("number", types.is_floating),
        ("number", types.is_decimal), ("date", types.is_date), ("datetime", types.is_timestamp),
        ("string", types.is_string), ("string", types.is_large_string),
    )  # fmt: skip
    return next((name for name, fits in checks if fits(kind)), "json")


def _plain(value: Any) -> Json:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if value is None or isinstance(value, (str, int, float, bool, list, dict)):
        return value
    return float(value) if hasattr(value, "as_integer_ratio") else str(value)
