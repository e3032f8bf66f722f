"""The fields of a form as Streamlit widgets, and their values as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from matinee.errors import InputError, Problem
from matinee.ui import render, tables, values
from matinee.ui.forms import MISSING, Field, Form, Json, messages_by_field, moved
from matinee.ui.results import SHOWN_IMAGES
from matinee.ui.words import escaped

FEW = 5  # so many short choices stand side by side, more in a list
SHORT = 48  # characters of their labels together


@dataclass
class Drawing:
    """One drawing of a form: where its widgets keep their state, what could not be read, and places for messages."""

    key: str
    read_blob: Callable[[Json], bytes]
    problems: list[Problem] = field(default_factory=list)
    slots: dict[str, DeltaGenerator] = field(default_factory=dict)

    def key_of(self, path: str) -> str:
        """Return the key of the widget at the path."""
        return f"{self.key}:{path}"

    def slot(self, path: str) -> None:
        """Keep a place for messages below what was just drawn."""
        self.slots[path] = st.empty()


def draw_form(form: Form, inputs: Json, drawing: Drawing) -> dict[str, Json]:
    """Draw all fields, starting from `inputs`; return the inputs as they stand (what is missing is left out)."""
    drawn = {f.name: draw(f, values.initial_value(f, inputs), drawing) for f in form.fields}
    drawing.slot("")
    return {name: value for name, value in drawn.items() if value is not MISSING}


def show_problems(form: Form, problems: list[Problem], drawing: Drawing) -> None:
    """Write each message below its field."""
    for path, messages in messages_by_field(form, problems).items():
        slot = drawing.slots.get(path, drawing.slots[""])
        slot.markdown("  \n".join(f":material/error: :red[{escaped(m)}]" for m in messages))


def draw(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw one field; return its JSON value or MISSING."""
    drawn = _WIDGETS[f.kind](f, value, drawing)
    if f.kind not in ("record", "union"):
        drawing.slot(f.path)
    return drawn


def _read(f: Field, raw: Any, drawing: Drawing) -> Json:
    try:
        return values.value_from(f, raw)
    except InputError as error:
        drawing.problems.extend(error.problems)
        return MISSING


def _common(f: Field, drawing: Drawing) -> dict[str, Any]:
    return {"label": _label(f), "key": drawing.key_of(f.path), "help": escaped(f.help) if f.help else None}


def _label(f: Field) -> str:
    is_optional = not f.required and f.default in (MISSING, None, "", [], {})
    return escaped(f.label) + (" :gray[(optional)]" if is_optional else "")


def _text(f: Field, value: Json, drawing: Drawing) -> Json:
    widget = st.text_area if f.kind in ("long_text", "lines", "json") else st.text_input
    hints = {"lines": "One per line", "json": "JSON"}
    extra = {"max_chars": f.max_length} if f.max_length else {}
    raw = widget(value=values.to_widget(f, value), placeholder=hints.get(f.kind), **extra, **_common(f, drawing))
    return _read(f, raw, drawing)


def _number(f: Field, value: Json, drawing: Drawing) -> Json:
    kind: type[float] = int if f.kind == "integer" else float

    def bound(limit: float | None) -> float | None:
        return None if limit is None else kind(limit)

    raw = st.number_input(
        value=values.to_widget(f, value),
        min_value=bound(f.minimum),
        max_value=bound(f.maximum),
        step=bound(f.step),
        format=None if f.kind == "integer" else "%.6g",
        placeholder=_range_words(f),
        **_common(f, drawing),
    )
    return _read(f, raw, drawing)


def _range_words(f: Field) -> str | None:
    if f.minimum is not None and f.maximum is not None:
        return f"{f.minimum:g} to {f.maximum:g}"
    if f.minimum is not None:
        return f"{f.minimum:g} or more"
    return None if f.maximum is None else f"{f.maximum:g} or less"


def _switch(f: Field, value: Json, drawing: Drawing) -> Json:
    return bool(st.toggle(value=value is True, **_common(f, drawing)))


def _choice(f: Field, value: Json, drawing: Drawing) -> Json:
    indexes = range(len(f.choices))
    at = next((i for i in indexes if f.choices[i].value == value and type(f.choices[i].value) is type(value)), None)
    labels = [escaped(choice.label) for choice in f.choices]
    if len(labels) <= FEW and sum(map(len, labels)) <= SHORT:
        chosen = st.segmented_control(
            options=indexes, default=at, format_func=labels.__getitem__, **_common(f, drawing)
        )
    else:
        plain = [choice.label for choice in f.choices]
        chosen = st.selectbox(
            options=indexes, index=at, format_func=plain.__getitem__, placeholder="Choose…", **_common(f, drawing)
        )
    return _read(f, None if chosen is None else f.choices[chosen].value, drawing)


def _choices(f: Field, value: Json, drawing: Drawing) -> Json:
    indexes = range(len(f.choices))
    given = value if isinstance(value, list) else []
    chosen = st.multiselect(
        options=indexes,
        default=[i for i in indexes if f.choices[i].value in given],
        format_func=lambda i: f.choices[i].label,
        **_common(f, drawing),
    )
    return [f.choices[i].value for i in chosen] or (None if f.nullable else [])


def _date(f: Field, value: Json, drawing: Drawing) -> Json:
    # The widget's own limits are ten years around its value: far too near for a date of birth.
    limits: dict[str, Any] = {"min_value": date.min, "max_value": date.max, "format": "YYYY-MM-DD"}
    return _read(f, st.date_input(value=values.to_widget(f, value), **limits, **_common(f, drawing)), drawing)


