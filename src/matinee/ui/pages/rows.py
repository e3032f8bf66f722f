"""Many rows: upload or paste a table, see which rows fit and why others do not, then start them all as one run."""

from __future__ import annotations

from typing import Any

import streamlit as st

from matinee.client.core import limits_of
from matinee.errors import MatineeError
from matinee.manifest import PredictorManifest, Release
from matinee.rows.inputs import RowsCheck
from matinee.tables import ENDINGS
from matinee.tables.columns import Question
from matinee.ui import many_rows, session, site, tables
from matinee.ui import text as ui_text
from matinee.ui.tables import Upload
from matinee.ui.text import escaped, humanize

MAX_PASTED = 1_000_000  # characters


def draw(release: Release) -> None:
    """Draw the page of the realtime predictor named in the address (`?predictor=…`)."""
    offered = [p for p in release.predictors if many_rows.is_offered(p)]
    asked = st.query_params.get("predictor", "")
    predictor = next((p for p in offered if p.name == asked), None)
    if predictor is None and asked and release.predictor(asked):
        _draw_not_offered(asked)
        return
    if predictor is None and len(offered) != 1:
        _choose(offered)
        return
    predictor = predictor or offered[0]
    st.title(f"Many rows: {escaped(humanize(predictor.name))}")
    site.link(site.path_of(predictor.name), "Back to a single prediction", icon=":material/arrow_back:")
    names = ", ".join(predictor.parameters.get("properties", {}))
    limits = limits_of(release)
    st.markdown(
        f"Each row of a table becomes a prediction. The first line names the columns: {escaped(names or 'any')}. "
        f"At most {limits.rows:,} rows."
    )
    table = _draw_source(predictor, int(limits.upload_mb) or 1)
    if table is not None:
        _draw_check(predictor, table)


def _draw_not_offered(name: str) -> None:
    st.title(f"Many rows: {escaped(humanize(name))}")
    st.info(
        "A row of a table cannot be an input here: it needs a file, or a run of its own.",
        icon=":material/table_rows:",
    )
    site.link(site.path_of(name), "Back to a single prediction", icon=":material/arrow_back:")


def _choose(offered: list[PredictorManifest]) -> None:
    st.title("Many rows")
    if not offered:
        st.info("No tool of this app takes the rows of a table.", icon=":material/table_rows:")
        return
    st.markdown("Whose predictions?")
    for predictor in offered:
        query = {"predictor": predictor.name}
        site.link(site.ROWS, escaped(humanize(predictor.name)), icon=site.ICONS["realtime"], query=query)


def _draw_source(predictor: PredictorManifest, upload_mb: int) -> Upload | None:
    """Draw the places for a file and for pasted rows; return the table that is in one of them."""
    file = st.file_uploader(
        "CSV, Excel or Parquet file", type=list(ENDINGS), key=f"rows:file:{predictor.name}", max_upload_size=upload_mb
    )
    with st.expander("Paste rows instead", icon=":material/content_paste:"):
        text = st.text_area(
            "Rows with their column names",
            key=f"rows:text:{predictor.name}",
            height=160,
            placeholder=tables.PASTE_HINT,
        )
    if file is not None:
        return Upload(file.name, file, str(file.file_id))
    if len(text) > MAX_PASTED:
        st.error(f"At most {MAX_PASTED:,} characters can be pasted: upload the table.", icon=":material/error:")
        return None
    return tables.pasted(text)


def _draw_check(predictor: PredictorManifest, table: Upload) -> None:
    sheet = tables.choose_sheet(table.data, f"rows:sheet:{predictor.name}:{table.token}")
    try:
        check, questions = _check(predictor, table, _chosen(predictor, table), sheet)
    except MatineeError as error:
        ui_text.show_error(error)
        return
    for note in check.notes:
        st.caption(f":material/info: {escaped(note)}")
    _draw_columns(predictor, table, check)
    tables.ask(questions, _reading_key(predictor, table))
    with st.expander("The first rows", icon=":material/table:"):
        st.markdown(many_rows.preview_table(check))
    _draw_verdict(check)
    label = f"Predict {check.valid:,} row{'' if check.valid == 1 else 's'}" if check.can_start else "Predict"
    if st.button(label, key="rows:go", type="primary", icon=":material/play_arrow:", disabled=not check.can_start):
        _start(predictor, table, check)


def _check(
    predictor: PredictorManifest, table: Upload, chosen: dict[str, str | None], sheet: str
) -> tuple[RowsCheck, tuple[Question, ...]]:
    """Check once per table, choice of columns, answers and schema: every click draws the page again.

    Returns the check and what was asked about the table, answered or not.
    """
    subject = (predictor.name, table.token, sheet, predictor.parameters)
    asked: tuple[Question, ...] = st.session_state.get(_reading_key(predictor, table), ())
    readings = tables.answers(asked, _reading_key(predictor, table))
    earlier: tuple[Any, dict[str, str | None], dict[str, str], RowsCheck] | None = st.session_state.get("rows:check")
    if earlier is not None and earlier[:3] == (subject, chosen, readings):
        return earlier[3], asked
    with st.spinner("Looking at every row…", show_time=True):
        check = session.client().check_rows(predictor.name, table.data, chosen, readings=readings, sheet=sheet)
    known = {question.column for question in asked}
    asked = (*asked, *(question for question in check.questions if question.column not in known))
    st.session_state[_reading_key(predictor, table)] = asked
    used = {name: check.mapping.get(name) for name in predictor.parameters.get("properties", {})}
    st.session_state["rows:check"] = (subject, used, readings, check)
    return check, asked


def _reading_key(predictor: PredictorManifest, table: Upload) -> str:
    return f"rows:reading:{predictor.name}:{table.token}"


def _key(predictor: PredictorManifest, table: Upload, name: str) -> str:
    return f"rows:map:{predictor.name}:{table.token}:{name}"


def _chosen(predictor: PredictorManifest, table: Upload) -> dict[str, str | None]:
    """Return what was chosen for this table; nothing at first, and the columns' own names decide."""
    keys = {name: _key(predictor, table, name) for name in predictor.parameters.get("properties", {})}
    return {name: st.session_state[key] for name, key in keys.items() if key in st.session_state}


def _draw_columns(predictor: PredictorManifest, table: Upload, check: RowsCheck) -> None:
    names = [column.name for column in check.columns]
    title = "Which column is which"
    with st.expander(title, icon=":material/swap_horiz:", expanded=bool(check.missing)):
        for name in predictor.parameters.get("properties", {}):
            key = _key(predictor, table, name)
            if key not in st.session_state:
                st.session_state[key] = check.mapping.get(name)
            nothing = many_rows.not_used(predictor.parameters, name)
            st.selectbox(escaped(humanize(name)), names, index=None, key=key, placeholder=nothing)


def _draw_verdict(check: RowsCheck) -> None:
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


def _start(predictor: PredictorManifest, table: Upload, check: RowsCheck) -> None:
    try:
        with st.spinner("Sending the rows…", show_time=True):
            run = session.client().submit_rows(predictor.name, table.data, check, file_name=table.name)
    except MatineeError as error:
        ui_text.show_error(error)
        return
    session.poll.forget()
    site.go(site.RUN, {"id": run.id})
