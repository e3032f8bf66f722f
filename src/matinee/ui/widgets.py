"""The fields of a form as Streamlit widgets, and their values as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from matinee.errors import InputError, MatineeError, Problem
from matinee.ui import form_values, grids, render, tables
from matinee.ui.forms import MISSING, Field, Form, Json, messages_by_field, moved
from matinee.ui.text import escaped
from matinee.values import blobs, registry

# --- drawing a form ---------------------------------------------------------------------------------------------------
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

    def read(self, f: Field, raw: str | None, start: Json = MISSING) -> Json:
        """Return the JSON value of a field's text; MISSING, and a problem noted, for what cannot be read."""
        try:
            return form_values.value_from(f, raw, start)
        except InputError as error:
            self.problems.extend(error.problems)
            return MISSING

    def options(self, f: Field) -> dict[str, Any]:
        """Return the options of every widget of the field."""
        return {"label": label_of(f), "key": self.key_of(f.path), "help": help_of(f)}

    def lasting_options(self, f: Field) -> dict[str, Any]:
        """Return the options of a widget whose state Streamlit can keep while another page is shown."""
        options = {**self.options(f), "persist_state": "session"}
        return {**options, "on_change": "ignore"} if self.is_still else options

    def upload_options(self, f: Field) -> dict[str, Any]:
        """Return the options of an uploader, which forgets its file on another page: `convert_once` keeps the value."""
        return {**self.options(f), "max_upload_size": self.upload_mb, "on_change": self.forget_upload(f)}

    def forget_upload(self, f: Field) -> Callable[[], object]:
        """Return the callback for another upload, or none: the value of the one before is dropped."""
        return partial(st.session_state.pop, self._upload_key(f.path), None)

    def _upload_key(self, path: str) -> str:
        return self.key_of(f"{path}:made")

    def convert_once(self, path: str, files: Any, convert: Callable[[], Json]) -> Json:
        """Return what `convert` makes of uploaded files, called once however often the form is drawn.

        MISSING without files, and, with a problem noted at each drawing, when they cannot be converted.
        """
        key = self._upload_key(path)
        if files and key not in st.session_state:
            st.session_state[key] = _converted(path, convert)
        value, problems = st.session_state.get(key, (MISSING, ()))
        self.problems.extend(problems)
        return value


def _converted(path: str, convert: Callable[[], Json]) -> tuple[Json, tuple[Problem, ...]]:
    try:
        return convert(), ()
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


# --- upload widgets ---------------------------------------------------------------------------------------------------
# Files, pictures, sounds and tables as Streamlit widgets. An upload is taken once; then only its reference moves.


