"""The link to a run: to copy for oneself, and a switch that lets everybody who may use the app open it."""

from __future__ import annotations

import streamlit as st

from matinee.runs import Run
from matinee.ui import code, links, outcome, session


def draw(run: Run) -> None:
    """Draw the link and, for whom the run is, the switch."""
    with st.popover("Link", icon=":material/link:"):
        st.code(f"{code.base_url()}/{links.RUN}?id={run.id}", language=None, wrap_lines=True)
        if session.gate().is_open:
            st.caption("Whoever can open this app can open this link.")
        elif outcome.is_mine(run):
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
