"""What is changed inside Streamlit, which has no setting for it, for speed alone: one module for each change.

Together they make a click a third cheaper (`docs/reference/performance.md`). Only the version they were measured with
is changed; any other is right too, and slower.
"""

from __future__ import annotations

from matinee.ui.tuned import delivery, opening, positions, threads

VERSION = "1.67"


def tune() -> None:
    """Change this process's Streamlit if it is VERSION; again is no error."""
    import streamlit

    if streamlit.__version__.rpartition(".")[0] == VERSION:
        opening.remember()
        delivery.gather_messages()
        threads.reuse()
        positions.copy_by_hand()