def draw_upload(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw the field of one file, picture, sound or video; return its blob."""
    file = st.file_uploader(type=list(f.accept) or None, **drawing.upload_options(f))
    if file is None and f.kind == "audio":
        key = drawing.key_of(f"{f.path}:recorded")
        file = st.audio_input("Or record", key=key, on_change=drawing.forget_upload(f))
    blob = drawing.convert_once(f.path, file, partial(_upload_blob, file, drawing))
    if file is not None and blob is MISSING:
        return MISSING
    if blob is MISSING:
        if not form_values.is_blob(value):
            return drawing.read(f, "", value)
        blob = value
    if file is None:
        st.caption(f":material/attach_file: {escaped(blob.get('name') or 'file')}, until you choose another")
    if f.kind != "file" and registry.shown_as(blob["$blob"]) == f.kind:
        render.PLAYERS[f.kind](blob, drawing.read_blob, **({"width": 160} if f.kind == "image" else {}))
    return blob


def draw_uploads(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw one uploader for a list of files; return their blobs."""
    accept = list(f.item.accept) if f.item else []
    files = st.file_uploader(type=accept or None, accept_multiple_files=True, **drawing.upload_options(f))
    blobs = drawing.convert_once(f.path, files, lambda: [_upload_blob(file, drawing) for file in files])
    if files and blobs is MISSING:
        return MISSING
    if blobs is MISSING:
        if not isinstance(value, list) or not value:
            return _empty_list(f, value)
        blobs = value
    if not files:
        names = ", ".join(str(blob.get("name") or "file") for blob in blobs if form_values.is_blob(blob))
        st.caption(f":material/attach_file: {escaped(names)}, until you choose others")
    return blobs


def _upload_blob(file: Any, drawing: Drawing) -> Json:
    return drawing.upload(file.getvalue(), blobs.media_type_of(file.type or ""), file.name)


def draw_table_upload(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw a table to upload, to paste or, when this is chosen, to edit; return it as it travels."""
    file = st.file_uploader(type=list(f.accept), **drawing.upload_options(f))
    pasted = "" if file else _pasted_text(f, drawing)
    source = tables.Upload(file.name, file.getvalue(), file.file_id) if file else tables.pasted(pasted)
    table = _earlier_table(f, drawing) if source is None else _uploaded_table(f, source, drawing)
    if table is MISSING and source is not None:
        return MISSING
    start = table if table is not MISSING else value if form_values.is_table(value) else None
    if st.toggle("Edit as a table", key=drawing.key_of(f"{f.path}:edit"), persist_state="session"):
        start = grids.edit(start, drawing.key_of(f"{f.path}:grid:{source.token if source else ''}"), f.label)
    if start is None:
        return drawing.read(f, "", value)
    names = ", ".join(str(column["name"]) for column in start["$table"])
    st.caption(escaped(f"{len(start['rows']):,} rows: {names}"))
    return start


def _pasted_text(f: Field, drawing: Drawing) -> str:
    with st.expander("Paste a table instead", icon=":material/content_paste:"):
        return str(
            st.text_area(
                f"{label_of(f)}, pasted",
                key=drawing.key_of(f"{f.path}:pasted"),
                placeholder=tables.PASTE_HINT,
                on_change=drawing.forget_upload(f),
                persist_state="session",
            )
        )


def _earlier_table(f: Field, drawing: Drawing) -> Json:
    """Return the table of an upload that the uploader forgot on another page."""
    made: Any = drawing.convert_once(f.path, None, lambda: None)
    return MISSING if made is MISSING or made[0] is None else made[0]


def _uploaded_table(f: Field, source: tables.Upload, drawing: Drawing) -> Json:
    """Return the table of an upload; MISSING while it cannot be read, or a question about it is open."""
    forget = drawing.forget_upload(f)
    key = drawing.key_of(f"{f.path}:reading:{source.token}")
    sheet = tables.choose_sheet(source.data, f"{key}:sheet", forget)
    read = partial(tables.read_or_ask, source, f.path, key, sheet)
    made: Any = drawing.convert_once(f.path, source, read)
    if made is MISSING:
        return MISSING
    table, questions = made
    tables.ask(questions, key, forget)
    if table is None:
        drawing.problems.append(Problem(f.path, "can be read in two ways: choose one above"))
        return MISSING
    return table


# --- widgets of the fields --------------------------------------------------------------------------------------------

FEW = 5  # so many short choices stand side by side, more in a list
SHORT = 48  # characters of their labels together
HINTS = {
    "lines": "One per line",
    "pairs": "One per line, as in  name: value",
    "array": "1, 2, 3 or one row per line, as pasted from a spreadsheet",
    "json": "JSON",
    "date": "2026-01-31",
    "datetime": "2026-01-31 09:30",
    "time": "09:30",
}
ICONS = {"date": ":material/calendar_month:", "datetime": ":material/calendar_month:", "time": ":material/schedule:"}
STRUCTURED = ("text", "long_text", "record", "tuple", "union", "list", "choices")  # what some values do not fit


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
    """Draw one field; return its JSON value or MISSING. What its own widgets cannot hold is shown as JSON."""
    if f.kind in STRUCTURED and value is not None and not form_values.holds(f, value):
        f = replace(f, kind="json")
    drawn = _WIDGETS[f.kind](f, value, drawing)
    if f.kind not in ("record", "tuple", "union"):
        drawing.slot(f.path)
    return drawn


def _line(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw a field of one line: what is in it is read and checked here, never by the browser."""
    text = form_values.text_of(f, value)
    if "\n" in text:
        return _lines(f, value, drawing)
    hint, icon = HINTS.get(f.kind) or _range_words(f), ICONS.get(f.kind)
    raw = drawing.st.text_input(value=text, placeholder=hint, icon=icon, **drawing.lasting_options(f))
    return drawing.read(f, raw, value)


def _lines(f: Field, value: Json, drawing: Drawing) -> Json:
    text, options = form_values.text_of(f, value), drawing.lasting_options(f)
    return drawing.read(f, drawing.st.text_area(value=text, placeholder=HINTS.get(f.kind), **options), value)


def _range_words(f: Field) -> str | None:
    if f.minimum is not None and f.maximum is not None:
        return f"{f.minimum:g} to {f.maximum:g}"
    if f.minimum is not None:
        return f"{f.minimum:g} or more"
    return None if f.maximum is None else f"{f.maximum:g} or less"


def _switch(f: Field, value: Json, drawing: Drawing) -> Json:
    return bool(drawing.st.toggle(value=value is True, **drawing.lasting_options(f)))


def _choice(f: Field, value: Json, drawing: Drawing) -> Json:
    places = range(len(f.choices))
    start = form_values.choice_of(f, value)
    labels = [choice.label for choice in f.choices]
    options = drawing.lasting_options(f)
    if len(labels) <= FEW and sum(map(len, labels)) <= SHORT:
        safe = [escaped(label) for label in labels]
        chosen = drawing.st.segmented_control(options=places, default=start, format_func=safe.__getitem__, **options)
    else:
        chosen = drawing.st.selectbox(
            options=places, index=start, format_func=labels.__getitem__, placeholder="Choose…", **options
        )
    return drawing.read(f, "", value) if chosen is None else f.choices[chosen].value


def _choices(f: Field, value: Json, drawing: Drawing) -> Json:
    places = range(len(f.choices))
    start = [form_values.choice_of(f, part) for part in value] if isinstance(value, list) else []
    labels = [choice.label for choice in f.choices]
    options = drawing.lasting_options(f)
    chosen = drawing.st.multiselect(options=places, default=start, format_func=labels.__getitem__, **options)
    return [f.choices[i].value for i in chosen] if chosen else _empty_list(f, value)


def _empty_list(f: Field, value: Json) -> Json:
    """Return what a list without items is: empty, null, or left out where Python's call would leave it out."""
    if value == [] or (f.required and not f.nullable):
        return []
    if f.nullable:
        return None
    return MISSING if value is MISSING else []


def _constant(f: Field, value: Json, _: Drawing) -> Json:
    return value if f.default is MISSING else f.default


def _record(f: Field, value: Json, drawing: Drawing) -> Json:
    with drawing.st.container(border=True):
        if not _draw_heading(f, isinstance(value, Mapping), drawing):
            return drawing.read(f, "", value)
        drawn = {part.name: draw(part, form_values.initial_value(part, value), drawing) for part in f.fields}
        drawing.slot(f.path)
    return {name: part for name, part in drawn.items() if part is not MISSING}


def _tuple(f: Field, value: Json, drawing: Drawing) -> Json:
    with drawing.st.container(border=True):
        if not _draw_heading(f, isinstance(value, list), drawing):
            return drawing.read(f, "", value)
        drawn = [draw(part, form_values.initial_value(part, value), drawing) for part in f.fields]
        drawing.slot(f.path)
    if all(part is MISSING for part in drawn) and drawn:
        return drawing.read(f, "", value)
    return [None if part is MISSING else part for part in drawn]


def _draw_heading(f: Field, is_on: bool, drawing: Drawing) -> bool:
    """Head a group of fields, with a switch where it may be left out; return whether its fields are drawn."""
    if not f.may_be_left_out:
        drawing.st.markdown(f"**{label_of(f)}**", help=help_of(f))
        return True
    if drawing.st.toggle(value=is_on, **drawing.lasting_options(f)):
        return True
    drawing.slot(f.path)
    return False


def _union(f: Field, value: Json, drawing: Drawing) -> Json:
    indexes = list(range(len(f.fields))) + ([-1] if f.may_be_left_out else [])
    labels = {**{i: f.fields[i].label for i in indexes if i >= 0}, -1: "None"}
    at = form_values.alternative_of(f, value)
    chosen = st.selectbox(
        options=indexes, index=indexes.index(at), format_func=labels.__getitem__, **drawing.lasting_options(f)
    )
    if chosen == -1:
        drawing.slot(f.path)
        return drawing.read(f, "", value)
    inner = replace(drawing, key=f"{drawing.key}|{chosen}")  # the lists of problems and slots stay shared
    return draw(replace(f.fields[chosen], label=labels[chosen]), value if chosen == at else MISSING, inner)


def _list(f: Field, value: Json, drawing: Drawing) -> Json:
    if f.item is None:
        return MISSING
    if f.holds_uploads:
        return draw_uploads(f, value, drawing)
    items = value if isinstance(value, list) else []
    rows_key = drawing.key_of(f"{f.path}:rows")
    rows: list[int] = st.session_state.setdefault(rows_key, list(range(_rows_at_first(f, items))))
    with st.container(border=True):
        st.markdown(f"**{label_of(f)}**", help=help_of(f))
        drawn = [_row(f.item, f"{f.path}.{i}", row, items, rows_key, drawing) for i, row in enumerate(rows)]
        st.button(
            "Add",
            key=drawing.key_of(f"{f.path}:add"),
            icon=":material/add:",
            on_click=lambda: rows.append(max(rows, default=-1) + 1),
        )
    if not drawn:
        return _empty_list(f, value)
    known = {problem.path for problem in drawing.problems}
    for i, item in enumerate(drawn):
        if item is MISSING and not any(path.startswith(f"{f.path}.{i}") for path in known):
            drawing.problems.append(Problem(f"{f.path}.{i}", "is empty: fill it in, or remove it"))
    return [item for item in drawn if item is not MISSING]


def _rows_at_first(f: Field, items: list[Json]) -> int:
    return max(len(items), f.min_items) if f.required else len(items)


def _row(item: Field, path: str, row: int, items: list[Json], rows_key: str, drawing: Drawing) -> Json:
    """One item with its button to remove it; its widgets are keyed by the row, which keeps its number for good."""
    place, button = st.columns([8, 2], vertical_alignment="bottom")
    number = int(path.rpartition(".")[2]) + 1
    named = replace(moved(item, path), label=f"{number}", required=True)
    with place:
        inner = replace(drawing, key=drawing.key_of(f"{path.rpartition('.')[0]}:{row}"), at=path)
        drawn = draw(named, items[row] if row < len(items) else form_values.initial_value(item, {}), inner)
    button.button(
        "Remove",
        key=f"{inner.key}:remove",
        icon=":material/close:",
        type="tertiary",
        on_click=lambda: st.session_state[rows_key].remove(row),
    )
    return drawn


_WIDGETS: dict[str, Callable[[Field, Json, Drawing], Json]] = {
    **dict.fromkeys(("text", "integer", "number", "decimal", "date", "datetime", "time"), _line),
    **dict.fromkeys(("long_text", "lines", "pairs", "array", "json"), _lines),
    "switch": _switch, "choice": _choice, "choices": _choices, "constant": _constant, "record": _record,
    "tuple": _tuple, "union": _union, "list": _list, **dict.fromkeys(registry.FILES, draw_upload),
    "table": draw_table_upload,
}  # fmt: skip
