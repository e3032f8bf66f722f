"""A predictor's page: what it does, its form, and what became of the last run from here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from matinee.errors import InputError, MatineeError, Problem
from matinee.manifest import PredictorManifest, Release
from matinee.runs import Json, Run
from matinee.ui import links, outcome, session, widgets
from matinee.ui.forms import Form, form_of
from matinee.ui.history import summary_of
from matinee.ui.words import escaped, humanize

EXAMPLES = 6  # offered to click


def draw(predictor: PredictorManifest, release: Release) -> None:
    """Draw the page."""
    heading, _, rest = predictor.doc.strip().partition("\n")
    st.title(humanize(predictor.name))
    if heading:
        st.markdown(f"##### {escaped(heading)}", anchors=False)
    if rest.strip():
        st.text(rest.strip())
    _examples(predictor)
    st.fragment(_form)(predictor)
    run_id = st.session_state.get(f"run:{predictor.name}")
    if run_id:
        _last_run(run_id, release)


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


def _form(predictor: PredictorManifest) -> None:
    """The form is a fragment: what is chosen in it never draws the result below again."""
    form = form_of(predictor.parameters)
    inputs, generation = links.seed(predictor.name)
    drawing = widgets.Drawing(f"{predictor.name}:{generation}", session.client().read_blob)
    frame = st.container(border=True) if form.is_dynamic else st.form(f"form:{predictor.name}:{generation}")
    with frame:
        given = widgets.draw_form(form, inputs, drawing)
        pressed = _submit_button(predictor, form)
        waiting = st.empty()
    problems_key = f"problems:{predictor.name}:{generation}"
    if pressed:
        problems = _start(predictor, given, drawing.problems, waiting)
        st.session_state[problems_key] = problems
        if not problems:
            st.rerun()
    widgets.show_problems(form, list(st.session_state.get(problems_key, ())), drawing)


def _submit_button(predictor: PredictorManifest, form: Form) -> bool:
    label, icon = (
        ("Start run", ":material/play_arrow:") if predictor.kind == "batch" else ("Predict", ":material/bolt:")
    )
    if form.is_dynamic:
        return bool(st.button(label, key=f"go:{predictor.name}", type="primary", icon=icon))
    return bool(st.form_submit_button(label, key=f"go:{predictor.name}", type="primary", icon=icon))


def _start(
    predictor: PredictorManifest, given: Json, unreadable: Sequence[Problem], waiting: Any
) -> tuple[Problem, ...]:
    """Predict or submit; return what is wrong with the inputs, nothing when the run was made."""
    links.keep(predictor.name, given)
    try:
        if unreadable:
            raise InputError(problems=tuple(unreadable))
        run = _run(predictor, given, waiting)
    except InputError as error:
        return error.problems
    except MatineeError as error:
        with waiting.container():
            outcome.show_error(error)
        st.stop()
    st.session_state[f"run:{predictor.name}"] = run.id
    return ()


def _run(predictor: PredictorManifest, given: Json, waiting: Any) -> Run:
    client = session.client()
    if predictor.kind == "batch":
        return client.submit(predictor.name, given)
    words = "Predicting… the first prediction after a pause takes a little longer."
    with waiting.container(), st.spinner(words, show_time=True):
        return client.predict(predictor.name, given)


def _last_run(run_id: str, release: Release) -> None:
    st.subheader("Result", anchor=False)
    try:
        outcome.draw(run_id, release)
        run = session.live(run_id).run
    except MatineeError as error:
        outcome.show_error(error)
        return
    if run.cold_start:
        st.caption("This was the first prediction after a pause, so it had to start first: the next one is quicker.")
    links.link(links.RUN, "Permanent link to this run", icon=":material/link:", query={"id": run_id})
