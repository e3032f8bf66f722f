"""What a run of many rows shows in place of inputs and result: how many, of which file, and the table to download."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from matinee.errors import MatineeError
from matinee.runs import Run, Status
from matinee.tables.write import LABELS, MEDIA_TYPES
from matinee.ui import links, rows, session
from matinee.ui.words import escaped

if TYPE_CHECKING:
    from matinee.client.core import Client

OFFERED = [("csv", ",", "CSV"), ("csv", ";", "CSV ;"), *((form, ",", LABELS[form]) for form in LABELS if form != "csv")]


def draw_inputs(run: Run) -> None:
    """Draw what was given, and the way to give another table."""
    st.markdown(escaped(rows.summary(run.inputs)))
    if links.knows(links.ROWS):
        query = {"predictor": run.predictor}
        links.link(links.ROWS, "Predict other rows", icon=":material/table_rows:", query=query)


def draw(run: Run) -> None:
    """Draw the downloads of a finished run; one that failed or was cancelled has the rows it came to."""
    if run.status is Status.SUCCEEDED:
        st.markdown(escaped(rows.outcome(run)))
    else:
        st.caption("The table has the results of the rows that were predicted before it ended.")
    client = session.client()
    with st.container(horizontal=True):
        for form, separator, label in OFFERED:
            st.download_button(
                label,
                data=_maker(client, run, form, separator),
                file_name=f"{run.predictor}-{run.id[:10]}.{form}",
                mime=MEDIA_TYPES[form],
                key=f"rows:{form}{separator}:{run.id}",
                icon=":material/download:",
                on_click="ignore",
            )


def _maker(client: Client, run: Run, form: str, separator: str) -> Callable[[], bytes]:
    """Return what makes the file when the button is pressed; it runs outside the page, so it must not draw."""

    def make() -> bytes:
        try:
            return b"".join(client.rows_result(run, form, separator))
        except MatineeError as error:
            return str(error).encode()

    return make
