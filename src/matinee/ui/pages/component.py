"""The page of a component that does not load: why, where, and what to do."""

from __future__ import annotations

import streamlit as st

from matinee.manifest import ComponentManifest
from matinee.ui.words import escaped, humanize


def draw(component: ComponentManifest) -> None:
    """Draw the page."""
    st.title(escaped(humanize(component.name)))
    trouble = component.trouble
    if trouble is None:
        return
    st.error(escaped(trouble.message), icon=":material/error:")
    if trouble.file:
        st.code(f"{trouble.file}:{trouble.line}" if trouble.line else trouble.file, language=None)
    if trouble.hint:
        st.markdown(escaped(trouble.hint))
    st.caption("The other pages keep working. Save the file to try again.")
