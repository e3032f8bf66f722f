"""Many rows: which predictors take them, what a check found in plain words, and what their run shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from matinee.errors import MatineeError
from matinee.manifest import PredictorManifest
from matinee.rows.inputs import RowsCheck
from matinee.rows.storage import rows_reference
from matinee.runs import Json, Run, Status
from matinee.tables.write import LABELS, MEDIA_TYPES
from matinee.ui import session, site
from matinee.ui.text import escaped, humanize
from matinee.values import registry, validate

if TYPE_CHECKING:
    from matinee.client.core import Client

SHOWN_PROBLEMS = 20
CELL_CHARS = 60


def is_offered(predictor: PredictorManifest) -> bool:
    """Whether a row of text can be an input: it answers at once, has parameters, and needs no file or table."""
    parameters = predictor.parameters
    return predictor.kind == "realtime" and bool(parameters.get("properties")) and not needs_upload(parameters)


def needs_upload(schema: Mapping[str, Json], root: Mapping[str, Json] | None = None) -> bool:
    """Whether every value of the schema holds a file or a table."""
    root = schema if root is None else root
    schema = validate.resolve(dict(schema), dict(root))
    row = registry.row_of(schema) if "x-matinee" in schema else None
    if row is not None:
        return row.carrier in ("blob", "table")
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        return all(needs_upload(branch, root) for branch in branches)
    parts = [part for name, part in schema.get("properties", {}).items() if name in schema.get("required", ())]
    parts += [part for part in (*schema.get("prefixItems", ()), schema.get("items")) if isinstance(part, Mapping)]
    return any(needs_upload(part, root) for part in parts)


def is_rows(run: Run) -> bool:
    """Whether the run is one of many rows."""
    return run.kind == "batch" and rows_reference(run.inputs) is not None


def rows_summary(inputs: Json) -> str:
    """Return the inputs of many rows in one short line: "2,000 rows of people.csv"; "" for other inputs."""
    table = rows_reference(inputs)
    if table is None:
        return ""
    name = f" of {table['name']}" if table.get("name") else ""
    return f"{_counted(int(table['total']))}{name}"


def rows_outcome(run: Run) -> str:
    """Return how a finished run of many rows went, in one sentence."""
    table = rows_reference(run.inputs) or {}
    total = int(table.get("total", 0))
    failed = int((rows_reference(run.result) or {}).get("failed", 0))
    if not failed:
        return f"All {_counted(total)} have a result." if total > 1 else "The row has a result."
    have = "has" if failed == 1 else "have"
    return f"{total - failed:,} of {_counted(total)} have a result; {failed:,} {have} an error instead."


def rows_verdict(check: RowsCheck) -> str:
    """Return what the check found, in one sentence."""
    if not check.can_start:
        return check.why_not
    if not check.invalid:
        return f"All {_counted(check.total)} fit." if check.total > 1 else "The row fits."
    do = "does not and gets" if check.invalid == 1 else "do not and get"
    return f"{check.valid:,} of {_counted(check.total)} fit; {check.invalid:,} {do} an error instead of a result."


def problem_table(check: RowsCheck) -> str:
    """Return the first problems as a Markdown table."""
    return markdown(("Row", "Column", "Problem"), ((p.row, p.column, p.message) for p in _first(check)))


def more_problems(check: RowsCheck) -> str:
    """Say that there are more than the table shows, "" if there are not."""
    rest = check.invalid - len({problem.row for problem in _first(check)})
    return f"And {_counted(rest)} more." if rest > 0 else ""


def _first(check: RowsCheck) -> Sequence[Any]:
    return check.problems[:SHOWN_PROBLEMS]


def preview_table(check: RowsCheck) -> str:
    """Return the first rows as a Markdown table."""
    return markdown([column.name for column in check.columns], check.preview)


def markdown(columns: Sequence[str], rows: Iterable[Sequence[Json]]) -> str:
    """Return a Markdown table of texts that are shown as they are."""
    return "\n".join(_lines(columns, rows))


def _lines(columns: Sequence[str], rows: Iterable[Sequence[Json]]) -> Iterator[str]:
    yield _line(columns)
    yield "|" + " --- |" * len(columns)
    yield from map(_line, rows)


def _line(cells: Sequence[Json]) -> str:
    return "| " + " | ".join(escaped(_cell(cell)) or " " for cell in cells) + " |"


def _cell(value: Json) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= CELL_CHARS else f"{text[: CELL_CHARS - 1]}…"


def not_used(parameters: Mapping[str, Json], name: str) -> str:
    """Return what choosing no column means for a parameter."""
    if name in parameters.get("required", ()):
        return "Choose a column"
    default = parameters["properties"][name].get("default")
    return "Not in the table" if default in (None, "", [], {}) else f"Not in the table: always {_words(default)}"


def _words(value: Json) -> str:
    return humanize(value) if isinstance(value, (bool, str)) else _cell(value)


def _counted(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


# --- a run of many rows -----------------------------------------------------------------------------------------------
# How many rows, of which file, and the table to download.

OFFERED = [("csv", ",", "CSV"), ("csv", ";", "CSV ;"), *((form, ",", LABELS[form]) for form in LABELS if form != "csv")]


def draw_rows_inputs(run: Run) -> None:
    """Draw which table it was, and the link to the page that takes another."""
    st.markdown(escaped(rows_summary(run.inputs)))
    if site.knows(site.ROWS):
        query = {"predictor": run.predictor}
        site.link(site.ROWS, "Predict other rows", icon=":material/table_rows:", query=query)


def draw_rows_result(run: Run) -> None:
    """Draw the downloads of a finished run; one that failed or was cancelled has the rows it came to."""
    if run.status is Status.SUCCEEDED:
        st.markdown(escaped(rows_outcome(run)))
    else:
        st.caption("The table has the results of the rows that were predicted before it ended.")
    client = session.client()
    with st.container(horizontal=True):
        for form, separator, label in OFFERED:
            st.download_button(
                label,
                data=_download_of(client, run, form, separator),
                file_name=f"{run.predictor}-{run.id[:10]}.{form}",
                mime=MEDIA_TYPES[form],
                key=f"rows:{form}{separator}:{run.id}",
                icon=":material/download:",
                on_click="ignore",
            )


def _download_of(client: Client, run: Run, form: str, separator: str) -> Callable[[], bytes]:
    """Return what makes the file when the button is pressed; it runs outside the page, so it must not draw."""

    def make() -> bytes:
        try:
            return b"".join(client.rows_result(run, form, separator))
        except MatineeError as error:
            return str(error).encode()

    return make
