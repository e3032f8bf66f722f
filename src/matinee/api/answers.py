"""Answers: JSON that any text survives in, tables as CSV, files as downloads that no browser runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from matinee.api.problems import ApiError
from matinee.values import registry
from matinee.values.blobs import media_type_of
from matinee.values.records import Table

Json = Any
CHUNK_BYTES = 256 * 1024
SAFE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def answer(value: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer; half of a surrogate pair stays an escape, as it came."""
    body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    return Response(body, status, {**SAFE, **(headers or {})}, "application/json")


def wants_csv(accept: str) -> bool:
    """Whether CSV is asked for rather than JSON."""
    asked = {}
    for part in accept.lower().split(","):
        media_type, *parameters = (word.strip() for word in part.split(";"))
        asked[media_type] = next((_quality(p) for p in parameters if p.startswith("q=")), 1.0)
    csv = asked.get("text/csv", 0.0)
    return csv > 0 and csv > asked.get("application/json", asked.get("*/*", 0.0) if "text/csv" not in asked else 0.0)


def _quality(parameter: str) -> float:
    try:
        return float(parameter[2:])
    except ValueError:
        return 0.0


def csv_answer(result: Json) -> Response:
    """Return a table as CSV; ApiError 406 for a result that is none."""
    if registry.fault("table", result):
        raise ApiError(406, "Only a table has a CSV form, and this result is none.", hint="Ask for application/json.")
    return Response(Table(result).to_csv().encode("utf-8", "replace"), 200, SAFE, "text/csv; charset=utf-8")


def download(stream: BinaryIO, blob: dict[str, Json]) -> Response:
    """Return a file to keep: in no browser is it shown as a page of this app."""
    name = str(blob.get("name") or "file").replace("\\", "/").rpartition("/")[2] or "file"
    quoted = quote(name.encode("utf-8", "replace"), safe="")
    headers = {
        **SAFE,
        "Content-Disposition": f"attachment; filename*=UTF-8''{quoted}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return StreamingResponse(_chunks(stream), 200, headers, media_type_of(str(blob["$blob"])))


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk
