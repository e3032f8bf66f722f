"""A predictor's page: what it does, its form, and what became of the last run from here."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from matinee.client.limits import limits_of
from matinee.errors import InputError, MatineeError, Problem
from matinee.manifest import PredictorManifest, Release
from matinee.runs import Json, Run
from matinee.schema import validate
from matinee.ui import links, outcome, session, waiting, widgets
from matinee.ui.drawing import Drawing
from matinee.ui.forms import Form, form_of
from matinee.ui.history import summary_of
from matinee.ui.told import show_error, told
from matinee.ui.words import escaped, humanize

EXAMPLES = 6  # offered to click
SUBMIT = {"realtime": ("Predict", ":material/bolt:"), "batch": ("Start run", ":material/play_arrow:")}


def draw(predictor: PredictorManifest, release: Release) -> None:
    """Draw the page."""
    heading, _, rest = predictor.doc.strip().partition("\n")
    st.title(escaped(humanize(predictor.name)), anchor=False)
    if heading:
        st.markdown(f"**{escaped(heading)}**")
    if rest.strip():
        st.text(rest.strip())
    _examples(predictor)
    if predictor.kind == "realtime":
        links.link(links.ROWS, "Many rows at once", icon=":material/table_rows:", query={"predictor": predictor.name})
    form = form_of(predictor.parameters)
    st.fragment(told(_form))(predictor, release, form)
    if not _is_one_piece(predictor, form):
        _last_run(predictor, release, is_inside=False)


def _is_one_piece(predictor: PredictorManifest, form: Form) -> bool:
    """Whether form and result are drawn by one run of the script per click: nothing else draws them again."""
    return predictor.kind == "realtime" and form.is_still


def _examples(predictor: PredictorManifest) -> None:
    if not predictor.examples:
        return
    examples = predictor.examples[:EXAMPLES]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Try an example:", width="content")
        for i, (example, label) in enumerate(zip(examples, _example_labels(examples), strict=True)):
            key = f"example:{predictor.name}:{i}"
            st.button(escaped(label), key=key, type="tertiary", on_click=links.fill, args=(predictor.name, example))


def _example_labels(examples: Sequence[Json]) -> list[str]:
    """Their values where these tell them apart, else numbers."""
    labels = [summary_of(example, 40) for example in examples]
    if "" in labels or len(set(labels)) < len(labels):
        return [f"Example {i}" for i in range(1, len(labels) + 1)]
    return labels


def _form(predictor: PredictorManifest, release: Release, form: Form) -> None:
    """The form is a fragment: what is filled in never draws the result below again, and is kept as it is typed."""
    client = session.client()
    inputs, generation = links.seed(predictor.name)
    shape = zlib.crc32(json.dumps(predictor.parameters).encode())  # other fields are other widgets
    tried = f"tried:{predictor.name}:{generation}"
    is_still = form.is_still and tried not in st.session_state
    key, upload_mb = f"{predictor.name}:{shape:x}:{generation}", int(limits_of(release).upload_mb)
    drawing = Drawing(key, client.read_blob, client.upload, upload_mb, is_still=is_still)
    label, icon = SUBMIT[predictor.kind]
    with st.container(border=True):
        given = widgets.draw_form(form, inputs, drawing)
        pressed = st.button(label, key=f"go:{predictor.name}", type="primary", icon=icon)
        place = st.empty()
    if pressed or f"pending:{predictor.name}" in st.session_state:
        problems = _start(predictor, given, drawing.problems, place)
        if problems:
            st.session_state[tried] = (given, problems)
        else:
            st.session_state.pop(tried, None)
        if drawing.is_still if problems else not _is_one_piece(predictor, form):
            st.rerun()  # to answer every change from now on; to draw the result
    widgets.show_problems(form, _standing(predictor, given, drawing, st.session_state.get(tried)), drawing)
    if _is_one_piece(predictor, form):
        _last_run(predictor, release, is_inside=True)


def _standing(predictor: PredictorManifest, given: Json, drawing: Drawing, tried: Any) -> list[Problem]:
    """What is still wrong once somebody has tried: the answer to exactly these inputs, else what can be told here."""
    if tried is None:
        return []
    if tried[0] == given:
        return list(tried[1])
    return drawing.problems or validate.problems(predictor.parameters, given)


def _start(predictor: PredictorManifest, given: Json, unreadable: Sequence[Problem], place: Any) -> tuple[Problem, ...]:
    """Predict or submit; return what is wrong with the inputs, nothing when the run was made."""
    try:
        run = _run(predictor, given, unreadable, place)
    except InputError as error:
        return error.problems
    except MatineeError as error:
        with place.container():
            show_error(error)
        st.stop()
    finally:
        place_key = f"pending:{predictor.name}"
        pending = st.session_state.get(place_key)
        if pending is not None and pending.future.done():
            del st.session_state[place_key]
    st.session_state[f"run:{predictor.name}"] = run.id
    return ()


def _run(predictor: PredictorManifest, given: Json, unreadable: Sequence[Problem], place: Any) -> Run:
    """Make the run, or go on waiting for the one begun before a click elsewhere on the page."""
    client, key = session.client(), f"pending:{predictor.name}"
    pending: waiting.Pending[Run] | None = st.session_state.get(key)
    if pending is None:
        if unreadable:
            raise InputError(problems=tuple(unreadable))
        if predictor.kind == "batch":
            return client.submit(predictor.name, given)
        pending = waiting.begin(predictor.name, partial(client.predict, predictor.name, given))
        st.session_state[key] = pending
    try:
        return pending.result(lambda words: place.info(words, icon=":material/hourglass_top:"))
    finally:
        if pending.is_slow:
            place.empty()


def _last_run(predictor: PredictorManifest, release: Release, *, is_inside: bool) -> None:
    run_id = st.session_state.get(f"run:{predictor.name}")
    if not run_id:
        return
    st.header("Result", anchor=False)
    try:
        run = outcome.draw(run_id, release, is_inside=is_inside)
    except MatineeError as error:
        show_error(error)
        return
    if run.cold_start:
        st.caption("This was the first prediction after a pause, so it had to start first: the next one is quicker.")
    links.link(links.RUN, "Permanent link to this run", icon=":material/link:", query={"id": run_id})
