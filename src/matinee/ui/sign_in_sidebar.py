"""Who is signed in, and the way out, in the sidebar."""

from __future__ import annotations

import html

import streamlit as st

from matinee.ui import session
from matinee.ui.middleware import SIGN_OUT


def draw() -> None:
    """Draw it, where people sign in at all."""
    if session.gate().is_open:
        return
    name = html.escape(session.person().name)
    st.html(f'<small>Signed in as {name} · <a href="{SIGN_OUT}" target="_self">Sign out</a></small>')
