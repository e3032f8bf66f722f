"""What became of a run, on every page that shows one: progress while it lasts, then result or failure, and feedback."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from html import escape

import streamlit as st

from matinee.errors import MatineeError
from matinee.manifest import Release
from matinee.runs import Json, Run, Status
from matinee.ui import code, feedback, many_rows, render, results, run_list, session, site, waiting
from matinee.ui import text as ui_text
from matinee.ui.run_list import Row, row_of
from matinee.ui.text import escaped, show_error, show_errors_of

__all__ = ["cancel_button", "draw_failure", "draw_finished", "draw_outcome", "draw_progress", "is_mine", "show_error"]

LIVE_S = 1.0  # how often an unfinished run is looked at


def draw_outcome(run_id: str, release: Release, *, is_inside: bool = False) -> Run:
    """Draw the run as it is now and return it; while it is unfinished this part of the page, and only this, looks on.

    NotFoundError when there is none, or none this person may see.
    """
    run = session.live(run_id).run
    if run.status.is_final:
        draw_finished(run, release, is_inside=is_inside)
    else:
        st.fragment(show_errors_of(_draw_live), run_every=LIVE_S)(run_id, release)
    return run


def _draw_live(run_id: str, release: Release) -> None:
    live = session.live(run_id)
    if live.run.status.is_final:
        st.rerun()
    starts_in_s = run_list.starts_in_s(live, release)
    row = row_of(live.run, live.entry, time.time(), position=live.position, note=live.note, starts_in_s=starts_in_s)
    with st.container(border=True):
        draw_progress(row)
        if is_mine(live.run):
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


def is_mine(run: Run) -> bool:
    """Whether who looks may change the run: cancel, share."""
    client = session.client()
    return client.owner or run.user == client.user


def cancel_button(row: Row) -> None:
    """Offer to cancel the run, where that is possible."""
    if row.can_cancel and st.button("Cancel", key=f"cancel:{row.run_id}", icon=":material/close:"):
        try:
            session.client().cancel(row.run_id)
        except MatineeError as error:  # it finished in between: the page shows it in a moment
            st.toast(escaped(error.message))
        session.poll.forget()
        st.rerun()


def draw_finished(run: Run, release: Release, *, is_inside: bool = False) -> None:
    """Draw the result or the failure of a finished run, and the place for feedback, `is_inside` a fragment or not."""
    if run.warning:
        st.warning(escaped(run.warning), icon=":material/warning:")
    if run.status is Status.CANCELLED:
        st.info("This run was cancelled.", icon=":material/block:")
    elif run.failure is not None:
        draw_failure(run)
    elif not many_rows.is_rows(run):
        _draw_result(run, release)
    if many_rows.is_rows(run):
        many_rows.draw_rows_result(run)
    else:
        code.draw(run, session.client().inputs(run))
    feedback.draw(run, release, is_inside=is_inside)


def draw_failure(run: Run) -> None:
    """Say in plain words what went wrong and what to do; the traceback is there for an owner alone."""
    if run.failure is None:
        return
    st.error(escaped(run.failure.message), icon=":material/error:")
    client = session.client()
    if run.failure.hint and client.owner:
        st.caption(escaped(run.failure.hint))
    if not client.owner:
        st.caption(_WAYS_OUT.get(run.failure.kind, _WAY_OUT))
    if run.failure.traceback:
        with st.expander("Where it failed", icon=":material/bug_report:"):
            st.code(run.failure.traceback, language=None)


_ASK = "send the link to this run to whoever made this app."
_WAY_OUT = f"Try other values. If it fails again, {_ASK}"
_SMALLER = f"Try a smaller input. If it has to be this one, {_ASK}"
_AGAIN = f"Try once more. If it fails again, {_ASK}"
_WAYS_OUT = {
    "timeout": _SMALLER,
    "out_of_memory": _SMALLER,
    "start": f"Nothing you filled in is wrong: {_ASK}",
    "crash": _AGAIN,
    "lost": _AGAIN,
}


def _draw_result(run: Run, release: Release) -> None:
    predictor = release.predictor(run.predictor)
    name = f"{run.predictor}-{run.id[:10]}"
    client = session.client()
    result = client.result(run)
    block = results.blocks_of(predictor.result if predictor else {}, result, name)
    with st.container(border=True):
        render.draw(block, run.id, client.read_blob)


# --- whose result it is -----------------------------------------------------------------------------------------------
# Above a result on its predictor's page: the inputs that it is for, and that the form has changed since.

SCRIPT = site.RESULT_SCRIPT.read_text("utf-8")
INPUT_CHARS = 400
OLDER = "The form has changed since: this result is for the values above."


def draw_result_head(run: Run, inputs: Json, *, is_older: bool) -> None:
    """Draw the inputs of a result in one line, and announce it; `is_older`: the form holds others already."""
    words = "It failed" if run.failure else "Done" if run.status.is_final else "Started"
    announced = f"{words}: {ui_text.humanize(run.predictor)}"
    st.html(
        f'<div class="matinee-result{" matinee-older" if is_older else ""}" data-run="{escape(run.id)}" '
        f'data-words="{escape(announced)}"><p>For {_input_pairs(inputs)}</p><p class="matinee-older-words">{OLDER}</p>'
        f"</div><script>{SCRIPT}</script>",
        unsafe_allow_javascript=True,
    )


def _input_pairs(inputs: Json) -> str:
    pairs = [
        f"{escape(ui_text.humanize(str(name)))} <b>{escape(words)}</b>"
        for name, value in (inputs.items() if isinstance(inputs, Mapping) else ())
        if (words := run_list.summary_of({name: value}, INPUT_CHARS))
    ]
    return " · ".join(pairs) or "what nobody filled in"


# --- running again ----------------------------------------------------------------------------------------------------
# Running a finished run again: with edits, in its predictor's form, or just as it was.


def draw_again(run: Run, inputs: Json) -> None:
    """Draw the two buttons."""
    path = site.path_of(run.predictor)
    if not site.knows(path):
        return
    with st.container(horizontal=True):
        if st.button("Edit and run again", key="again", icon=":material/edit:"):
            site.fill(run.predictor, inputs)
            site.go(path)
        if st.button("Retry", key=f"retry:{run.id}", icon=":material/replay:", help="The same inputs, as a new run"):
            retry_run(run, inputs)


def retry_run(run: Run, inputs: Json) -> None:
    """Run the same inputs again and go to the new run."""
    client = session.client()
    place = st.empty()
    try:
        if run.kind == "batch":
            new = client.submit(run.predictor, inputs)
        else:
            pending = waiting.begin(run.predictor, partial(client.predict, run.predictor, inputs))
            new = pending.result(lambda words: place.info(words, icon=":material/hourglass_top:"))
    except MatineeError as error:
        with place.container():
            show_error(error)
        return
    session.poll.forget()
    site.go(site.RUN, {"id": new.id})
