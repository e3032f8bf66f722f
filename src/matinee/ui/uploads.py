"""Files, pictures, sounds and tables as Streamlit widgets. An upload is taken once; then only its reference moves."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from matinee.ui import grids, render, tables, values
from matinee.ui.drawing import Drawing
from matinee.ui.forms import MISSING, Field, Json
from matinee.ui.results import SHOWN_IMAGES
from matinee.ui.words import escaped


def one(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw the field of one file, picture or sound; return its blob."""
    given = st.file_uploader(type=list(f.accept) or None, max_upload_size=drawing.upload_mb, **drawing.common(f))
    if given is None and f.kind == "audio":
        given = st.audio_input("Or record", key=drawing.key_of(f"{f.path}:recorded"))
    if given is not None:
        value = drawing.once(f.path, given, partial(_blob, given, drawing))
    elif values.is_blob(value):
        st.caption(f":material/attach_file: {escaped(value.get('name') or 'file')}, until you choose another")
    if not values.is_blob(value):
        return drawing.read(f, None) if given is None else MISSING
    if f.kind == "image" and value["$blob"] in SHOWN_IMAGES:
        render.picture(value, drawing.read_blob, width=160)
    elif f.kind == "audio" and given is not None:
        render.sound(value, drawing.read_blob)
    return value


def several(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw one uploader for a list of files; return their blobs."""
    accept = list(f.item.accept) if f.item else []
    given = st.file_uploader(
        type=accept or None, accept_multiple_files=True, max_upload_size=drawing.upload_mb, **drawing.common(f)
    )
    if given:
        blobs = [drawing.once(f"{f.path}.{file.file_id}", file, partial(_blob, file, drawing)) for file in given]
        return [blob for blob in blobs if blob is not MISSING]
    if not isinstance(value, list) or not value:
        return drawing.read(f, None)
    names = ", ".join(str(blob.get("name") or "file") for blob in value if values.is_blob(blob))
    st.caption(f":material/attach_file: {escaped(names)}, until you choose others")
    return value


def _blob(file: Any, drawing: Drawing) -> Json:
    return drawing.upload(file.getvalue(), file.type or "application/octet-stream", file.name)


def table(f: Field, value: Json, drawing: Drawing) -> Json:
    """Draw a table to upload or, when this is chosen, to edit; return it as it travels."""
    given = st.file_uploader(type=list(f.accept), max_upload_size=drawing.upload_mb, **drawing.common(f))
    if given is not None:
        value = drawing.once(f.path, given, lambda: tables.from_upload(given.name, given.getvalue(), f.path))
        if value is MISSING:
            return MISSING
    start = value if values.is_table(value) else None
    if st.toggle("Edit as a table", key=drawing.key_of(f"{f.path}:edit")):
        source = given.file_id if given is not None else ""
        start = grids.edit(start, drawing.key_of(f"{f.path}:grid:{source}"), f.label)
    if start is None:
        return drawing.read(f, None)
    names = ", ".join(str(column["name"]) for column in start["$table"])
    st.caption(escaped(f"{len(start['rows']):,} rows: {names}"))
    return start
