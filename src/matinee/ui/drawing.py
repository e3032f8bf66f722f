"""One drawing of a form, shared by its widgets: where they keep their state, what could not be read, and messages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from matinee.errors import InputError, MatineeError, Problem
from matinee.ui import values
from matinee.ui.forms import MISSING, Field, Json
from matinee.ui.words import escaped

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
            return values.value_from(f, raw)
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
