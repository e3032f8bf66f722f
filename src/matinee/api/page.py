"""The docs page: a small reader of the OpenAPI document, all from this package: no other host is asked."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from matinee.errors import NotFoundError

FOLDER = Path(__file__).parent / "docs_page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


async def show(_request: Request) -> Response:
    """Return the page. It says nothing of the app: it asks for the document with the reader's token."""
    return _file("docs.html")


async def asset(request: Request) -> Response:
    """Return the page's script or style; NotFoundError for anything else."""
    name = request.path_params["name"]
    if name not in ("docs.css", "docs.js"):
        raise NotFoundError(f"There is no {name!r} here.")
    return _file(name)


def _file(name: str) -> Response:
    return Response((FOLDER / name).read_bytes(), 200, _HEADERS, f"{_TYPES[Path(name).suffix]}; charset=utf-8")
