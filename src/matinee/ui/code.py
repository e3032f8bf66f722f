"""A run offered as Python, as curl and as JSON, on every page that shows one: for those who program."""

from __future__ import annotations

import json
from functools import partial

import streamlit as st

from matinee.runs import Json, Run, Status
from matinee.ui import rows, session, snippets


def draw(run: Run, inputs: Json) -> None:
    """Draw a button, and what is behind it once somebody opens it: every result has it, few look."""
    key = f"code:{run.id}"
    behind = st.popover("Use it from code", icon=":material/code:", key=key, on_change="rerun")
    if not behind.open:
        return
    has_result = run.status is Status.SUCCEEDED and not rows.is_rows(run)
    with behind:
        python, curl, *more = st.tabs(["Python", "curl", *(["JSON"] if has_result else [])])
        with python:
            st.code(snippets.python_of(run.predictor, inputs, _connect()), language="python")
        with curl:
            token = "" if _takes_no_token() else snippets.TOKEN
            command = snippets.curl_of(run.predictor, run.kind, inputs, base_url(), token=token)
            st.code(command, language="bash", wrap_lines=True)
            if not snippets.is_short(inputs):
                _file(f"Save {snippets.INPUTS_FILE} first", inputs, snippets.INPUTS_FILE, f"inputs.json:{run.id}")
        for json_tab in more:
            with json_tab:
                name = f"{run.predictor}-{run.id[:10]}.json"
                _file(f"Save the result as {name}", session.client().result(run), name, f"result.json:{run.id}")


def _file(label: str, value: Json, name: str, key: str) -> None:
    st.download_button(
        label,
        data=partial(json.dumps, value, ensure_ascii=False, indent=2),
        file_name=name,
        mime="application/json",
        key=key,
        icon=":material/download:",
        on_click="ignore",
    )


def _connect() -> str:
    if _takes_no_token():
        return "matinee.connect()"
    return f'matinee.connect(url="{base_url()}", token="{snippets.TOKEN}")'


def _takes_no_token() -> bool:
    """Whether the app is on this machine, in a folder, for whoever is here; elsewhere its API asks for tokens."""
    return session.gate().is_open and session.client().settings.is_hosted_here


def base_url() -> str:
    """Return where this app is, as the browser sees it."""
    url = str(st.context.url or "http://localhost:8501")
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
