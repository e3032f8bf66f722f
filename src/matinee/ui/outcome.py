"""What became of a run, on every page that shows one: progress while it lasts, then result or failure, and feedback."""

from __future__ import annotations

import time

import streamlit as st

from matinee.errors import MatineeError
from matinee.manifest import Release
from matinee.runs import Feedback, Run, Status
from matinee.ui import render, results, rows, rows_result, session
from matinee.ui.history import Row, row_of
from matinee.ui.words import escaped

LIVE_S = 1.0  # how often an unfinished run is looked at
THUMBS = (-1, 1)  # Streamlit's thumbs are 0 and 1


def draw(run_id: str, release: Release) -> None:
    """Draw the run as it is now; while it is unfinished this part of the page, and only this, keeps looking."""
    live = session.live(run_id)
    if live.run.status.is_final:
        draw_finished(live.run, release)
    else:
        st.fragment(_draw_live, run_every=LIVE_S)(run_id)


def _draw_live(run_id: str) -> None:
    live = session.live(run_id)
    if live.run.status.is_final:
        st.rerun()
    row = row_of(live.run, live.entry, time.time(), position=live.position, note=live.note)
    with st.container(border=True):
        draw_progress(row)
        cancel_button(row)
        st.caption("You can close this page: the run goes on and stays in History.")


def draw_progress(row: Row) -> None:
    """Draw how far an unfinished run is."""
    st.badge(row.status, icon=row.icon, color=row.color)
    words = " · ".join(escaped(part) for part in (row.detail, row.duration) if part)
    if row.fraction is not None:
        st.progress(min(1.0, max(0.0, row.fraction)), text=f"{row.fraction:.0%}" + (f" · {words}" if words else ""))
    elif words:
        st.caption(words)


def cancel_button(row: Row) -> None:
    """Offer to cancel the run, where that is possible."""
    if row.can_cancel and st.button("Cancel", key=f"cancel:{row.run_id}", icon=":material/close:"):
        try:
            session.client().cancel(row.run_id)
        except MatineeError as error:  # it finished in between: the page shows it in a moment
            st.toast(escaped(error.message))
        session.poll.forget()
        st.rerun()


def draw_finished(run: Run, release: Release) -> None:
    """Draw the result or the failure of a finished run, and the place for feedback."""
    if run.status is Status.CANCELLED:
        st.info("This run was cancelled.", icon=":material/block:")
    elif run.failure is not None:
        draw_failure(run)
    elif not rows.is_rows(run):
        _draw_result(run, release)
    if rows.is_rows(run):
        rows_result.draw(run)
    st.fragment(_draw_feedback)(run.id)


def draw_failure(run: Run) -> None:
    """Say in plain words what went wrong and what to do."""
    if run.failure is None:
        return
    st.error(escaped(run.failure.message), icon=":material/error:")
    if run.failure.hint:
        st.caption(escaped(run.failure.hint))


def _draw_result(run: Run, release: Release) -> None:
    predictor = release.predictor(run.predictor)
    name = f"{run.predictor}-{run.id[:10]}"
    try:
        result = session.client().result(run)
    except MatineeError as error:
        show_error(error)
        return
    block = results.blocks_of(predictor.result if predictor else {}, result, name)
    with st.container(border=True):
        render.draw(block, run.id, session.client().read_blob, extra=[results.whole(result, name)])


def show_error(error: MatineeError) -> None:
    """Show any of our errors as one sentence and its hint."""
    st.error(escaped(error.message), icon=":material/error:")
    if error.hint:
        st.caption(escaped(error.hint))


def _draw_feedback(run_id: str) -> None:
    """Thumbs are stored at once; a comment when it is sent."""
    said = _said(run_id)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Was this helpful?", width="content")
        default = None if said is None or said.rating is None else THUMBS.index(said.rating)
        thumb = st.feedback("thumbs", key=f"thumbs:{run_id}", default=default)
    rating = None if thumb is None else THUMBS[thumb]
    comment = said.comment if said else ""
    if rating != (said.rating if said else None):
        said = _store(run_id, rating, comment)
    if rating is None and not comment:
        return
    with st.form(f"comment:{run_id}", border=False):
        text = st.text_area("Comment", value=comment, placeholder="What was good, what should be different?", height=80)
        if st.form_submit_button("Send", icon=":material/send:") and text != comment:
            said = _store(run_id, rating, text)
    if said:
        st.caption(":material/check: Thank you, this is stored with the run.")


def _said(run_id: str) -> Feedback | None:
    """What this user said before, read once per session and run."""
    key = f"said:{run_id}"
    if key not in st.session_state:
        client = session.client()
        mine = [feedback for feedback in client.feedback_of(run_id) if feedback.user == client.user]
        st.session_state[key] = mine[0] if mine else None
    said: Feedback | None = st.session_state[key]
    return said


def _store(run_id: str, rating: int | None, comment: str) -> Feedback | None:
    try:
        st.session_state[f"said:{run_id}"] = session.client().feedback(run_id, rating, comment)
    except MatineeError as error:
        show_error(error)
    return _said(run_id)
