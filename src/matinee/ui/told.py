"""Errors as a person reads them: one sentence and what to do next, wherever on a page they happen."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

import streamlit as st

from matinee.errors import MatineeError
from matinee.ui.words import escaped

P = ParamSpec("P")


def show_error(error: MatineeError) -> None:
    """Show any of our errors as one sentence and its hint."""
    st.error(escaped(error.message), icon=":material/error:")
    if error.hint:
        st.caption(escaped(error.hint))


def told(draw: Callable[P, None]) -> Callable[P, None]:
    """Return what draws the same and shows an error instead of raising it: a fragment has nobody to raise it to."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            draw(*args, **kwargs)
        except MatineeError as error:
            show_error(error)

    return drawn
