"""Files, pictures, sounds and tables as Streamlit widgets. An upload is taken once; then only its reference moves."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from matinee.errors import Problem
from matinee.tables.read import AmbiguousTableError
from matinee.ui import grids, render, tables, values
from matinee.ui.drawing import Drawing
from matinee.ui.forms import MISSING, Field, Json
from matinee.ui.words import escaped
from matinee.values import blobs, registry


def one(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw the field of one file, picture or sound; return its blob."""
    given = st.file_uploader(type=list(f.accept) or None, **drawing.uploader(f))
    if given is None and f.kind == "audio":
        given = st.audio_input("Or record", key=drawing.key_of(f"{f.path}:recorded"), on_change=drawing.forget(f))
    made = drawing.once(f.path, given, partial(_blob, given, drawing))
    if made is MISSING and given is None:
        made = value if values.is_blob(value) else MISSING
    if made is MISSING:
        return drawing.read(f, None) if given is None else MISSING
    if given is None:
        st.caption(f":material/attach_file: {escaped(made.get('name') or 'file')}, until you choose another")
    if f.kind != "file" and registry.shown_as(made["$blob"]) == f.kind:
        render.PLAYERS[f.kind](made, drawing.read_blob, **({"width": 160} if f.kind == "image" else {}))
    return made


def several(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw one uploader for a list of files; return their blobs."""
    accept = list(f.item.accept) if f.item else []
    given = st.file_uploader(type=accept or None, accept_multiple_files=True, **drawing.uploader(f))
    blobs = drawing.once(f.path, given, lambda: [_blob(file, drawing) for file in given])
    if blobs is MISSING and not given:
        blobs = value if isinstance(value, list) and value else MISSING
    if blobs is MISSING:
        return drawing.read(f, None) if not given else MISSING
    if not given:
        names = ", ".join(str(blob.get("name") or "file") for blob in blobs if values.is_blob(blob))
        st.caption(f":material/attach_file: {escaped(names)}, until you choose others")
    return blobs


def _blob(file: Any, drawing: Drawing) -> Json:
    return drawing.upload(file.getvalue(), blobs.media_type_of(file.type or ""), file.name)


def table(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw a table to upload or, when this is chosen, to edit; return it as it travels."""
    given = st.file_uploader(type=list(f.accept), **drawing.uploader(f))
    made = _kept_table(f, drawing) if given is None else _uploaded_table(f, given, drawing)
    if made is MISSING and given is not None:
        return MISSING
    start = made if made is not MISSING else value if values.is_table(value) else None
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
