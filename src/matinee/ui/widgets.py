"""The fields of a form as Streamlit widgets, and their values as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from matinee.errors import InputError, MatineeError, Problem
from matinee.tables.uploads import AmbiguousTableError
from matinee.ui import form_values, grids, render, tables
from matinee.ui.forms import MISSING, Field, Form, Json, messages_by_field, moved
from matinee.ui.text import escaped
from matinee.values import blobs as values_blobs
from matinee.values import registry

# --- drawing ----------------------------------------------------------------------------------------------------------
# One drawing of a form, shared by its widgets: where they keep their state, what could not be read, and messages.

Upload = Callable[[bytes, str, str], Json]


class Filled:
    """In Streamlit's place where a still form is drawn already: each widget is what is filled in, nothing is drawn."""

    def __getattr__(self, _: str) -> Callable[..., Any]:
        return self._value

    def _value(self, *_: Any, key: str = "", **__: Any) -> Any:
        return st.session_state[key] if key else None

    def container(self, **_: Any) -> AbstractContextManager[None]:
        return nullcontext()


@dataclass
class Drawing:
    """`read_blob` and `upload` (data, media type, name → blob) are the client's; `upload_mb` is the limit of one file.

    Widgets are keyed by their path below `at`, which `key` stands for: an item of a list keeps its key as it moves up.
    """

    key: str
    read_blob: Callable[[Json], bytes]
    upload: Upload
    upload_mb: int | None = None
    at: str = ""
    is_still: bool = False  # the browser keeps what is filled in until something is pressed: no run per field
    problems: list[Problem] = field(default_factory=list)
    slots: dict[str, DeltaGenerator] = field(default_factory=dict)
    st: Any = st  # what draws: Streamlit, or for a form that is drawn already `Filled`

    def key_of(self, path: str) -> str:
        """Return the key of the widget at the path."""
        return f"{self.key}:{path.removeprefix(self.at)}"

    def slot(self, path: str) -> None:
        """Keep a place for messages below what was just drawn; a still form has none, and so no places."""
        if not self.is_still:
            self.slots[path] = st.empty()

    def read(self, f: Field, raw: Any) -> Json:
        """Return the JSON value of what a widget holds; MISSING, and a problem noted, for what cannot be read."""
        try:
            return form_values.value_from(f, raw)
        except InputError as error:
            self.problems.extend(error.problems)
            return MISSING

    def told(self, f: Field) -> dict[str, Any]:
        """Return what every widget of the field is told."""
        return {"label": label_of(f), "key": self.key_of(f.path), "help": help_of(f)}

    def common(self, f: Field) -> dict[str, Any]:
        """Return what a widget is told that Streamlit can keep while another page is shown."""
        kept = {**self.told(f), "persist_state": "session"}
        return {**kept, "on_change": "ignore"} if self.is_still else kept

    def uploader(self, f: Field) -> dict[str, Any]:
        """Return what an uploader is told: it forgets its file on another page, so what was made of it is kept here."""
        return {**self.told(f), "max_upload_size": self.upload_mb, "on_change": self.forget(f)}

    def forget(self, f: Field) -> Callable[[], object]:
        """Return what forgets the upload: another was chosen, or none."""
        return partial(st.session_state.pop, self._made(f.path), None)

    def _made(self, path: str) -> str:
        return self.key_of(f"{path}:made")

    def once(self, path: str, files: Any, make: Callable[[], Json]) -> Json:
        """Return what `make` makes of uploaded files, made once however often the form is drawn, and kept.

        MISSING when none were given, and, a problem noted each time, when it cannot be made.
        """
        key = self._made(path)
        if files and key not in st.session_state:
            st.session_state[key] = _made(path, make)
        made, problems = st.session_state.get(key, (MISSING, ()))
        self.problems.extend(problems)
        return made


def _made(path: str, make: Callable[[], Json]) -> tuple[Json, tuple[Problem, ...]]:
    try:
        return make(), ()
    except InputError as error:
        return MISSING, error.problems
    except MatineeError as error:
        return MISSING, (Problem(path, f"could not be taken: {error.message}"),)


