"""Many runs saved at once: those on the page that are chosen, or all that the filters find, in any format."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import streamlit as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from matinee.access.events import record_event
from matinee.access.people import LOCAL
from matinee.client.export import What, export
from matinee.errors import AccessError, MatineeError, NotFoundError
from matinee.runs import Run
from matinee.tables.columns import Column
from matinee.tables.write import LABELS, MEDIA_TYPES, json_lines, write
from matinee.ui import session
from matinee.ui.run_list import Filters, find, summary_of
from matinee.ui.text import humanize

if TYPE_CHECKING:
    from matinee.client.core import Client


def draw_downloads(shown: Sequence[Run], filters: Filters) -> None:
    """Draw what there is to save. The file is made when a button is pressed."""
    client = session.client()
    with st.popover("Save runs", icon=":material/download:"):
        labels = {run.id: _label(run) for run in shown}
        chosen = st.multiselect("Runs", list(labels), format_func=labels.__getitem__, placeholder="All that fit")
        st.caption(f"At most {MAX_RUNS:,} runs, the newest, with inputs and results.")
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
            return to_file(form, (_record(client, run) for run in runs))
        except MatineeError as error:
            return str(error).encode()

    return make


def all_of(client: Client, filters: Filters) -> list[Run]:
    """Return the runs that fit, newest first, at most `bulk.MOST`."""
    query = filters.query(client.user)
    return list(find(client.runs, query, filters.text, MAX_RUNS, most=MAX_RUNS).runs)


def _record(client: Client, run: Run) -> dict[str, Any]:
    try:
        return record_of(run, client.inputs(run), client.result(run))
    except NotFoundError:  # its files are gone: the run itself is still worth its line
        return record_of(run, None, None)


# --- many runs as one file --------------------------------------------------------------------------------------------
# Many runs as one file: a line for each, with its inputs and its result. Pure.

Json = Any

MAX_RUNS = 5000  # runs in one file: it is made in memory
FACTS = ("id", "predictor", "user", "status", "created_at", "duration_s", "version", "failure")


def record_of(run: Run, inputs: Json, result: Json) -> dict[str, Json]:
    """Return one run as it is exported; times are UTC."""
    return {
        "id": run.id,
        "predictor": run.predictor,
        "user": run.user,
        "status": run.status.value,
        "created_at": datetime.fromtimestamp(run.created_at, UTC).isoformat(timespec="milliseconds"),
        "duration_s": None if run.duration_s is None else round(run.duration_s, 3),
        "version": run.version,
        "failure": run.failure.message if run.failure else None,
        "inputs": inputs,
        "result": result,
    }


def to_file(form: str, records: Iterable[Mapping[str, Json]]) -> bytes:
    """Return the runs in a format of `tables.write`: of JSON Lines an object a run, values as they are.

    Else facts, then a column for each input and for each part of a result; what is no plain value is JSON in its cell.
    """
    if form == "jsonl":
        return b"".join(json_lines(records))
    lines = [dict(_cells(record)) for record in records]
    names = list(dict.fromkeys([*FACTS, *(name for line in lines for name in line)]))
    ordered = [*FACTS, *(n for n in names if n.startswith("input.")), *(n for n in names if n.startswith("result"))]
    rows = [[line.get(name) for name in ordered] for line in lines]
    return b"".join(write(form, [Column(name, _kind(name)) for name in ordered], rows))


def _kind(name: str) -> str:
    return "number" if name == "duration_s" else "text"


def _cells(record: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    for name in FACTS:
        yield name, record[name]
    inputs, result = record["inputs"], record["result"]
    for name, value in (inputs if isinstance(inputs, Mapping) else {}).items():
        yield f"input.{name}", value
    if isinstance(result, Mapping) and not any(str(name).startswith("$") for name in result):
        for name, value in result.items():
            yield f"result.{name}", value
    elif result is not None:
        yield "result", result


# --- streamed downloads -----------------------------------------------------------------------------------------------
# Large downloads beside Streamlit's pages: streamed from the store, which Streamlit would hold in memory whole.
#
# The gate stands before this route as before the pages; here it is asked once more who it is.

EXPORT = "/export"
DAY_S = 86400.0
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def export_response(request: Request) -> Response:
    """Answer with the runs of the last `days`, as `format`; `feedback_only=1` leaves out those nobody spoke of."""
    try:
        return _streamed(request)
    except MatineeError as error:
        return PlainTextResponse(str(error), error.http_status, HEADERS)


def _streamed(request: Request) -> Response:
    gate = session.gate()
    person = LOCAL if gate.is_open else gate.person(request.cookies)
    if person is None:
        raise AccessError("You are signed out.", hint="Sign in again.", signed_in=False)
    asked = request.query_params
    days = re.fullmatch("[0-9]{1,5}", asked.get("days", ""))
    since = time.time() - int(days[0]) * DAY_S if days else 0.0
    form: Any = asked.get("format", "csv")
    what = What(asked.get("predictor", ""), since, asked.get("feedback_only") == "1")
    address = request.client.host if request.client else ""
    try:
        pieces = export(session.client_of(person), what, form)
    except AccessError as error:
        record_event("export refused", person.name, address, error.message)
        raise
    record_event("export", person.name, address, what.predictor or "all runs")
    name = f"{'feedback' if what.feedback_only else 'runs'}-{date.today().isoformat()}.{form}"
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces, media_type=MEDIA_TYPES[form], headers={**HEADERS, **disposition})


ROUTES = [Route(EXPORT, export_response, methods=["GET"])]
