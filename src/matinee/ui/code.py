"""A run offered as Python, as curl and as JSON, on every page that shows one: for those who program."""

from __future__ import annotations

import json
import keyword
import shlex
from collections.abc import Mapping
from functools import partial

import streamlit as st

from matinee.runs import Json, Run, Status
from matinee.ui import many_rows, session
from matinee.ui.form_values import is_blob


def draw(run: Run, inputs: Json) -> None:
    """Draw a button, and what is behind it once somebody opens it: every result has it, few look."""
    key = f"code:{run.id}"
    behind = st.popover("Use it from code", icon=":material/code:", key=key, on_change="rerun")
    if not behind.open:
        return
    has_result = run.status is Status.SUCCEEDED and not many_rows.is_rows(run)
    with behind:
        python, curl, *more = st.tabs(["Python", "curl", *(["JSON"] if has_result else [])])
        with python:
            st.code(python_of(run.predictor, inputs, _connect()), language="python")
        with curl:
            token = "" if _takes_no_token() else TOKEN
            command = curl_of(run.predictor, run.kind, inputs, base_url(), token=token)
            st.code(command, language="bash", wrap_lines=True)
            if not is_short(inputs):
                _file(f"Save {INPUTS_FILE} first", inputs, INPUTS_FILE, f"inputs.json:{run.id}")
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
    return f'matinee.connect(url="{base_url()}", token="{TOKEN}")'


def _takes_no_token() -> bool:
    """Whether the app is on this machine, in a folder, for whoever is here; elsewhere its API asks for tokens."""
    return session.gate().is_open and session.client().settings.is_hosted_here


def base_url() -> str:
    """Return where this app is, as the browser sees it."""
    url = str(st.context.url or "http://localhost:8501")
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


# --- a run as code ----------------------------------------------------------------------------------------------------
# A run as code: the same prediction from Python and with curl, quoted so that it can be pasted and run. Pure.


LONG = 1500  # characters of JSON a command line still bears
TOKEN = "YOUR_TOKEN"  # noqa: S105 - a place for one
INPUTS_FILE = "inputs.json"
WIDTH = 88
OWN_NAMES = frozenset({"client", "close", "run", "runs"})  # of `matinee.connect()`: such a predictor is app["run"]
VERBS = {"realtime": "predict", "batch": "submit"}


def python_of(predictor: str, inputs: Json, connect: str) -> str:
    """Return Python that predicts with the same inputs; `connect` is the call that opens the app.

    A file stands as `File.from_path(NAME)`: it is read from where the code runs.
    """
    arguments = inputs if isinstance(inputs, Mapping) else {}
    imports = ["import matinee"]
    if any(map(_holds_blob, arguments.values())):
        imports.append("from matinee import File")
    target = f"app.{predictor}" if _is_name(predictor) and predictor not in OWN_NAMES else f"app[{predictor!r}]"
    named = [f"{name}={_python(value)}" for name, value in arguments.items() if _is_name(name)]
    other = {name: value for name, value in arguments.items() if not _is_name(name)}
    call = _call(target, [*named, *([f"**{_python(other)}"] if other else [])])
    return "\n".join([*imports, "", f"with {connect} as app:", *(f"    {line}" for line in call), "    print(result)"])


def _call(target: str, arguments: list[str]) -> list[str]:
    line = f"result = {target}({', '.join(arguments)})"
    if len(line) <= WIDTH:
        return [line]
    return [f"result = {target}(", *(f"    {argument}," for argument in arguments), ")"]


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text) and not text.startswith("_")


def _holds_blob(value: Json) -> bool:
    if is_blob(value):
        return True
    if isinstance(value, Mapping):
        return any(map(_holds_blob, value.values()))
    return isinstance(value, list) and any(map(_holds_blob, value))


def _python(value: Json) -> str:
    if is_blob(value):
        return f"File.from_path({str(value.get('name') or 'file')!r})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_python(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_python, value)) + "]"
    return repr(value)


def curl_of(predictor: str, kind: str, inputs: Json, url: str, *, token: str = TOKEN) -> str:
    """Return the curl command that predicts (or submits) with the same inputs through the HTTP API at `url`.

    Long inputs are read from `inputs.json`, which the page offers beside the command; an app without sign-in takes no
    token.
    """
    body = json.dumps(inputs, ensure_ascii=False)
    address = f"{url.rstrip('/')}/api/v1/predictors/{predictor}/{VERBS[kind]}"
    parts = [
        f"curl {shlex.quote(address)}",
        *([f"-H {shlex.quote(f'Authorization: Bearer {token}')}"] if token else []),
        "-H 'Content-Type: application/json'",
        f"--data {shlex.quote(body) if is_short(inputs) else f'@{INPUTS_FILE}'}",
    ]
    return " \\\n  ".join(parts)


def is_short(inputs: Json) -> bool:
    """Whether a command line bears the inputs."""
    return len(json.dumps(inputs, ensure_ascii=False)) <= LONG
