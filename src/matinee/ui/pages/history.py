"""History: runs newest first, a page at a time, by what one looks for; unfinished ones live; as one file to save."""

from __future__ import annotations

import time
from datetime import date
from typing import Any

import streamlit as st

from matinee.errors import MatineeError
from matinee.manifest import Release
from matinee.ui import export, run_list, run_view, session, site
from matinee.ui.run_list import STATUSES, Filters, Found, Row, find, row_of
from matinee.ui.session import Live
from matinee.ui.text import escaped, format_age, humanize, show_error, show_errors_of

ROWS = 15
LIVE_S = 1.0
SEARCH_S = 5.0  # looking for words reads many runs
FILTERS = "history:filters"
KEPT: Any = {"persist_state": "session"}
TRAIL = "history:trail"  # where the pages before this one began: the way back


def draw(release: Release) -> None:
    """Draw the page."""
    st.title("History", anchor=False)
    filters = _filters(release)
    try:
        found = _found(filters)
    except MatineeError as error:
        show_error(error)
        return
    if not found.runs:
        _nothing(filters, found)
    else:
        lives = _lives(found)
        is_live = any(not live.run.status.is_final for live in lives)
        st.fragment(show_errors_of(_list), run_every=LIVE_S if is_live else None)(release, filters, is_live)
    _pager(found)
    if found.runs:
        export.draw_downloads(found.runs, filters)


def _nothing(filters: Filters, found: Found) -> None:
    if found.next:
        st.info("Nothing found yet.", icon=":material/search:")
    elif filters.is_empty and not _trail():
        st.info("Nothing has run yet. What you predict or start appears here.", icon=":material/history:")
    else:
        st.info("Nothing here fits.", icon=":material/search_off:")


# --- filters ----------------------------------------------------------------------------------------------------


def _filters(release: Release) -> Filters:
    """Draw the filters; Streamlit keeps them while one looks at a run and comes back."""
    names = [p.name for p in release.predictors]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Search", placeholder="Words in inputs, person or id", max_chars=200, key="history:text", **KEPT
        )
        predictor = st.selectbox(
            "Predictor", names, None, format_func=humanize, placeholder="All", width=170, key="history:name", **KEPT
        )
        status = st.selectbox(
            "Status", list(STATUSES), None, placeholder="All", width=140, key="history:status", **KEPT
        )
        with st.popover("More", icon=":material/tune:"):
            first, last, everybody = _more()
    filters = Filters(predictor, status, (text or "").strip(), first, last, everybody)
    if filters != st.session_state.get(FILTERS, filters):
        _trail().clear()
    st.session_state[FILTERS] = filters
    return filters


def _more() -> tuple[date | None, date | None, bool]:
    first = st.date_input("From", None, format="YYYY-MM-DD", key="history:first", **KEPT)
    last = st.date_input("To", None, format="YYYY-MM-DD", key="history:last", **KEPT)
    if not session.client().owner or session.gate().is_open:
        return first, last, False
    return first, last, st.toggle("Everybody's runs", key="history:everybody", **KEPT)


def _found(filters: Filters) -> Found:
    client = session.client()
    query = filters.query(client.user, before=_before())
    key = ("history", query, filters.text, client.user, client.owner)
    max_age_s = SEARCH_S if filters.text else session.RUNS_S
    return session.poll.read(key, max_age_s, lambda: find(client.runs, query, filters.text, ROWS))


def _lives(found: Found) -> list[Live]:
    client = session.client()
    key = ("lives", tuple((run.id, run.rev) for run in found.runs), client.user, client.owner)
    return session.poll.read(key, session.RUNS_S, lambda: [session.look(run) for run in found.runs])


# --- the list of runs -------------------------------------------------------------------------------------------


def _list(release: Release, filters: Filters, was_live: bool) -> None:
    lives = _lives(_found(filters))
    if was_live and all(live.run.status.is_final for live in lives):
        st.rerun()  # the whole page, which then no longer looks every second
    user = session.client().user
    now = time.time()
    for live in lives:
        starts_in_s = run_list.starts_in_s(live, release)
        row = row_of(live.run, live.entry, now, position=live.position, note=live.note, starts_in_s=starts_in_s)
        _row(row, live, release, "" if live.run.user == user else live.run.user)


def _row(row: Row, live: Live, release: Release, by: str) -> None:
    with st.container(border=True):
        what, state, action = st.columns([5, 4, 3], vertical_alignment="center")
        what.markdown(f"**{escaped(row.title)}**" + (f"  \n:gray[{escaped(row.summary)}]" if row.summary else ""))
        with state:
            st.badge(row.status, icon=row.icon, color=row.color)
            st.caption(" · ".join(escaped(part) for part in (row.age, row.duration, by) if part))
        with action:
            site.link(site.RUN, "Open", icon=":material/open_in_full:", query={"id": row.run_id})
            if run_view.is_mine(live.run):
                run_view.cancel_button(row)
            if row.can_retry and release.predictor(row.predictor):
                _retry_button(live)
        if row.fraction is not None:
            st.progress(min(1.0, max(0.0, row.fraction)), text=f"{row.fraction:.0%} {escaped(row.detail)}".strip())
        elif row.detail:
            st.caption(escaped(row.detail))


def _retry_button(live: Live) -> None:
    if st.button("Retry", key=f"retry:{live.run.id}", icon=":material/replay:"):
        run_view.retry_run(live.run, session.client().inputs(live.run))


# --- paging -----------------------------------------------------------------------------------------------------


def _trail() -> list[str]:
    trail: list[str] = st.session_state.setdefault(TRAIL, [])
    return trail


def _before() -> str:
    trail = _trail()
    return trail[-1] if trail else ""


def _pager(found: Found) -> None:
    trail = _trail()
    if found.looked_at and found.reached:
        st.caption(
            f"Looked through {found.looked_at:,} runs; the last of them was made "
            f"{format_age(time.time() - found.reached)}."
        )
    with st.container(horizontal=True):
        if trail:
            st.button("Newer", icon=":material/chevron_left:", on_click=trail.pop)
        if found.next:
            label = "Older" if found.runs else "Look further back"
            st.button(label, icon=":material/chevron_right:", on_click=trail.append, args=(found.next,))
