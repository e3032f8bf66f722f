"""A table edited cell by cell. `st.data_editor` costs pandas (80 MB), so it is imported and drawn only when chosen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import streamlit as st

from matinee.tables.columns import MIXED, Survey, infer_column
from matinee.ui.text import escaped

Json = Any

EXACT = 2**53  # whole numbers beyond are rounded by a browser, so they are edited as text


def edit(table: Json, key: str, label: str) -> Json:
    """Draw the table to edit, rows added and removed; return it as it is then, None while it has no columns.

    Nothing to start from: the columns are asked for first.
    """
    if table is None:
        text = st.text_input("Columns", key=f"{key}:columns", placeholder="date, amount", help="Names, apart by commas")
        names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        if not names:
            return None
        table = {"$table": [{"name": name, "type": "unknown"} for name in names], "rows": []}
        key = f"{key}:{names}"
    kinds = {str(column["name"]): str(column["type"]) for column in table["$table"]}
    frame = to_columns(table)
    edited = st.data_editor(
        frame,
        key=key,
        num_rows="dynamic",
        hide_index=True,
        column_config={name: _config(name, _shown_as(kind, frame[name])) for name, kind in kinds.items()},
        alt=f"{label}, a table to edit",
    )
    return with_edits(table, _rows_of(edited, kinds), st.session_state[key])


def with_edits(table: Json, edited: list[list[Json]], edits: Mapping[str, Any]) -> dict[str, Json]:
    """Return the table with what was changed in the editor, every other cell as it was; empty new rows are left out.

    `edits` is the editor's state: `edited_rows` (row → column → value), `added_rows` and `deleted_rows`.
    """
    names = [str(column["name"]) for column in table["$table"]]
    left = [place for place in range(len(table["rows"])) if place not in edits["deleted_rows"]]
    rows = []
    for place, new in zip(left, edited, strict=False):
        changed = edits["edited_rows"].get(place, {})
        cells = zip(names, table["rows"][place], new, strict=True)
        rows.append([after if name in changed else before for name, before, after in cells])
    rows += [row for row in edited[len(left) :] if any(cell is not None for cell in row)]
    return _typed_table({str(column["name"]): str(column["type"]) for column in table["$table"]}, rows)


def _shown_as(kind: str, cells: Any) -> str:
    return "string" if kind == "integer" and cells.dtype == object else kind


def _config(name: str, kind: str) -> Any:
    makers = {
        "integer": lambda: st.column_config.NumberColumn(escaped(name), step=1),
        "number": lambda: st.column_config.NumberColumn(escaped(name)),
        "boolean": lambda: st.column_config.CheckboxColumn(escaped(name)),
        "date": lambda: st.column_config.DateColumn(escaped(name)),
        "datetime": lambda: st.column_config.DatetimeColumn(escaped(name)),
    }
    return makers.get(kind, lambda: st.column_config.TextColumn(escaped(name)))()


def to_columns(table: Mapping[str, Json]) -> Any:
    """Return the table as a frame whose cells the editor takes for what they are."""
    import pandas as pd

    series = {}
    for i, column in enumerate(table["$table"]):
        cells = [row[i] for row in table["rows"]]
        series[str(column["name"])] = _series(pd, str(column["type"]), cells)
    return pd.DataFrame(series)


def _series(pd: Any, kind: str, cells: Sequence[Json]) -> Any:
    types = {"integer": "Int64", "number": "Float64", "boolean": "boolean"}
    is_wide = kind == "integer" and any(cell is not None and abs(cell) >= EXACT for cell in cells)
    if kind in types and not is_wide:
        return pd.Series(cells, dtype=types[kind])
    if kind == "date":
        return pd.Series([None if cell is None else date.fromisoformat(cell) for cell in cells], dtype="object")
    if kind == "datetime":
        return pd.to_datetime(pd.Series(cells, dtype="object"), format="ISO8601")
    return pd.Series([None if cell is None else _text(cell) for cell in cells], dtype="object")


def _text(cell: Json) -> str:
    return cell if isinstance(cell, str) else str(cell)


def from_columns(frame: Any, kinds: Mapping[str, str]) -> dict[str, Json]:
    """Return an edited frame as a table without its empty rows; `kinds` is column → type."""
    rows = _rows_of(frame, kinds)
    return _typed_table(kinds, [row for row in rows if any(cell is not None for cell in row)])


def _rows_of(frame: Any, kinds: Mapping[str, str]) -> list[list[Json]]:
    columns = [[_plain(cell, kind) for cell in frame[name]] for name, kind in kinds.items()]
    return [list(row) for row in zip(*columns, strict=True)]


def _typed_table(kinds: Mapping[str, str], rows: list[list[Json]]) -> dict[str, Json]:
    """Return the table; columns that somebody named are read as a CSV's would be."""
    known, columns = [], []
    for i, (name, kind) in enumerate(kinds.items()):
        cells = [row[i] for row in rows]
        if kind == "unknown":
            kind, cells = _typed(cells)
        known.append({"name": name, "type": kind})
        columns.append(cells)
    return {"$table": known, "rows": [list(row) for row in zip(*columns, strict=True)]}


def _typed(texts: list[Json]) -> tuple[str, list[Json]]:
    survey = Survey()
    for text in texts:
        survey.add(text)
    return infer_column(texts, survey.reading(",") or MIXED)


def _plain(cell: Any, kind: str) -> Json:
    """Pandas has three ways to say nothing: all are unequal to themselves or None."""
    if kind == "integer" and isinstance(cell, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,4000}\s*", cell):
        return int(cell)
    if cell is None or isinstance(cell, (str, bool)):
        return cell
    if isinstance(cell, datetime):
        return None if cell != cell else cell.isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if hasattr(cell, "item"):
        cell = cell.item()
    return cell if isinstance(cell, (int, float)) and cell == cell else None