def _datetime(f: Field, value: Json, drawing: Drawing) -> Json:
    raw = st.datetime_input(
        value=values.to_widget(f, value),
        min_value=datetime.min,
        max_value=datetime.max,
        format="YYYY-MM-DD",
        step=60,
        **_common(f, drawing),
    )
    return _read(f, raw, drawing)


def _time(f: Field, value: Json, drawing: Drawing) -> Json:
    return _read(f, st.time_input(value=values.to_widget(f, value), step=60, **_common(f, drawing)), drawing)


def _constant(f: Field, _: Json, __: Drawing) -> Json:
    return f.default


def _upload(f: Field, value: Json, drawing: Drawing) -> Json:
    given = st.file_uploader(type=list(f.accept) or None, **_common(f, drawing))
    if given is None and f.kind == "audio":
        given = st.audio_input("Or record", key=drawing.key_of(f"{f.path}:recorded"))
    if given is not None:
        value = values.blob(given.getvalue(), given.type or "application/octet-stream", given.name)
    elif values.is_blob(value):
        st.caption(f":material/attach_file: {escaped(value.get('name') or 'file')}, until you choose another")
    else:
        return values.value_from(f, None)
    if f.kind == "image" and value["$blob"] in SHOWN_IMAGES:
        render.picture(value, drawing.read_blob, width=160)
    return value


def _table(f: Field, value: Json, drawing: Drawing) -> Json:
    given = st.file_uploader(type=list(f.accept), **_common(f, drawing))
    try:
        table = tables.from_upload(given.name, given.getvalue(), f.path) if given else value
    except InputError as error:
        drawing.problems.extend(error.problems)
        return MISSING
    if not values.is_table(table):
        return values.value_from(f, None)
    names = ", ".join(str(column["name"]) for column in table["$table"])
    st.caption(escaped(f"{len(table['rows']):,} rows: {names}"))
    return table


def _record(f: Field, value: Json, drawing: Drawing) -> Json:
    with st.container(border=True):
        if f.nullable:
            if not st.toggle(value=isinstance(value, Mapping), **_common(f, drawing)):
                drawing.slot(f.path)
                return None
        else:
            st.markdown(f"**{_label(f)}**", help=escaped(f.help) if f.help else None)
        drawn = {part.name: draw(part, values.initial_value(part, value), drawing) for part in f.fields}
        drawing.slot(f.path)
    return {name: part for name, part in drawn.items() if part is not MISSING}


def _union(f: Field, value: Json, drawing: Drawing) -> Json:
    indexes = list(range(len(f.fields))) + ([-1] if f.nullable else [])
    labels = {**{i: f.fields[i].label for i in indexes if i >= 0}, -1: "None"}
    at = values.alternative_of(f, value)
    chosen = st.selectbox(
        options=indexes, index=indexes.index(at), format_func=labels.__getitem__, **_common(f, drawing)
    )
    if chosen == -1:
        drawing.slot(f.path)
        return None
    inner = replace(drawing, key=f"{drawing.key}:{chosen}")  # the lists of problems and slots stay shared
    return draw(replace(f.fields[chosen], label=labels[chosen]), value if chosen == at else MISSING, inner)


def _list(f: Field, value: Json, drawing: Drawing) -> Json:
    if f.item is None:
        return MISSING
    if f.holds_uploads:
        return _uploads(f, value, drawing)
    given = value if isinstance(value, list) else []
    rows_key = drawing.key_of(f"{f.path}:rows")
    rows: list[int] = st.session_state.setdefault(rows_key, list(range(max(len(given), f.min_items))))
    with st.container(border=True):
        st.markdown(f"**{_label(f)}**", help=escaped(f.help) if f.help else None)
        drawn = [_row(f.item, f"{f.path}.{i}", row, given, rows_key, drawing) for i, row in enumerate(rows)]
        st.button(
            "Add",
            key=drawing.key_of(f"{f.path}:add"),
            icon=":material/add:",
            on_click=lambda: rows.append(max(rows, default=-1) + 1),
            disabled=f.max_items is not None and len(rows) >= f.max_items,
        )
    return [item for item in drawn if item is not MISSING]


def _row(item: Field, path: str, row: int, given: list[Json], rows_key: str, drawing: Drawing) -> Json:
    """One item with its button to remove it; its widgets are keyed by the row, which keeps its number for good."""
    place, button = st.columns([12, 1], vertical_alignment="top")
    number = int(path.rpartition(".")[2]) + 1
    named = replace(moved(item, path), label=f"{number}", required=True)
    with place:
        inner = replace(drawing, key=f"{drawing.key}:{row}")
        drawn = draw(named, given[row] if row < len(given) else values.initial_value(item, {}), inner)
    button.button(
        "",
        key=drawing.key_of(f"{path}:{row}:remove"),
        icon=":material/close:",
        help="Remove",
        type="tertiary",
        on_click=lambda: st.session_state[rows_key].remove(row),
    )
    return drawn


def _uploads(f: Field, value: Json, drawing: Drawing) -> Json:
    accept = list(f.item.accept) if f.item else []
    given = st.file_uploader(type=accept or None, accept_multiple_files=True, **_common(f, drawing))
    if not given:
        return value if isinstance(value, list) else values.value_from(f, None)
    return [values.blob(g.getvalue(), g.type or "application/octet-stream", g.name) for g in given]


_WIDGETS: dict[str, Callable[[Field, Json, Drawing], Json]] = {
    "text": _text, "long_text": _text, "lines": _text, "json": _text, "integer": _number, "number": _number,
    "switch": _switch, "choice": _choice, "choices": _choices, "date": _date, "datetime": _datetime, "time": _time,
    "constant": _constant, "file": _upload, "image": _upload, "audio": _upload, "table": _table, "record": _record,
    "union": _union, "list": _list,
}  # fmt: skip
