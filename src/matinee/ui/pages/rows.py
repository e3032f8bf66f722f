"""Many rows: upload or paste a table, see which rows fit and why others do not, then start them all as one run."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import streamlit as st

from matinee.client.core import limits_of
from matinee.errors import MatineeError
from matinee.manifest import PredictorManifest, Release
from matinee.rows.inputs import RowsCheck
from matinee.tables import ENDINGS
from matinee.tables.columns import Question
from matinee.tables.read import Source
from matinee.ui import many_rows, session, site, tables
from matinee.ui import text as ui_text
from matinee.ui.text import escaped, humanize

MAX_PASTED = 1_000_000  # characters


class Given(NamedTuple):
    """A table as it was given; `token` tells it from others."""

    source: Source
    name: str
    token: str


def draw(release: Release) -> None:
    """Draw the page of the realtime predictor named in the address (`?predictor=…`)."""
    offered = [p for p in release.predictors if p.kind == "realtime"]
    asked = st.query_params.get("predictor", "")
    predictor = next((p for p in offered if p.name == asked), offered[0] if len(offered) == 1 else None)
    if predictor is None:
        _choose(offered)
        return
    st.title(f"Many rows: {escaped(humanize(predictor.name))}")
    site.link(site.path_of(predictor.name), "Back to a single prediction", icon=":material/arrow_back:")
    names = ", ".join(predictor.parameters.get("properties", {}))
    limits = limits_of(release)
    st.markdown(
        f"Each row of a table becomes a prediction. The first line names the columns: {escaped(names or 'any')}. "
        f"At most {limits.rows:,} rows."
    )
    given = _given(predictor, int(limits.upload_mb) or 1)
    if given is not None:
        _checked(predictor, given)


def _choose(offered: list[PredictorManifest]) -> None:
    st.title("Many rows")
    if not offered:
        st.info("This app has no predictor that answers right now.", icon=":material/table_rows:")
        return
    st.markdown("Whose predictions?")
    for predictor in offered:
        query = {"predictor": predictor.name}
        site.link(site.ROWS, escaped(humanize(predictor.name)), icon=site.ICONS["realtime"], query=query)


def _given(predictor: PredictorManifest, upload_mb: int) -> Given | None:
    upload = st.file_uploader(
        "CSV, Excel or Parquet file", type=list(ENDINGS), key=f"rows:file:{predictor.name}", max_upload_size=upload_mb
    )
    with st.expander("Paste rows instead", icon=":material/content_paste:"):
        text = st.text_area(
            "Rows with their column names",
            key=f"rows:text:{predictor.name}",
            height=160,
            max_chars=MAX_PASTED,
            placeholder="Copy them from a spreadsheet, with the line of column names.",
        )
    if upload is not None:
        return Given(upload, upload.name, str(upload.file_id))
    if text.strip():
        data = text.encode("utf-8", "replace")
        return Given(data, "", hashlib.sha256(data).hexdigest())
    return None


def _checked(predictor: PredictorManifest, given: Given) -> None:
    sheet = tables.choose_sheet(given.source, f"rows:sheet:{predictor.name}:{given.token}")
    try:
        check, questions = _check(predictor, given, _chosen(predictor, given), sheet)
    except MatineeError as error:
        ui_text.show_error(error)
        return
    for note in check.notes:
        st.caption(f":material/info: {escaped(note)}")
    _columns(predictor, given, check)
    tables.ask(questions, _reading_key(predictor, given))
    with st.expander("The first rows", icon=":material/table:"):
        st.markdown(many_rows.preview_table(check))
    _verdict(check)
    label = f"Predict {check.valid:,} row{'' if check.valid == 1 else 's'}" if check.can_start else "Predict"
    if st.button(label, key="rows:go", type="primary", icon=":material/play_arrow:", disabled=not check.can_start):
        _start(predictor, given, check)


def _check(
    predictor: PredictorManifest, given: Given, chosen: dict[str, str | None], sheet: str
) -> tuple[RowsCheck, tuple[Question, ...]]:
    """Check once per table, choice of columns, answers and schema: every click draws the page again.

    Returns the check and what was asked about the table, answered or not.
    """
    table = (predictor.name, given.token, sheet, predictor.parameters)
    asked: tuple[Question, ...] = st.session_state.get(_reading_key(predictor, given), ())
    readings = tables.answers(asked, _reading_key(predictor, given))
    kept: tuple[Any, dict[str, str | None], dict[str, str], RowsCheck] | None = st.session_state.get("rows:check")
    if kept is not None and kept[:3] == (table, chosen, readings):
        return kept[3], asked
    with st.spinner("Looking at every row…", show_time=True):
        check = session.client().check_rows(predictor.name, given.source, chosen, readings=readings, sheet=sheet)
    known = {question.column for question in asked}
    asked = (*asked, *(question for question in check.questions if question.column not in known))
    st.session_state[_reading_key(predictor, given)] = asked
    used = {name: check.mapping.get(name) for name in predictor.parameters.get("properties", {})}
    st.session_state["rows:check"] = (table, used, readings, check)
    return check, asked


def _reading_key(predictor: PredictorManifest, given: Given) -> str:
    return f"rows:reading:{predictor.name}:{given.token}"


def _key(predictor: PredictorManifest, given: Given, name: str) -> str:
    return f"rows:map:{predictor.name}:{given.token}:{name}"


def _chosen(predictor: PredictorManifest, given: Given) -> dict[str, str | None]:
    """Return what was chosen for this table; nothing at first, and the columns' own names decide."""
    keys = {name: _key(predictor, given, name) for name in predictor.parameters.get("properties", {})}
    return {name: st.session_state[key] for name, key in keys.items() if key in st.session_state}


def _columns(predictor: PredictorManifest, given: Given, check: RowsCheck) -> None:
    names = [column.name for column in check.columns]
    title = "Which column is which"
    with st.expander(title, icon=":material/swap_horiz:", expanded=bool(check.missing)):
        for name in predictor.parameters.get("properties", {}):
            key = _key(predictor, given, name)
            if key not in st.session_state:
                st.session_state[key] = check.mapping.get(name)
            nothing = many_rows.not_used(predictor.parameters, name)
            st.selectbox(escaped(humanize(name)), names, index=None, key=key, placeholder=nothing)


def _verdict(check: RowsCheck) -> None:
    words = escaped(many_rows.rows_verdict(check))
    if not check.can_start:
        st.error(words, icon=":material/error:")
    elif check.invalid:
        st.warning(words, icon=":material/warning:")
    else:
        st.success(words, icon=":material/check:")
    if check.problems:
        st.markdown(many_rows.problem_table(check))
        st.caption(many_rows.more_problems(check))


def _start(predictor: PredictorManifest, given: Given, check: RowsCheck) -> None:
    try:
        with st.spinner("Sending the rows…", show_time=True):
            run = session.client().submit_rows(predictor.name, given.source, check, file_name=given.name)
    except MatineeError as error:
        ui_text.show_error(error)
        return
    session.poll.forget()
    site.go(site.RUN, {"id": run.id})
