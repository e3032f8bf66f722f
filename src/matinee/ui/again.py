"""Running a finished run again: with edits, in its predictor's form, or just as it was."""

from __future__ import annotations

from functools import partial

import streamlit as st

from matinee.errors import MatineeError
from matinee.runs import Json, Run
from matinee.ui import links, session, waiting
from matinee.ui.told import show_error


def draw(run: Run, inputs: Json) -> None:
    """Draw the two buttons."""
    path = links.path_of(run.predictor)
    if not links.knows(path):
        return
    with st.container(horizontal=True):
        if st.button("Edit and run again", key="again", icon=":material/edit:"):
            links.fill(run.predictor, inputs)
            links.go(path)
        if st.button("Retry", key=f"retry:{run.id}", icon=":material/replay:", help="The same inputs, as a new run"):
            retry(run, inputs)


def retry(run: Run, inputs: Json) -> None:
    """Run the same inputs again and go to the new run."""
    client = session.client()
    place = st.empty()
    try:
        if run.kind == "batch":
            new = client.submit(run.predictor, inputs)
        else:
            pending = waiting.begin(run.predictor, partial(client.predict, run.predictor, inputs))
            new = pending.result(lambda words: place.info(words, icon=":material/hourglass_top:"))
    except MatineeError as error:
        with place.container():
            show_error(error)
        return
    session.poll.forget()
    links.go(links.RUN, {"id": new.id})
