"""A predictor's page: what it does, its form, and what became of the last run from here."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from matinee.client.core import limits_of
from matinee.errors import InputError, MatineeError, Problem
from matinee.manifest import PredictorManifest, Release
from matinee.runs import Json, Run
from matinee.ui import feedback, run_view, session, site, waiting, widgets
from matinee.ui.forms import Form, form_of
from matinee.ui.run_list import summary_of
from matinee.ui.text import escaped, humanize, show_error, told
from matinee.ui.widgets import Drawing
from matinee.values import validate

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
        site.link(site.ROWS, "Many rows at once", icon=":material/table_rows:", query={"predictor": predictor.name})
    form = form_of(predictor.parameters)
    drawing = _drawing(predictor, release, form)
    if drawing.is_still and _is_one_piece(predictor, form):
        _still(predictor, release, form, drawing)
        return
    st.fragment(told(_form))(predictor, release, form)
    if not _is_one_piece(predictor, form):
        _last_run(predictor, release, is_inside=False)


def _still(predictor: PredictorManifest, release: Release, form: Form, drawing: Drawing) -> None:
    """A click draws the button and the result; the fields stay as they are, so they are no part of the fragment.

    Nor is the box around them, and so the button is below it: a fragment that draws into another's place costs more.
    """
    inputs, _ = site.seed(predictor.name)
    with st.container(border=True):
        widgets.draw_form(form, inputs, drawing)
    st.fragment(told(_click))(predictor, release, form, drawing, inputs)


def _click(predictor: PredictorManifest, release: Release, form: Form, drawn: Drawing, inputs: Json) -> None:
    drawing = replace(drawn, problems=[])
    given = widgets.filled_in(form, inputs, drawing)
    _button(predictor, given, drawing, is_one_piece=True)
    _last_run(predictor, release, is_inside=True)


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
            st.button(escaped(label), key=key, type="tertiary", on_click=site.fill, args=(predictor.name, example))


def _example_labels(examples: Sequence[Json]) -> list[str]:
    """Their values where these tell them apart, else numbers."""
    labels = [summary_of(example, 40) for example in examples]
    if "" in labels or len(set(labels)) < len(labels):
        return [f"Example {i}" for i in range(1, len(labels) + 1)]
    return labels


def _form(predictor: PredictorManifest, release: Release, form: Form) -> None:
    """The form is a fragment: what is filled in never draws the result below again, and is kept as it is typed."""
    drawing = _drawing(predictor, release, form)
    is_one_piece = _is_one_piece(predictor, form)
    with st.container(border=True):
        given = widgets.draw_form(form, site.seed(predictor.name)[0], drawing)
    _button(predictor, given, drawing, is_one_piece=is_one_piece)
    tried = st.session_state.get(_tried(predictor))
    widgets.show_problems(form, _standing(predictor, given, drawing, tried), drawing)
    if is_one_piece:
        _last_run(predictor, release, is_inside=True)


def _drawing(predictor: PredictorManifest, release: Release, form: Form) -> Drawing:
    client, (_, generation) = session.client(), site.seed(predictor.name)
    shape = zlib.crc32(json.dumps(predictor.parameters).encode())  # other fields are other widgets
    key, upload_mb = f"{predictor.name}:{shape:x}:{generation}", int(limits_of(release).upload_mb)
    is_still = form.is_still and _tried(predictor) not in st.session_state
    return Drawing(key, client.read_blob, client.upload, upload_mb, is_still=is_still)


def _tried(predictor: PredictorManifest) -> str:
    return f"tried:{predictor.name}:{site.seed(predictor.name)[1]}"


def _button(predictor: PredictorManifest, given: Json, drawing: Drawing, *, is_one_piece: bool) -> None:
    """Draw the button, and do what it says when it was pressed, or go on with it."""
    label, icon = SUBMIT[predictor.kind]
    pressed = st.button(label, key=f"go:{predictor.name}", type="primary", icon=icon)
    if not pressed and _pending(predictor) not in st.session_state:
        return
    problems = _start(predictor, given, drawing.problems)
    if problems:
        st.session_state[_tried(predictor)] = (given, problems)
    elif not drawing.is_still:
        st.session_state.pop(_tried(predictor), None)
    if drawing.is_still if problems else not is_one_piece:
        st.rerun()  # to answer every change from now on; to draw the result


def _standing(predictor: PredictorManifest, given: Json, drawing: Drawing, tried: Any) -> list[Problem]:
    """What is still wrong once somebody has tried: the answer to exactly these inputs, else what can be told here."""
    if tried is None:
        return []
    if tried[0] == given:
        return list(tried[1])
    return drawing.problems or validate.problems(predictor.parameters, given)


def _start(predictor: PredictorManifest, given: Json, unreadable: Sequence[Problem]) -> tuple[Problem, ...]:
    """Predict or submit; return what is wrong with the inputs, nothing when the run was made."""
    try:
        run = _run(predictor, given, unreadable)
    except InputError as error:
        return error.problems
    except MatineeError as error:
        show_error(error)
        st.stop()
    st.session_state[f"run:{predictor.name}"] = run.id
    session.made(run)
    feedback.nothing_said(run)
    return ()


def _run(predictor: PredictorManifest, given: Json, unreadable: Sequence[Problem]) -> Run:
    """Make the run, or go on waiting for the one begun before a click elsewhere on the page."""
    client = session.client()
    begun: waiting.Pending[Run] | None = st.session_state.get(_pending(predictor))
    if begun is not None:
        return _awaited(predictor, begun, is_kept=True)
    if unreadable:
        raise InputError(problems=tuple(unreadable))
    if predictor.kind == "batch":
        return client.submit(predictor.name, given)
    call = partial(client.predict, predictor.name, given)
    return _awaited(predictor, waiting.begin(predictor.name, call), is_kept=False)


def _awaited(predictor: PredictorManifest, pending: waiting.Pending[Run], *, is_kept: bool) -> Run:
    """Wait for the answer; what takes long is kept, since from the first word on a click can break this off."""
    place: DeltaGenerator | None = None

    def tell(words: str) -> None:
        nonlocal place, is_kept
        if not is_kept:
            st.session_state[_pending(predictor)] = pending
            is_kept = True
        place = place or st.empty()  # most answers come before there is anything to say
        place.info(words, icon=":material/hourglass_top:")

    try:
        return pending.result(tell)
    finally:
        if is_kept and pending.future.done():
            del st.session_state[_pending(predictor)]
        if place is not None:
            place.empty()


def _pending(predictor: PredictorManifest) -> str:
    return f"pending:{predictor.name}"


def _last_run(predictor: PredictorManifest, release: Release, *, is_inside: bool) -> None:
    run_id = st.session_state.get(f"run:{predictor.name}")
    if not run_id:
        return
    st.header("Result", anchor=False)
    try:
        run = run_view.draw_outcome(run_id, release, is_inside=is_inside)
    except MatineeError as error:
        show_error(error)
        return
    if run.cold_start:
        st.caption("This was the first prediction after a pause, so it had to start first: the next one is quicker.")
    site.link(site.RUN, "Permanent link to this run", icon=":material/link:", query={"id": run_id})
