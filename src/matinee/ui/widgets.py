"""The fields of a form as Streamlit widgets, and their values as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import streamlit as st

from matinee.errors import Problem
from matinee.ui import uploads, values
from matinee.ui.drawing import Drawing, Filled, help_of, label_of
from matinee.ui.forms import MISSING, Field, Form, Json, messages_by_field, moved
from matinee.ui.words import escaped
from matinee.values import registry

FEW = 5  # so many short choices stand side by side, more in a list
SHORT = 48  # characters of their labels together
EXACT = 2**53 - 1  # a browser knows no whole numbers beyond


def draw_form(form: Form, inputs: Json, drawing: Drawing) -> dict[str, Json]:
    """Draw all fields, starting from `inputs`; return the inputs as they stand (what is missing is left out)."""
    drawn = {f.name: draw(f, values.initial_value(f, inputs), drawing) for f in form.fields}
    drawing.slot("")
    return {name: value for name, value in drawn.items() if value is not MISSING}


def filled_in(form: Form, inputs: Json, drawing: Drawing) -> dict[str, Json]:
    """Return the inputs of a still form as they stand, once `draw_form` has drawn it: nothing is drawn here."""
    return draw_form(form, inputs, replace(drawing, st=Filled()))


def show_problems(form: Form, problems: list[Problem], drawing: Drawing) -> None:
    """Write each message below its field."""
    for path, messages in messages_by_field(form, problems).items():
        slot = drawing.slots.get(path, drawing.slots[""])
        slot.markdown("  \n".join(f":material/error: :red[{escaped(m)}]" for m in messages))


def draw(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw one field; return its JSON value or MISSING."""
    drawn = _WIDGETS[f.kind](f, value, drawing)
    if f.kind not in ("record", "tuple", "union"):
        drawing.slot(f.path)
    return drawn


def _text(f: Field, value: Json, drawing: Drawing) -> Json:
    widget = drawing.st.text_input if f.kind == "text" else drawing.st.text_area
    hints = {
        "lines": "One per line",
        "pairs": "One per line, as in  name: value",
        "array": "1, 2, 3 or one row per line, as pasted from a spreadsheet",
        "json": "JSON",
    }
    extra = {"max_chars": f.max_length} if f.max_length else {}
    raw = widget(value=values.to_widget(f, value), placeholder=hints.get(f.kind), **extra, **drawing.common(f))
    return drawing.read(f, raw)


def _number(f: Field, value: Json, drawing: Drawing) -> Json:
    if f.kind == "decimal" or any(map(_is_beyond, (value, f.default, f.minimum, f.maximum))):
        shown = "" if value is MISSING or value is None else str(value)
        return drawing.read(f, drawing.st.text_input(value=shown, placeholder=_range_words(f), **drawing.common(f)))
    kind: type[float] = int if f.kind == "integer" else float

    def bound(limit: float | None) -> float | None:
        return None if limit is None or abs(limit) > EXACT else kind(limit)

    raw = drawing.st.number_input(
        value=values.to_widget(f, value),
        min_value=bound(f.minimum),
        max_value=bound(f.maximum),
        step=bound(f.step),
        format=None if f.kind == "integer" else "%.6g",
        placeholder=_range_words(f),
        **drawing.common(f),
    )
    return drawing.read(f, raw)


