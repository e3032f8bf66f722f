"""Many runs saved at once: those on the page that are chosen, or all that the filters find, in any format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from matinee.access.events import record_event
from matinee.errors import MatineeError, NotFoundError
from matinee.runs import Run
from matinee.tables.write import LABELS, MEDIA_TYPES
from matinee.ui import bulk, session
from matinee.ui.history import summary_of
from matinee.ui.search import Filters, find
from matinee.ui.words import humanize

if TYPE_CHECKING:
    from matinee.client.core import Client


def draw(shown: Sequence[Run], filters: Filters) -> None:
    """Draw what there is to save. The file is made when a button is pressed."""
    client = session.client()
    with st.popover("Save runs", icon=":material/download:"):
        labels = {run.id: _label(run) for run in shown}
        chosen = st.multiselect("Runs", list(labels), format_func=labels.__getitem__, placeholder="All that fit")
        st.caption(f"At most {bulk.MOST:,} runs, the newest, with inputs and results.")
        with st.container(horizontal=True):
            for form, label in LABELS.items():
                st.download_button(
                    label,
                    data=_maker(client, tuple(chosen), filters, form, st.context.ip_address or ""),
                    file_name=f"runs.{form}",
                    mime=MEDIA_TYPES[form],
                    key=f"save-runs:{form}",
                    icon=":material/download:",
                    on_click="ignore",
                )


def _label(run: Run) -> str:
    return " · ".join(part for part in (humanize(run.predictor), summary_of(run.inputs, 40), run.id[-6:]) if part)


def _maker(
    client: Client, chosen: tuple[str, ...], filters: Filters, form: str, address: str = ""
) -> Callable[[], bytes]:
    """Return what makes the file when the button is pressed; it runs outside the page, so it must not draw."""

    def make() -> bytes:
        record_event("export", client.user, address, f"{len(chosen) or 'all'} of the runs in History")
        try:
            runs = [client.run(run_id) for run_id in chosen] if chosen else all_of(client, filters)
            return bulk.to_file(form, (_record(client, run) for run in runs))
        except MatineeError as error:
            return str(error).encode()

    return make


def all_of(client: Client, filters: Filters) -> list[Run]:
    """Return the runs that fit, newest first, at most `bulk.MOST`."""
    query = filters.query(client.user)
    return list(find(client.runs, query, filters.text, bulk.MOST, most=bulk.MOST).runs)


def _record(client: Client, run: Run) -> dict[str, Any]:
    try:
        return bulk.record(run, client.inputs(run), client.result(run))
    except NotFoundError:  # its files are gone: the run itself is still worth its line
        return bulk.record(run, None, None)
