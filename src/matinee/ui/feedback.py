"""What one person says of a run: a rating, a comment, the right result. Stored at once, confirmed, theirs to change."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from matinee.errors import MatineeError, Problem
from matinee.manifest import Release
from matinee.runs import RATINGS, Feedback, Json, Run, Scale, Status
from matinee.ui import many_rows, session, widgets
from matinee.ui.forms import MISSING, form_of
from matinee.ui.text import escaped, show_error, show_errors_of
from matinee.ui.widgets import Drawing
from matinee.values import validate

QUESTION = {"thumbs": "Was this helpful?", "stars": "How good is this?"}
CORRECTED = "corrected"
FEEDBACK = "feedback"


def scale_of(release: Release) -> Scale:
    """Return what the app asks for: thumbs, or stars by `[ui] rating = "stars"`."""
    return "stars" if release.details.get("ui", {}).get("rating") == "stars" else "thumbs"


def correction_schema(result: Json) -> Json:
    """Return the schema of a form with one field, which has the result's own shape."""
    defs = result.get("$defs", {})
    field = {**{key: value for key, value in result.items() if key != "$defs"}, "title": "The right result"}
    return {"type": "object", "properties": {CORRECTED: field}, "required": [CORRECTED], "$defs": defs}


def draw(run: Run, release: Release, *, is_inside: bool = False) -> None:
    """Draw the place for this person's feedback and, for an owner, what others said.

    It is a fragment of its own unless `is_inside` one: a fragment in a fragment costs a tenth of a click.
    """
    (show_errors_of(_draw) if is_inside else st.fragment(show_errors_of(_draw)))(run, release, is_inside=is_inside)


def _draw(run: Run, release: Release, *, is_inside: bool) -> None:
    own, others = _read(run.id)
    own = _rating(run, own, scale_of(release))
    own = _comment(run, own)
    has_one_result = run.status is Status.SUCCEEDED and not many_rows.is_rows(run)
    if has_one_result and (own.updated_at or not is_inside):  # on a page of many clicks, once somebody has rated
        own = _correction(run, own, release)
    if own.updated_at:
        st.caption(":material/check: Thank you, this is stored with the run. You can change it at any time.")
    for other in others:
        st.caption(escaped(f"{other.user}: {words_of(other)}"))


def words_of(feedback: Feedback) -> str:
    """Return what somebody said in one line: "👍 Just right", "★★★☆☆"."""
    rating = "" if feedback.rating is None else "👍" if feedback.rating > 0 else "👎"
    if feedback.rating is not None and feedback.scale == "stars":
        rating = "★" * feedback.rating + "☆" * (max(RATINGS["stars"]) - feedback.rating)
    parts = [rating, feedback.comment, "(with a corrected result)" if feedback.corrected is not None else ""]
    return " ".join(part for part in parts if part)


def remember_no_feedback(run: Run) -> None:
    """Take for read that nobody said anything: the run was just made."""
    st.session_state[FEEDBACK] = (run.id, (Feedback(run.id, session.client().user, None), []))


def _read(run_id: str) -> tuple[Feedback, list[Feedback]]:
    """What this person said before (nothing yet: `updated_at` is 0) and what others said, read once a run.

    Of the last run alone: every field of a form walks through all that a session keeps.
    """
    read_for, _ = st.session_state.get(FEEDBACK, ("", None))
    if read_for != run_id:
        client = session.client()
        everybody = client.feedback_of(run_id)
        mine = [feedback for feedback in everybody if feedback.user == client.user]
        others = [feedback for feedback in everybody if feedback.user != client.user]
        st.session_state[FEEDBACK] = (run_id, (mine[0] if mine else Feedback(run_id, client.user, None), others))
    found: tuple[Feedback, list[Feedback]] = st.session_state[FEEDBACK][1]
    return found


def _rating(run: Run, own: Feedback, scale: Scale) -> Feedback:
    ratings = RATINGS[scale]
    known = own.rating if own.scale == scale else None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(QUESTION[scale], width="content")
        default = None if known is None else ratings.index(known)
        chosen = st.feedback(scale, key=f"rating:{run.id}", default=default)
    rating = None if chosen is None else ratings[chosen]
    return own if rating == known else _store(replace(own, rating=rating, scale=scale))


def _comment(run: Run, own: Feedback) -> Feedback:
    if not own.updated_at:
        return own
    with st.form(f"comment:{run.id}", border=False):
        hint = "What was good, what should be different?"
        text = st.text_area("Comment", value=own.comment, placeholder=hint, height=80, max_chars=5000)
        sent = st.form_submit_button("Send", icon=":material/send:")
    return _store(replace(own, comment=text)) if sent and text != own.comment else own


def _correction(run: Run, own: Feedback, release: Release) -> Feedback:
    """The form of the right result, with the result's own fields; drawn only when somebody wants it."""
    predictor = release.predictor(run.predictor)
    if predictor is None or not st.toggle("Correct the result", key=f"correct:{run.id}"):
        return own
    client = session.client()
    schema = correction_schema(predictor.result)
    form = form_of(schema)
    start = client.result(run) if own.corrected is None else own.corrected
    drawing = Drawing(f"correction:{run.id}", client.read_blob, client.upload)
    with st.container(border=True):
        inputs = widgets.draw_form(form, {CORRECTED: start}, drawing)
        pressed = st.button("Save the right result", key=f"save:{run.id}", icon=":material/save:")
    if not pressed:
        return own
    problems: list[Problem] = drawing.problems or validate.problems(schema, inputs)
    if problems:
        widgets.show_problems(form, problems, drawing)
        return own
    value = inputs.get(CORRECTED, MISSING)
    return own if value is MISSING else _store(replace(own, corrected=value))


def _store(own: Feedback) -> Feedback:
    try:
        stored = session.client().feedback(own.run_id, own.rating, own.comment, own.corrected, scale=own.scale)
    except MatineeError as error:
        show_error(error)
        return own
    _, others = _read(own.run_id)
    st.session_state[FEEDBACK] = (own.run_id, (stored, others))
    return stored
