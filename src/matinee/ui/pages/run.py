"""One run at its permanent address: inputs, state, result, feedback, logs, and the way to run it again."""

from __future__ import annotations

import time

import streamlit as st

from matinee.errors import MatineeError
from matinee.manifest import Release
from matinee.runs import Run
from matinee.ui import links, outcome, render, results, rows, rows_result, session
from matinee.ui.history import row_of
from matinee.ui.words import escaped


def draw(release: Release) -> None:
    """Draw the page of the run named in the address (`?id=…`)."""
    run_id = st.query_params.get("id", "")
    if not run_id:
        st.title("Run")
        st.info("Choose a run in History.", icon=":material/history:")
        links.link(links.HISTORY, "History", icon=":material/history:")
        return
    try:
        _draw(session.live(run_id).run, release)
    except MatineeError as error:
        outcome.show_error(error)
        links.link(links.HISTORY, "History", icon=":material/history:")


def _draw(run: Run, release: Release) -> None:
    row = row_of(run, None, time.time())
    st.title(escaped(row.title))
    facts = [row.age, f"took {row.duration}" if run.status.is_final and row.duration else "", run.version]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(row.status, icon=row.icon, color=row.color)
        st.caption(" · ".join(escaped(fact) for fact in facts if fact), width="content")
    st.subheader("Inputs", anchor=False)
    _inputs(run, release)
    st.subheader("Result" if run.status.is_final else "Progress", anchor=False)
    outcome.draw(run.id, release)
    _logs(run)


def _inputs(run: Run, release: Release) -> None:
    if rows.is_rows(run):
        rows_result.draw_inputs(run)
        return
    client = session.client()
    inputs = client.inputs(run)
    predictor = release.predictor(run.predictor)
    schema = predictor.parameters if predictor else {}
    with st.container(border=True):
        block = results.blocks_of(schema, inputs, run.predictor)
        render.draw_inputs(block, f"inputs:{run.id}", client.read_blob)
        path = links.path_of(run.predictor)
        if links.knows(path) and st.button("Run again", key="again", icon=":material/replay:"):
            links.fill(run.predictor, inputs)
            links.go(path)


def _logs(run: Run) -> None:
    if not st.toggle("Show the log", key=f"log:{run.id}"):
        return
    lines = session.client().logs(run.id)
    text = "\n".join(f"{time.strftime('%H:%M:%S', time.localtime(x.at))} {x.level:<7} {x.message}" for x in lines)
    st.code(text or "It wrote nothing.", language=None, wrap_lines=True)
    if run.failure and run.failure.traceback:
        st.caption("Where it failed")
        st.code(run.failure.traceback, language=None)
