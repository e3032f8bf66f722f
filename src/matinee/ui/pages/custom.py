"""A page the owner of the app wrote."""

from __future__ import annotations

import streamlit as st

from matinee.errors import MatineeError
from matinee.ui import own_pages, session
from matinee.ui.look import Look, OwnPage
from matinee.ui.own_pages import PageError
from matinee.ui.told import show_error
from matinee.ui.words import escaped

LOOK_S = 1.0  # how soon what was saved is shown


def draw(page: OwnPage, look: Look) -> None:
    """Draw the page. What fails is said here, to the owner with the place; other pages are not concerned."""
    try:
        own_pages.run(page.file, look.folder)
    except PageError as error:
        _failed(error, page)
    if session.client().owner:
        st.fragment(_follow, run_every=LOOK_S)(page, look)


def _failed(error: PageError, page: OwnPage) -> None:
    if isinstance(error.__cause__, MatineeError):
        show_error(error.__cause__)
        return
    if not session.client().owner:
        st.error("This page does not work at the moment. The owner of the app can see why.", icon=":material/error:")
        return
    st.error(escaped(f"{page.file.name}: {error}"), icon=":material/error:")
    st.code(error.text, language=None, wrap_lines=True)
    st.caption("Only the owner sees this. Save the file to try again; the other pages keep working.")


def _follow(page: OwnPage, look: Look) -> None:
    """Draw the page again when its owner has saved it."""
    saved = own_pages.saved_at(page.file, look.folder)
    key = f"saved:{page.path}"
    if st.session_state.setdefault(key, saved) != saved:
        st.session_state[key] = saved
        st.rerun()
