"""What a marked value is for a caller: Blob (file, image, sound), Table, Figure. Read-only, without any library."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from os import PathLike, fspath
from typing import Any

from matinee.schema.blobs import bytes_of
from matinee.schema.decode import Json, ReadBlob


class Blob:
    """Bytes with a name and a media type; they are fetched when they are read."""

    def __init__(self, value: dict[str, Any], read_blob: ReadBlob) -> None:
        self.media_type: str = value["$blob"]
        self.name: str = value.get("name", "")
        self._value = value
        self._read_blob = read_blob

    def read(self) -> bytes:
        """Return the bytes."""
        return bytes_of(self._value, self._read_blob)

    def text(self, encoding: str = "utf-8") -> str:
        """Return the bytes as text."""
        return self.read().decode(encoding)

    def save(self, path: str | PathLike[str] = "") -> str:
        """Write the bytes to `path` (default: the blob's own name, here) and return the path."""
        target = fspath(path) or self.name.replace("\\", "/").rpartition("/")[2] or "file"
        with open(target, "wb") as stream:  # noqa: PTH123
            stream.write(self.read())
        return target

    def image(self) -> Any:
        """Return it as a PIL image (needs pillow)."""
        from io import BytesIO

        from PIL import Image

        return Image.open(BytesIO(self.read()))

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
        from matinee.schema.tables import to_pandas

        return to_pandas(self._value)

    def to_polars(self) -> Any:
        """Return a polars DataFrame (needs polars)."""
        from matinee.schema.tables import to_polars

        return to_polars(self._value)

    def to_csv(self) -> str:
        """Return the table as CSV text with a header line; no text in it is a formula."""
        from matinee.tables.write import csv_text, frame

        return "".join(csv_text(*frame(self._value), ending="\n"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self._value == other._value

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Table({len(self)} rows: {', '.join(self.columns)})"


def _cell(kind: str, value: Json) -> Any:
    if not isinstance(value, str) or kind not in ("date", "datetime", "decimal"):
        return value
    if kind == "decimal":
        from decimal import Decimal

        return Decimal(value)
    return date.fromisoformat(value) if kind == "date" else datetime.fromisoformat(value)