def _is_beyond(value: Json) -> bool:
    """Whether it is a whole number that a browser would change."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT


def _range_words(f: Field) -> str | None:
    if f.minimum is not None and f.maximum is not None:
        return f"{f.minimum:g} to {f.maximum:g}"
    if f.minimum is not None:
        return f"{f.minimum:g} or more"
    return None if f.maximum is None else f"{f.maximum:g} or less"


def _switch(f: Field, value: Json, drawing: Drawing) -> Json:
    return bool(drawing.st.toggle(value=value is True, **drawing.common(f)))


def _choice(f: Field, value: Json, drawing: Drawing) -> Json:
    indexes = range(len(f.choices))
    at = next((i for i in indexes if f.choices[i].value == value and type(f.choices[i].value) is type(value)), None)
    labels = [escaped(choice.label) for choice in f.choices]
    common = drawing.common(f)
    if len(labels) <= FEW and sum(map(len, labels)) <= SHORT:
        chosen = drawing.st.segmented_control(options=indexes, default=at, format_func=labels.__getitem__, **common)
    else:
        plain = [choice.label for choice in f.choices]
        chosen = drawing.st.selectbox(
            options=indexes, index=at, format_func=plain.__getitem__, placeholder="Choose…", **common
        )
    return drawing.read(f, None if chosen is None else f.choices[chosen].value)


def _choices(f: Field, value: Json, drawing: Drawing) -> Json:
    indexes = range(len(f.choices))
    given = value if isinstance(value, list) else []
    chosen = drawing.st.multiselect(
        options=indexes,
        default=[i for i in indexes if f.choices[i].value in given],
        format_func=lambda i: f.choices[i].label,
        **drawing.common(f),
    )
    return [f.choices[i].value for i in chosen] or (None if f.nullable else [])


def _date(f: Field, value: Json, drawing: Drawing) -> Json:
    # The widget's own limits are ten years around its value: far too near for a date of birth.
    limits: dict[str, Any] = {"min_value": date.min, "max_value": date.max, "format": "YYYY-MM-DD"}
    return drawing.read(f, drawing.st.date_input(value=values.to_widget(f, value), **limits, **drawing.common(f)))


def _datetime(f: Field, value: Json, drawing: Drawing) -> Json:
    raw = drawing.st.datetime_input(
        value=values.to_widget(f, value),
        min_value=datetime.min,
        max_value=datetime.max,
        format="YYYY-MM-DD",
        step=60,
        **drawing.common(f),
    )
    return drawing.read(f, raw)


def _time(f: Field, value: Json, drawing: Drawing) -> Json:
    return drawing.read(f, drawing.st.time_input(value=values.to_widget(f, value), step=60, **drawing.common(f)))


def _constant(f: Field, value: Json, _: Drawing) -> Json:
    return value if f.default is MISSING else f.default


def _record(f: Field, value: Json, drawing: Drawing) -> Json:
    with drawing.st.container(border=True):
        if not _is_given(f, isinstance(value, Mapping), drawing):
            return None
        drawn = {part.name: draw(part, values.initial_value(part, value), drawing) for part in f.fields}
        drawing.slot(f.path)
    return {name: part for name, part in drawn.items() if part is not MISSING}


def _tuple(f: Field, value: Json, drawing: Drawing) -> Json:
    with drawing.st.container(border=True):
        if not _is_given(f, isinstance(value, list), drawing):
            return None
        drawn = [draw(part, values.initial_value(part, value), drawing) for part in f.fields]
        drawing.slot(f.path)
    if all(part is MISSING for part in drawn):
        return MISSING
    return [None if part is MISSING else part for part in drawn]


def _is_given(f: Field, was_given: bool, drawing: Drawing) -> bool:
    """Head a group of fields; one that may be null has a switch."""
    if not f.nullable:
        drawing.st.markdown(f"**{label_of(f)}**", help=help_of(f))
        return True
    if drawing.st.toggle(value=was_given, **drawing.common(f)):
        return True
    drawing.slot(f.path)
    return False


def _union(f: Field, value: Json, drawing: Drawing) -> Json:
    indexes = list(range(len(f.fields))) + ([-1] if f.nullable else [])
    labels = {**{i: f.fields[i].label for i in indexes if i >= 0}, -1: "None"}
    at = values.alternative_of(f, value)
    chosen = st.selectbox(options=indexes, index=indexes.index(at), format_func=labels.__getitem__, **drawing.common(f))
    if chosen == -1:
        drawing.slot(f.path)
        return None
    inner = replace(drawing, key=f"{drawing.key}|{chosen}")  # the lists of problems and slots stay shared
    return draw(replace(f.fields[chosen], label=labels[chosen]), value if chosen == at else MISSING, inner)


def _list(f: Field, value: Json, drawing: Drawing) -> Json:
    if f.item is None:
        return MISSING
    if f.holds_uploads:
        return uploads.several(f, value, drawing)
    given = value if isinstance(value, list) else []
    rows_key = drawing.key_of(f"{f.path}:rows")
    rows: list[int] = st.session_state.setdefault(rows_key, list(range(max(len(given), f.min_items))))
    with st.container(border=True):
        st.markdown(f"**{label_of(f)}**", help=help_of(f))
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
    place, button = st.columns([8, 2], vertical_alignment="bottom")
    number = int(path.rpartition(".")[2]) + 1
    named = replace(moved(item, path), label=f"{number}", required=True)
    with place:
        inner = replace(drawing, key=drawing.key_of(f"{path.rpartition('.')[0]}:{row}"), at=path)
        drawn = draw(named, given[row] if row < len(given) else values.initial_value(item, {}), inner)
    button.button(
        "Remove",
        key=f"{inner.key}:remove",
        icon=":material/close:",
        type="tertiary",
        on_click=lambda: st.session_state[rows_key].remove(row),
    )
    return drawn


_WIDGETS: dict[str, Callable[[Field, Json, Drawing], Json]] = {
    "text": _text, "long_text": _text, "lines": _text, "json": _text, "integer": _number, "number": _number,
    "decimal": _number,
    "switch": _switch, "choice": _choice, "choices": _choices, "date": _date, "datetime": _datetime, "time": _time,
    "constant": _constant, **dict.fromkeys(registry.FILES, uploads.one), "table": uploads.table,
    "pairs": _text, "array": _text, "record": _record, "tuple": _tuple, "union": _union, "list": _list,
}  # fmt: skip
