"""What one person says of a run: a rating, a comment, the right result. Stored at once, confirmed, theirs to change."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from matinee.errors import MatineeError, Problem
from matinee.manifest import Release
from matinee.runs import RATINGS, Feedback, Json, Run, Scale, Status
from matinee.ui import many_rows, session, widgets
from matinee.ui.forms import MISSING, form_of
from matinee.ui.text import escaped, show_error, told
from matinee.ui.widgets import Drawing
from matinee.values import validate

QUESTION = {"thumbs": "Was this helpful?", "stars": "How good is this?"}
CORRECTED = "corrected"
SAID = "said"


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
    (told(_draw) if is_inside else st.fragment(told(_draw)))(run, release, is_inside=is_inside)


def _draw(run: Run, release: Release, *, is_inside: bool) -> None:
    said, others = _read(run.id)
    said = _rating(run, said, scale_of(release))
    said = _comment(run, said)
    has_one_result = run.status is Status.SUCCEEDED and not many_rows.is_rows(run)
    if has_one_result and (said.updated_at or not is_inside):  # on a page of many clicks, once somebody has rated
        said = _correction(run, said, release)
    if said.updated_at:
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


def nothing_said(run: Run) -> None:
    """Take for read that nobody said anything: the run was just made."""
    st.session_state[SAID] = (run.id, (Feedback(run.id, session.client().user, None), []))


def _read(run_id: str) -> tuple[Feedback, list[Feedback]]:
    """What this person said before (nothing yet: `updated_at` is 0) and what others said, read once a run.

    Of the last run alone: every field of a form walks through all that a session keeps.
    """
    kept_of, _ = st.session_state.get(SAID, ("", None))
    if kept_of != run_id:
        client = session.client()
        everybody = client.feedback_of(run_id)
        mine = [feedback for feedback in everybody if feedback.user == client.user]
        others = [feedback for feedback in everybody if feedback.user != client.user]
        st.session_state[SAID] = (run_id, (mine[0] if mine else Feedback(run_id, client.user, None), others))
    found: tuple[Feedback, list[Feedback]] = st.session_state[SAID][1]
    return found


def _rating(run: Run, said: Feedback, scale: Scale) -> Feedback:
    ratings = RATINGS[scale]
    known = said.rating if said.scale == scale else None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(QUESTION[scale], width="content")
        default = None if known is None else ratings.index(known)
        chosen = st.feedback(scale, key=f"rating:{run.id}", default=default)
    rating = None if chosen is None else ratings[chosen]
    return said if rating == known else _store(replace(said, rating=rating, scale=scale))


def _comment(run: Run, said: Feedback) -> Feedback:
    if not said.updated_at:
        return said
    with st.form(f"comment:{run.id}", border=False):
        hint = "What was good, what should be different?"
        text = st.text_area("Comment", value=said.comment, placeholder=hint, height=80, max_chars=5000)
        sent = st.form_submit_button("Send", icon=":material/send:")
    return _store(replace(said, comment=text)) if sent and text != said.comment else said


def _correction(run: Run, said: Feedback, release: Release) -> Feedback:
    """The form of the right result, with the result's own fields; drawn only when somebody wants it."""
    predictor = release.predictor(run.predictor)
    if predictor is None or not st.toggle("Correct the result", key=f"correct:{run.id}"):
        return said
    client = session.client()
    schema = correction_schema(predictor.result)
    form = form_of(schema)
    start = client.result(run) if said.corrected is None else said.corrected
    drawing = Drawing(f"correction:{run.id}", client.read_blob, client.upload)
    with st.container(border=True):
        given = widgets.draw_form(form, {CORRECTED: start}, drawing)
        pressed = st.button("Save the right result", key=f"save:{run.id}", icon=":material/save:")
    if not pressed:
        return said
    problems: list[Problem] = drawing.problems or validate.problems(schema, given)
    if problems:
        widgets.show_problems(form, problems, drawing)
        return said
    value = given.get(CORRECTED, MISSING)
    return said if value is MISSING else _store(replace(said, corrected=value))


def _store(said: Feedback) -> Feedback:
    try:
        stored = session.client().feedback(said.run_id, said.rating, said.comment, said.corrected, scale=said.scale)
    except MatineeError as error:
        show_error(error)
        return said
    _, others = _read(said.run_id)
    st.session_state[SAID] = (said.run_id, (stored, others))
    return stored
