"""One run at its permanent address: inputs, state, result, feedback, logs; run it again, retry it, share it."""

from __future__ import annotations

import time

import streamlit as st

from matinee.errors import MatineeError, NotFoundError
from matinee.manifest import Release
from matinee.runs import Json, Run
from matinee.ui import code, many_rows, notices, render, results, run_view, session, site
from matinee.ui.run_list import row_of
from matinee.ui.text import escaped, show_error, show_errors_of


def draw(release: Release) -> None:
    """Draw the page of the run named in the address (`?id=…`)."""
    run_id = st.query_params.get("id", "")
    if not run_id:
        st.title("Run", anchor=False)
        st.info("Choose a run in History.", icon=":material/history:")
        _to_history()
        return
    try:
        run = session.live(run_id).run
    except NotFoundError:
        _not_found()
        return
    try:
        _draw(run, release)
    except MatineeError as error:
        show_error(error)
        _to_history()


def _not_found() -> None:
    """One answer for what is not there and for what is somebody else's: the address tells nothing."""
    st.title("No such run", anchor=False)
    st.info("There is no run at this address, or it is not shared with you.", icon=":material/search_off:")
    _to_history()


def _to_history() -> None:
    site.link(site.HISTORY, "History", icon=":material/history:")


def _draw(run: Run, release: Release) -> None:
    row = row_of(run, None, time.time())
    client = session.client()
    st.title(escaped(row.title), anchor=False)
    by = f"by {run.user}" if run.user != client.user else ""
    facts = [row.age, f"took {row.duration}" if run.status.is_final and row.duration else "", run.version, by]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(row.status, icon=row.icon, color=row.color)
        st.caption(" · ".join(escaped(fact) for fact in facts if fact), width="content")
        draw_sharing(run)
    st.header("Inputs", anchor=False)
    _inputs(run, release)
    st.header("Result" if run.status.is_final else "Progress", anchor=False)
    run_view.draw_outcome(run.id, release)
    notices.notices_switch(client, run)
    st.fragment(show_errors_of(_logs))(run)


def _inputs(run: Run, release: Release) -> None:
    if many_rows.is_rows(run):
        many_rows.draw_rows_inputs(run)
        return
    client = session.client()
    inputs: Json = client.inputs(run)
    predictor = release.predictor(run.predictor)
    block = results.blocks_of(predictor.parameters if predictor else {}, inputs, run.predictor)
    with st.container(border=True):
        render.draw_inputs(block, f"inputs:{run.id}", client.read_blob)
        if predictor is None:
            st.caption(f"{escaped(run.predictor)} is not part of the app any more.")
        elif run.status.is_final:
            run_view.draw_again(run, inputs)


def _logs(run: Run) -> None:
    if not st.toggle("Show the log", key=f"log:{run.id}"):
        return
    lines = session.client().logs(run.id)
    text = "\n".join(f"{time.strftime('%H:%M:%S', time.localtime(x.at))} {x.level:<7} {x.message}" for x in lines)
    st.code(text or "It wrote nothing.", language=None, wrap_lines=True)


# --- sharing a run ----------------------------------------------------------------------------------------------------
# The link to a run: to copy for oneself, and a switch that lets everybody who may use the app open it.


def draw_sharing(run: Run) -> None:
    """Draw the link and, for whom the run is, the switch."""
    with st.popover("Link", icon=":material/link:"):
        st.code(f"{code.base_url()}/{site.RUN}?id={run.id}", language=None, wrap_lines=True)
        if session.gate().is_open:
            st.caption("Whoever can open this app can open this link.")
        elif run_view.is_mine(run):
            _switch(run)
        else:
            st.caption("This run was shared with you.")


def _switch(run: Run) -> None:
    client = session.client()
    was_shared = client.is_shared(run.id)
    words = "Everybody who may use this app can see and rate it"
    shared = st.toggle(words, value=was_shared, key=f"share:{run.id}")
    if shared != was_shared:
        if shared:
            client.share(run.id)
        else:
            client.unshare(run.id)
        session.poll.forget()
        st.toast("Shared." if shared else "Not shared any more.")
    if not shared:
        st.caption("Only you and the owner of this app can open the link now.")