def label_of(f: Field) -> str:
    """Return the field's label, which says when it may be left empty."""
    is_optional = not f.required and f.default in (MISSING, None, "", [], {})
    return escaped(f.label) + (" (optional)" if is_optional else "")


def help_of(f: Field) -> str | None:
    """Return the field's description for its tooltip."""
    return escaped(f.help) if f.help else None


# --- uploads ----------------------------------------------------------------------------------------------------------
# Files, pictures, sounds and tables as Streamlit widgets. An upload is taken once; then only its reference moves.


def draw_upload(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw the field of one file, picture or sound; return its blob."""
    given = st.file_uploader(type=list(f.accept) or None, **drawing.uploader(f))
    if given is None and f.kind == "audio":
        given = st.audio_input("Or record", key=drawing.key_of(f"{f.path}:recorded"), on_change=drawing.forget(f))
    made = drawing.once(f.path, given, partial(_blob, given, drawing))
    if made is MISSING and given is None:
        made = value if form_values.is_blob(value) else MISSING
    if made is MISSING:
        return drawing.read(f, None) if given is None else MISSING
    if given is None:
        st.caption(f":material/attach_file: {escaped(made.get('name') or 'file')}, until you choose another")
    if f.kind != "file" and registry.shown_as(made["$blob"]) == f.kind:
        render.PLAYERS[f.kind](made, drawing.read_blob, **({"width": 160} if f.kind == "image" else {}))
    return made


def draw_uploads(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw one uploader for a list of files; return their blobs."""
    accept = list(f.item.accept) if f.item else []
    given = st.file_uploader(type=accept or None, accept_multiple_files=True, **drawing.uploader(f))
    blobs = drawing.once(f.path, given, lambda: [_blob(file, drawing) for file in given])
    if blobs is MISSING and not given:
        blobs = value if isinstance(value, list) and value else MISSING
    if blobs is MISSING:
        return drawing.read(f, None) if not given else MISSING
    if not given:
        names = ", ".join(str(blob.get("name") or "file") for blob in blobs if form_values.is_blob(blob))
        st.caption(f":material/attach_file: {escaped(names)}, until you choose others")
    return blobs


def _blob(file: Any, drawing: Drawing) -> Json:
    return drawing.upload(file.getvalue(), values_blobs.media_type_of(file.type or ""), file.name)


def draw_table_upload(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw a table to upload or, when this is chosen, to edit; return it as it travels."""
    given = st.file_uploader(type=list(f.accept), **drawing.uploader(f))
    made = _kept_table(f, drawing) if given is None else _uploaded_table(f, given, drawing)
    if made is MISSING and given is not None:
        return MISSING
    start = made if made is not MISSING else value if form_values.is_table(value) else None
    if st.toggle("Edit as a table", key=drawing.key_of(f"{f.path}:edit"), persist_state="session"):
        source = given.file_id if given else ""
        start = grids.edit(start, drawing.key_of(f"{f.path}:grid:{source}"), f.label)
    if start is None:
        return drawing.read(f, None)
    names = ", ".join(str(column["name"]) for column in start["$table"])
    st.caption(escaped(f"{len(start['rows']):,} rows: {names}"))
    return start


def _kept_table(f: Field, drawing: Drawing) -> Json:
    """Return the table of an upload that the uploader forgot on another page."""
    made: Any = drawing.once(f.path, None, lambda: None)
    return MISSING if made is MISSING or made[0] is None else made[0]


def _uploaded_table(f: Field, given: Any, drawing: Drawing) -> Json:
    """Return the table of an upload; MISSING while it cannot be read, or a question about it is open."""
    data, forget = given.getvalue(), drawing.forget(f)
    key = drawing.key_of(f"{f.path}:reading:{given.file_id}")
    sheet = tables.choose_sheet(data, f"{key}:sheet", forget)
    made: Any = drawing.once(f.path, given, partial(_read_table, given.name, data, f.path, key, sheet))
    if made is MISSING:
        return MISSING
    table, questions = made
    tables.ask(questions, key, forget)
    if table is None:
        drawing.problems.append(Problem(f.path, "can be read in two ways: choose one above"))
        return MISSING
    return table


def _read_table(name: str, data: bytes, path: str, key: str, sheet: str) -> Json:
    """Return the table, None while it must be asked how to read it, and what is asked."""
    try:
        return tables.from_upload(name, data, path, sheet=sheet), ()
    except AmbiguousTableError as error:
        answers = tables.answers(error.questions, key)
        if len(answers) < len(error.questions):
            return None, error.questions
        return tables.from_upload(name, data, path, readings=answers, sheet=sheet), error.questions


# --- widgets ----------------------------------------------------------------------------------------------------------

FEW = 5  # so many short choices stand side by side, more in a list
SHORT = 48  # characters of their labels together
EXACT = 2**53 - 1  # a browser knows no whole numbers beyond


def draw_form(form: Form, inputs: Json, drawing: Drawing) -> dict[str, Json]:
    """Draw all fields, starting from `inputs`; return the inputs as they stand (what is missing is left out)."""
    drawn = {f.name: draw(f, form_values.initial_value(f, inputs), drawing) for f in form.fields}
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
    raw = widget(value=form_values.to_widget(f, value), placeholder=hints.get(f.kind), **extra, **drawing.common(f))
    return drawing.read(f, raw)


def _number(f: Field, value: Json, drawing: Drawing) -> Json:
    if f.kind == "decimal" or any(map(_is_beyond, (value, f.default, f.minimum, f.maximum))):
        shown = "" if value is MISSING or value is None else str(value)
        return drawing.read(f, drawing.st.text_input(value=shown, placeholder=_range_words(f), **drawing.common(f)))
    kind: type[float] = int if f.kind == "integer" else float

    def bound(limit: float | None) -> float | None:
        return None if limit is None or abs(limit) > EXACT else kind(limit)

    raw = drawing.st.number_input(
        value=form_values.to_widget(f, value),
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
    return drawing.read(f, drawing.st.date_input(value=form_values.to_widget(f, value), **limits, **drawing.common(f)))


def _datetime(f: Field, value: Json, drawing: Drawing) -> Json:
    raw = drawing.st.datetime_input(
        value=form_values.to_widget(f, value),
        min_value=datetime.min,
        max_value=datetime.max,
        format="YYYY-MM-DD",
        step=60,
        **drawing.common(f),
    )
    return drawing.read(f, raw)


def _time(f: Field, value: Json, drawing: Drawing) -> Json:
    return drawing.read(f, drawing.st.time_input(value=form_values.to_widget(f, value), step=60, **drawing.common(f)))


def _constant(f: Field, value: Json, _: Drawing) -> Json:
    return value if f.default is MISSING else f.default


def _record(f: Field, value: Json, drawing: Drawing) -> Json:
    with drawing.st.container(border=True):
        if not _is_given(f, isinstance(value, Mapping), drawing):
            return None
        drawn = {part.name: draw(part, form_values.initial_value(part, value), drawing) for part in f.fields}
        drawing.slot(f.path)
    return {name: part for name, part in drawn.items() if part is not MISSING}


def _tuple(f: Field, value: Json, drawing: Drawing) -> Json:
    with drawing.st.container(border=True):
        if not _is_given(f, isinstance(value, list), drawing):
            return None
        drawn = [draw(part, form_values.initial_value(part, value), drawing) for part in f.fields]
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
    at = form_values.alternative_of(f, value)
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
        return draw_uploads(f, value, drawing)
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
        drawn = draw(named, given[row] if row < len(given) else form_values.initial_value(item, {}), inner)
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
    "constant": _constant, **dict.fromkeys(registry.FILES, draw_upload), "table": draw_table_upload,
    "pairs": _text, "array": _text, "record": _record, "tuple": _tuple, "union": _union, "list": _list,
}  # fmt: skip
