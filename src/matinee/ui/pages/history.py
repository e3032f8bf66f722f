"""History: the user's runs, newest first, a page at a time; unfinished ones live."""

from __future__ import annotations

import time

import streamlit as st

from matinee.errors import MatineeError
from matinee.manifest import Release
from matinee.ui import links, outcome, session
from matinee.ui.history import Row, row_of
from matinee.ui.words import escaped, humanize

ROWS = 15
LIVE_S = 1.0


def draw(release: Release) -> None:
    """Draw the page."""
    st.title("History")
    predictor = _filter(release)
    before = _before(predictor)
    try:
        rows = _rows(predictor, before)
    except MatineeError as error:
        outcome.show_error(error)
        return
    if not rows and not before:
        st.info("Nothing has run yet. What you predict or start appears here.", icon=":material/history:")
        return
    is_live = any(row.is_live for row in rows)
    st.fragment(_list, run_every=LIVE_S if is_live else None)(predictor, before, is_live)
    _pager(predictor, before, rows)


def _filter(release: Release) -> str | None:
    names = [p.name for p in release.predictors]
    if len(names) < 2:
        return None
    chosen: str | None = st.selectbox(
        "Show", names, index=None, format_func=humanize, placeholder="All runs", label_visibility="collapsed"
    )
    return chosen


def _rows(predictor: str | None, before: str) -> list[Row]:
    now = time.time()
    lives = session.page(predictor, before, ROWS)
    return [row_of(live.run, live.entry, now, position=live.position, note=live.note) for live in lives]


def _list(predictor: str | None, before: str, was_live: bool) -> None:
    rows = _rows(predictor, before)
    if was_live and not any(row.is_live for row in rows):
        st.rerun()  # the whole page, which then no longer looks every second
    for row in rows:
        _row(row)


def _row(row: Row) -> None:
    with st.container(border=True):
        what, state, action = st.columns([5, 4, 2], vertical_alignment="center")
        what.markdown(f"**{escaped(row.title)}**" + (f"  \n:gray[{escaped(row.summary)}]" if row.summary else ""))
        with state:
            st.badge(row.status, icon=row.icon, color=row.color)
            st.caption(" · ".join(part for part in (row.age, row.duration) if part))
        with action:
            links.link(links.RUN, "Open", icon=":material/open_in_full:", query={"id": row.run_id})
            outcome.cancel_button(row)
        if row.fraction is not None:
            st.progress(min(1.0, max(0.0, row.fraction)), text=f"{row.fraction:.0%} {escaped(row.detail)}".strip())
        elif row.detail:
            st.caption(escaped(row.detail))


def _trail(predictor: str | None) -> list[str]:
    """The last run ids of the pages before this one: the way back."""
    trail: list[str] = st.session_state.setdefault(f"trail:{predictor or ''}", [])
    return trail


def _before(predictor: str | None) -> str:
    trail = _trail(predictor)
    return trail[-1] if trail else ""


def _pager(predictor: str | None, before: str, rows: list[Row]) -> None:
    trail = _trail(predictor)
    with st.container(horizontal=True):
        if before:
            st.button("Newer", icon=":material/chevron_left:", on_click=trail.pop)
        if len(rows) == ROWS:
            st.button("Older", icon=":material/chevron_right:", on_click=trail.append, args=(rows[-1].run_id,))
