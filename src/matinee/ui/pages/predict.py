"""A predictor's page: what it does, its form, and what became of the last run from here."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from matinee.client.core import limits_of
from matinee.errors import InputError, MatineeError, Problem
from matinee.manifest import PredictorManifest, Release
from matinee.runs import Json, Run
from matinee.ui import feedback, many_rows, render, run_view, session, site, waiting, widgets
from matinee.ui.form_values import is_blob
from matinee.ui.forms import Form, form_of
from matinee.ui.run_list import summary_of
from matinee.ui.text import escaped, humanize, show_error, show_errors_of
from matinee.ui.widgets import Drawing
from matinee.values import registry, validate

EXAMPLES = 6  # offered to click
EXAMPLE_CHARS = 40  # of the label of one
THUMBNAIL_PX = 96
BUSY = "busy"  # the key of what is drawn while the button works: `app.STYLE` makes the button busy by it
DOUBLE_CLICK_S = 0.5  # a second press of the same inputs so soon after the answer is no second run
SUBMIT = {"realtime": ("Predict", ":material/bolt:"), "batch": ("Start run", ":material/play_arrow:")}


def draw(predictor: PredictorManifest, release: Release) -> None:
    """Draw the page."""
    heading, _, rest = predictor.doc.strip().partition("\n")
    st.title(escaped(humanize(predictor.name)), anchor=False)
    if heading:
        st.markdown(f"**{escaped(heading)}**")
    if rest.strip():
        st.text(rest.strip())
    _draw_examples(predictor)
    if many_rows.is_offered(predictor):
        site.link(site.ROWS, "Many rows at once", icon=":material/table_rows:", query={"predictor": predictor.name})
    form = form_of(predictor.parameters)
    drawing = _drawing(predictor, release, form)
    if drawing.is_still and _is_one_piece(predictor, form):
        _still(predictor, release, form, drawing)
        return
    st.fragment(show_errors_of(_form))(predictor, release, form)
    if not _is_one_piece(predictor, form):
        _last_run(predictor, release, is_inside=False)


def _still(predictor: PredictorManifest, release: Release, form: Form, drawing: Drawing) -> None:
    """A click draws the button and the result; the fields stay as they are, so they are no part of the fragment.

    Nor is the box around them, and so the button is below it: a fragment that draws into another's place costs more.
    """
    start, _ = site.seed(predictor.name)
    with st.container(border=True):
        widgets.draw_form(form, start, drawing)
    st.fragment(show_errors_of(_click))(predictor, release, form, drawing, start)


def _click(predictor: PredictorManifest, release: Release, form: Form, drawn: Drawing, start: Json) -> None:
    drawing = replace(drawn, problems=[])
    inputs = widgets.filled_in(form, start, drawing)
    _button(predictor, inputs, drawing, is_one_piece=True)
    _last_run(predictor, release, inputs, is_inside=True)


def _is_one_piece(predictor: PredictorManifest, form: Form) -> bool:
    """Whether form and result are drawn by one run of the script per click: nothing else draws them again."""
    return predictor.kind == "realtime" and form.is_still


def _form(predictor: PredictorManifest, release: Release, form: Form) -> None:
    """The form is a fragment: what is filled in never draws the result below again, and is kept as it is typed."""
    drawing = _drawing(predictor, release, form)
    is_one_piece = _is_one_piece(predictor, form)
    with st.container(border=True):
        inputs = widgets.draw_form(form, site.seed(predictor.name)[0], drawing)
    _button(predictor, inputs, drawing, is_one_piece=is_one_piece)
    refused = st.session_state.get(_refused_key(predictor))
    problems = _problems_now(predictor, inputs, drawing, refused)
    widgets.show_problems(form, problems, drawing)
    if problems:
        _announce(form, problems)
    if is_one_piece:
        _last_run(predictor, release, inputs, is_inside=True)


# --- examples ---------------------------------------------------------------------------------------------------------


def _draw_examples(predictor: PredictorManifest) -> None:
    """Draw a button for each example, its values in label and help, above it a thumbnail of its picture."""
    if not predictor.examples:
        return
    examples = predictor.examples[:EXAMPLES]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption("Try an example:", width="content")
        for i, (example, label) in enumerate(zip(examples, _example_labels(examples), strict=True)):
            picture = _picture_in(example)
            if picture is None:
                _example_button(predictor, i, example, label)
                continue
            with st.container(width="content", gap=None):
                render.PLAYERS["image"](picture, session.client().read_blob, width=THUMBNAIL_PX)
                _example_button(predictor, i, example, label)


def _example_button(predictor: PredictorManifest, number: int, example: Json, label: str) -> None:
    st.button(
        escaped(label),
        key=f"example:{predictor.name}:{number}",
        help=_example_words(example),
        type="tertiary",
        on_click=site.fill,
        args=(predictor.name, example),
    )


def _example_labels(examples: Sequence[Json]) -> list[str]:
    """Their values where these tell them apart, else numbers."""
    labels = [summary_of(example, EXAMPLE_CHARS) for example in examples]
    if "" in labels or len(set(labels)) < len(labels):
        return [f"Example {i}" for i in range(1, len(labels) + 1)]
    return labels


def _example_words(example: Json) -> str | None:
    """Return each value that the example fills in by its name, one a line."""
    if not isinstance(example, Mapping):
        return None
    pairs = ((name, summary_of({name: value}, 200) or "empty") for name, value in example.items())
    return "  \n".join(f"{escaped(humanize(name))}: {escaped(words)}" for name, words in pairs)


def _picture_in(value: Json) -> Json:
    """Return the first picture among the values of an example, None if there is none."""
    if is_blob(value):
        return value if registry.shown_as(value["$blob"]) == "image" else None
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return next((found for part in parts if (found := _picture_in(part)) is not None), None)


# --- the button and the run -------------------------------------------------------------------------------------------


class Refused(NamedTuple):
    """What was wrong with the inputs when the button was pressed last."""

    inputs: Json
    unreadable: tuple[Problem, ...]  # texts that are no value at all, which the inputs leave out
    problems: tuple[Problem, ...]


def _drawing(predictor: PredictorManifest, release: Release, form: Form) -> Drawing:
    client, (_, generation) = session.client(), site.seed(predictor.name)
    shape = zlib.crc32(json.dumps(predictor.parameters).encode())  # other fields are other widgets
    key, upload_mb = f"{predictor.name}:{shape:x}:{generation}", int(limits_of(release).upload_mb)
    is_still = form.is_still and _refused_key(predictor) not in st.session_state
    return Drawing(key, client.read_blob, client.upload, upload_mb, is_still=is_still)


def _refused_key(predictor: PredictorManifest) -> str:
    return f"refused:{predictor.name}:{site.seed(predictor.name)[1]}"


def _button(predictor: PredictorManifest, inputs: Json, drawing: Drawing, *, is_one_piece: bool) -> None:
    """Draw the button; when it was pressed start the run, or go on waiting for the one that is under way."""
    label, icon = SUBMIT[predictor.kind]
    is_pressed = st.button(label, key=f"go:{predictor.name}", type="primary", icon=icon)
    is_under_way = _pending_key(predictor) in st.session_state
    if not is_under_way and (not is_pressed or _is_double_click(predictor, inputs)):
        return
    problems = _start(predictor, inputs, drawing.problems)
    if problems:
        st.session_state[_refused_key(predictor)] = Refused(inputs, tuple(drawing.problems), problems)
    elif not drawing.is_still:
        st.session_state.pop(_refused_key(predictor), None)
    if drawing.is_still if problems else not is_one_piece:
        st.rerun()  # to answer every change from now on; to draw the result


def _is_double_click(predictor: PredictorManifest, inputs: Json) -> bool:
    """Whether the same inputs were answered a moment ago: the press came while the button worked."""
    answered_at, answered = st.session_state.get(f"answered:{predictor.name}", (0.0, None))
    return bool(answered == inputs and time.monotonic() - answered_at < DOUBLE_CLICK_S)


def _problems_now(
    predictor: PredictorManifest, inputs: Json, drawing: Drawing, refused: Refused | None
) -> list[Problem]:
    """Return what is wrong with the form since a press was refused: the answer to just these inputs, or a new check."""
    if refused is None:
        return []
    if refused[:2] == (inputs, tuple(drawing.problems)):
        return list(refused.problems)
    return _problems_of(predictor, inputs, drawing.problems)


def _announce(form: Form, problems: Sequence[Problem]) -> None:
    """Name the fields to look at beside the button: an alert, which is read aloud, where a long form hides them."""
    names = {problem.path.partition(".")[0] for problem in problems}
    labels = [field.label for field in form.fields if field.name in names]
    words = f"Nothing has started. Look at: {', '.join(labels)}." if labels else "Nothing has started."
    st.error(escaped(words), icon=":material/error:")


def _problems_of(predictor: PredictorManifest, inputs: Json, unreadable: Sequence[Problem]) -> list[Problem]:
    """Return what is wrong with all fields: texts that are no value, and values that do not fit."""
    paths = {problem.path.partition(".")[0] for problem in unreadable}
    found = validate.problems(predictor.parameters, inputs)
    return [*unreadable, *(problem for problem in found if problem.path.partition(".")[0] not in paths)]


def _start(predictor: PredictorManifest, inputs: Json, unreadable: Sequence[Problem]) -> tuple[Problem, ...]:
    """Predict or submit; return what is wrong with the inputs, nothing when the run was made."""
    try:
        run = _run(predictor, inputs, unreadable)
    except InputError as error:
        return error.problems
    except MatineeError as error:
        show_error(error)
        st.stop()
    st.session_state[f"run:{predictor.name}"] = run.id
    st.session_state[f"answered:{predictor.name}"] = (time.monotonic(), inputs)
    session.remember_run(run)
    feedback.remember_no_feedback(run)
    return ()


def _run(predictor: PredictorManifest, inputs: Json, unreadable: Sequence[Problem]) -> Run:
    """Make the run, or wait for the one that is under way: a second press meanwhile is no second run."""
    client = session.client()
    under_way: waiting.Pending[Run] | None = st.session_state.get(_pending_key(predictor))
    if under_way is not None:
        return _wait_for(predictor, under_way)
    if unreadable:
        raise InputError(problems=tuple(_problems_of(predictor, inputs, unreadable)))
    make = client.submit if predictor.kind == "batch" else client.predict
    pending = waiting.begin(predictor.name, partial(make, predictor.name, inputs))
    st.session_state[_pending_key(predictor)] = pending  # any click on the page breaks off this run of the script
    return _wait_for(predictor, pending)


def _wait_for(predictor: PredictorManifest, pending: waiting.Pending[Run]) -> Run:
    """Wait for the answer and say how long it has been; the button is busy from the first word on."""
    place: DeltaGenerator | None = None

    def tell(words: str) -> None:
        nonlocal place
        if place is None:
            place = st.container(key=BUSY).empty()  # most answers come before there is anything to say
        place.info(words if predictor.kind == "realtime" else "Handing the run over…", icon=":material/hourglass_top:")

    try:
        return pending.result(tell)
    finally:
        if pending.future.done():
            st.session_state.pop(_pending_key(predictor), None)
        if place is not None:
            place.empty()


def _pending_key(predictor: PredictorManifest) -> str:
    return f"pending:{predictor.name}"


def _last_run(predictor: PredictorManifest, release: Release, inputs: Json = None, *, is_inside: bool) -> None:
    """Draw what became of the last run from this page; `inputs` are what the form holds now, None if nobody looked."""
    run_id = st.session_state.get(f"run:{predictor.name}")
    if not run_id:
        return
    _, answered = st.session_state.get(f"answered:{predictor.name}", (0.0, inputs))
    try:
        run = session.live(run_id).run
        is_older = inputs is not None and inputs != answered
        run_view.draw_result_head(run, session.client().inputs(run), is_older=is_older)
        st.header("Result", anchor=False)
        run_view.draw_outcome(run_id, release, is_inside=is_inside)
    except MatineeError as error:
        show_error(error)
        return
    if run.cold_start:
        st.caption("This was the first prediction after a pause, so it had to start first: the next one is quicker.")
    site.link(site.RUN, "Permanent link to this run", icon=":material/link:", query={"id": run_id})
