"""A run offered as Python and as curl, on every page that shows one."""

from __future__ import annotations

import json
from functools import partial

import streamlit as st

from matinee.runs import Json, Run
from matinee.ui import session, snippets


def draw(run: Run, inputs: Json) -> None:
    """Draw a button, and the two snippets behind it once somebody opens it: every result has them, few look."""
    key = f"code:{run.id}"
    behind = st.popover("Use it from code", icon=":material/code:", key=key, on_change="rerun")
    if not behind.open:
        return
    with behind:
        python, curl = st.tabs(["Python", "curl"])
        with python:
            st.code(snippets.python_of(run.predictor, inputs, _connect()), language="python")
        with curl:
            token = "" if _takes_no_token() else snippets.TOKEN
            command = snippets.curl_of(run.predictor, run.kind, inputs, base_url(), token=token)
            st.code(command, language="bash", wrap_lines=True)
            if not snippets.is_short(inputs):
                _inputs_file(run, inputs)


def _inputs_file(run: Run, inputs: Json) -> None:
    st.download_button(
        f"Save {snippets.INPUTS_FILE} first",
        data=partial(json.dumps, inputs, ensure_ascii=False),
        file_name=snippets.INPUTS_FILE,
        mime="application/json",
        key=f"inputs.json:{run.id}",
        icon=":material/download:",
        on_click="ignore",
    )


def _connect() -> str:
    if _takes_no_token():
        return "matinee.connect()"
    return f'matinee.connect(url="{base_url()}", token="{snippets.TOKEN}")'


def _takes_no_token() -> bool:
    """Whether the app is on this machine, in a folder, for whoever is here; elsewhere its API asks for tokens."""
    return session.gate().is_open and session.client().settings.backend == "local"


def base_url() -> str:
    """Return where this app is, as the browser sees it."""
    url = str(st.context.url or "http://localhost:8501")
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
