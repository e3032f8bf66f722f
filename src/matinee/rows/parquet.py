"""Parquet, in batches. pyarrow costs 80 MB of memory: it is loaded only when such a file is there."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO

from matinee.errors import UsageError
from matinee.rows.table import Column, Json, Table, refused, unique

BATCH_ROWS = 1000
_BROKEN = "is a Parquet file that cannot be read"


def arrow() -> tuple[Any, Any]:
    """Return pyarrow and pyarrow.parquet; UsageError where they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError("Parquet needs pyarrow.", hint="Install pyarrow, or use CSV.") from None
    return pyarrow, pyarrow.parquet


def read_parquet(stream: BinaryIO) -> Table:
    """Return the table of a Parquet file; dates become ISO texts, bytes become files, NaN is missing."""
    pa, pq = arrow()
    try:
        file = pq.ParquetFile(stream, pre_buffer=False)
        fields = list(file.schema_arrow)
    except (pa.ArrowException, OSError) as error:
        raise refused(f"{_BROKEN}: {_words(error)}", "Is it whole? Write it again.") from None
    names = unique([field.name for field in fields])
    columns = tuple(Column(name, kind_of(pa.types, field.type)) for name, field in zip(names, fields, strict=True))
    readers = [_reader(pa.types, field.type) for field in fields]
    return Table(columns, _rows(pa, file, readers), total=file.metadata.num_rows)


def _rows(pa: Any, file: Any, readers: list[Callable[[Any], Json] | None]) -> Iterator[list[Json]]:
    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            lists = (column.to_pylist() for column in batch.columns)
            pairs = zip(readers, lists, strict=True)
            cells = [values if read is None else list(map(read, values)) for read, values in pairs]
            yield from map(list, zip(*cells, strict=True))
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise refused(f"{_BROKEN}: {_words(error)}", "Write it again.") from None


def kind_of(types: Any, kind: Any) -> str:
    """Return our name of an Arrow type."""
    checks = (
        ("boolean", types.is_boolean), ("integer", types.is_integer), ("number", types.is_floating),
        ("number", types.is_decimal), ("date", types.is_date), ("datetime", types.is_timestamp),
        ("string", types.is_string), ("string", types.is_large_string), ("string", types.is_time),
    )  # fmt: skip
    return next((name for name, fits in checks if fits(kind)), "json")


def _reader(types: Any, kind: Any) -> Callable[[Any], Json] | None:
    """Return what makes JSON of a cell; None where it is JSON already."""
    plain = (types.is_boolean, types.is_integer, types.is_string, types.is_large_string)
    return None if any(fits(kind) for fits in plain) else _plain


def _plain(value: Any) -> Json:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, (float, Decimal)):
        number = float(value)
        return number if abs(number) <= 1.7976931348623157e308 else None  # false for NaN too
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return {"$blob": "application/octet-stream", "name": "", "base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return list(map(_plain, value)) if isinstance(value, (list, tuple)) else str(value)


def _words(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120].rstrip(".")
