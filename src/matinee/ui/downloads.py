"""Large downloads beside Streamlit's pages: streamed from the store, which Streamlit would hold in memory whole.

The gate stands before this route as before the pages; here it is asked once more who it is.
"""

from __future__ import annotations

import re
import time
from datetime import date
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from matinee.access.events import record_event
from matinee.access.people import LOCAL
from matinee.client.export import What, export
from matinee.errors import AccessError, MatineeError
from matinee.tables.write import MEDIA_TYPES
from matinee.ui import session

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
