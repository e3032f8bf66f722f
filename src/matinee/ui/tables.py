"""A table that somebody uploads or pastes: read by the one reader, and asked about where it can be read in two ways."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import streamlit as st

from matinee.tables.columns import Question
from matinee.tables.read import Source
from matinee.tables.uploads import AmbiguousTableError, read_frame, sheet_names
from matinee.ui.text import escaped

Json = Any

PASTE_HINT = "Copy rows from a spreadsheet, with the line of column names."


class Upload(NamedTuple):
    """A table as it came; `token` tells it from others, `name` is "" for a pasted one."""

    name: str
    data: Source
    token: str


def pasted(text: str) -> Upload | None:
    """Return pasted text as an upload, None for an empty one."""
    if not text.strip():
        return None
    data = text.encode("utf-8", "replace")
    return Upload("", data, hashlib.sha256(data).hexdigest())


def from_upload(
    _name: str, data: Source, path: str = "", *, readings: Mapping[str, str] | None = None, sheet: str = ""
) -> dict[str, Json]:
    """Return the table of an uploaded file, whatever its name; see `tables.uploads.read_frame`."""
    return read_frame(data, path, readings=readings, sheet=sheet)


def read_or_ask(upload: Upload, path: str, key: str, sheet: str) -> tuple[Json, tuple[Question, ...]]:
    """Return the table, None while it must be asked how to read it, and the questions that `ask` draws."""
    try:
        return from_upload(upload.name, upload.data, path, sheet=sheet), ()
    except AmbiguousTableError as error:
        readings = answers(error.questions, key)
        if len(readings) < len(error.questions):
            return None, error.questions
        return from_upload(upload.name, upload.data, path, readings=readings, sheet=sheet), error.questions


def ask(questions: Sequence[Question], key: str, on_change: Callable[[], object] | None = None) -> dict[str, str]:
    """Draw a choice for each question, with what each reading gives; return the answers so far by column."""
    for question in questions:
        labels = {choice.reading: escaped(choice.label) for choice in question.choices}
        st.radio(
            escaped(f"How is the column {question.column} read?"),
            list(labels),
            index=None,
            format_func=labels.__getitem__,
            key=f"{key}:{question.column}",
            on_change=on_change,
        )
    return answers(questions, key)


def answers(questions: Sequence[Question], key: str) -> dict[str, str]:
    """Return what was chosen so far: column → reading."""
    chosen = {question.column: st.session_state.get(f"{key}:{question.column}") for question in questions}
    return {column: reading for column, reading in chosen.items() if reading}


def choose_sheet(source: Source, key: str, on_change: Callable[[], object] | None = None) -> str:
    """Draw the choice of a workbook's sheet, where it has several; "" for its first."""
    names = sheet_names(source)
    if len(names) < 2:
        return ""
    return str(st.selectbox("Sheet", names, key=key, on_change=on_change))
