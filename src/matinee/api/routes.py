"""The API's routes: each request is let in, its query and body are read, and its work runs in a thread.

request → gate (who) → query, body → work, in a thread → answer, or a problem
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from matinee.access.modes import SignIn
from matinee.api import openapi
from matinee.api.operations import Operation, operations
from matinee.api.predictions import Later, Predicting, Uploading
from matinee.api.requests import Call, Gate, OpenClient, Rates, json_bytes, read_body
from matinee.api.responses import answer, of_error
from matinee.errors import InputError, NotFoundError, Problem
from matinee.values import validate

Json = Any
WAIT_S = 25.0  # load balancers and browsers give up after 30 to 60 s
Handler = Callable[[Request], Awaitable[Response]]


def routes(
    open_client: OpenClient, *, sign_in: Callable[[], SignIn] | None = None, wait_s: float = WAIT_S
) -> list[BaseRoute]:
    """Return the routes of `/api` and `/mcp`; `open_client` gives a person's client and may be called often.

    `sign_in` gives the way people sign in; None = as `[auth]` of the live release says. A prediction
    that takes longer than `wait_s` is answered with its run's id and goes on.
    """
    from matinee.api.mcp import McpEndpoint

    gate, later, rates = Gate(open_client, sign_in), Later(), Rates()
    predicting = Predicting(gate, later, rates, wait_s)
    table = operations(predicting, Uploading(gate))
    app = Starlette(
        routes=[
            *(Route(path, _answer_errors(_index), methods=["GET"]) for path in ("/v1", "/v1/")),
            Route("/v1/docs", _answer_errors(show_docs_page), methods=["GET"]),
            Route("/v1/docs/{name}", _answer_errors(show_docs_asset), methods=["GET"]),
            Route("/v1/openapi.json", _document(gate, table), methods=["GET"]),
            *_routes_of(gate, table),
        ],
        exception_handlers={HTTPException: _http_error},
    )
    app.router.redirect_slashes = False
    api = Mount("/api", app)
    api.path_regex = re.compile(api.path_regex.pattern, re.DOTALL)  # addresses with a line break are answered here too
    return [api, Route("/mcp", McpEndpoint(gate, later, rates, wait_s))]


async def _http_error(_request: Request, error: Exception) -> Response:
    return of_error(error)


async def _index(request: Request) -> Response:
    return RedirectResponse(f"{request.scope.get('root_path', '')}/v1/docs", 307)


def _answer_errors(handler: Handler) -> Handler:
    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except Exception as error:  # whatever it is, it becomes a problem and not a traceback
            return of_error(error)

    return handle


def _document(gate: Gate, table: tuple[Operation, ...]) -> Handler:
    async def handle(request: Request) -> Response:
        def work() -> Response:
            _person, client, limits = gate.admit(request)
            release = client.release()
            return answer(openapi.document(release, table, limits, token_needed=not gate.is_open(client)))

        return await gate.in_thread(work)

    return _answer_errors(handle)


def _routes_of(gate: Gate, table: tuple[Operation, ...]) -> Iterator[Route]:
    """Yield one route for each address, so that a wrong method is told all the right ones."""
    by_path: dict[str, dict[str, Handler]] = {}
    for operation in table:
        by_path.setdefault(operation.path, {})[operation.method] = _handler(gate, operation)
    for path, handlers in by_path.items():
        yield Route(f"/v1{path}", _by_method(handlers), methods=[*handlers])


def _by_method(handlers: dict[str, Handler]) -> Handler:
    async def handle(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return handle


def _handler(gate: Gate, operation: Operation) -> Handler:
    async def handle(request: Request) -> Response:
        person, client, limits = await gate.in_thread(gate.admit, request)
        query = _query(operation, request)
        with gate.bodies.reserve() as take:
            body = b""
            if operation.body == "json":
                body = await read_body(request, limits.upload_mb, take)
                take(await gate.in_thread(json_bytes, body))
            call = Call(request, person, client, limits, query, body)
            if _is_async(operation.work):
                return await cast(Awaitable[Response], operation.work(call))
            return await gate.in_thread(cast(Callable[[Call], Response], operation.work), call)

    return _answer_errors(handle)


def _is_async(work: Any) -> bool:
    return inspect.iscoroutinefunction(work) or inspect.iscoroutinefunction(getattr(work, "__call__", None))  # noqa: B004


def _query(operation: Operation, request: Request) -> dict[str, Json]:
    """Return the query's values by their schemas, defaults filled in; InputError for what does not fit."""
    values: dict[str, Json] = {}
    twice = [name for name in request.query_params if len(request.query_params.getlist(name)) > 1]
    for name, text in request.query_params.items():
        values[name] = _read_text(operation.query.get(name, {}).get("type", ""), text)
    schema = {"type": "object", "properties": operation.query, "additionalProperties": False}
    found = [Problem(f"query.{p.path}", p.message) for p in validate.problems(schema, values)]
    found += [Problem(f"query.{name}", "is given more than once") for name in dict.fromkeys(twice)]
    if found:
        raise InputError(problems=tuple(found))
    return cast(dict[str, Json], validate.check(schema, values))


def _read_text(kind: str, text: str) -> Json:
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind == "integer" and text.removeprefix("-").isascii() and text.removeprefix("-").isdecimal() and len(text) < 19:
        return int(text)
    return text


# --- the docs page ----------------------------------------------------------------------------------------------------
# The docs page: a small reader of the OpenAPI document, all from this package: no other host is asked.

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


async def show_docs_page(_request: Request) -> Response:
    """Return the page. It says nothing of the app: it asks for the document with the reader's token."""
    return _file("docs.html")


async def show_docs_asset(request: Request) -> Response:
    """Return the page's script or style; NotFoundError for anything else."""
    name = request.path_params["name"]
    if name not in ("docs.css", "docs.js"):
        raise NotFoundError(f"There is no {name!r} here.")
    return _file(name)


def _file(name: str) -> Response:
    return Response((FOLDER / name).read_bytes(), 200, _HEADERS, f"{_TYPES[Path(name).suffix]}; charset=utf-8")


# --- routes of the API ------------------------------------------------------------------------------------------------
# The HTTP API beside the UI: an app's predictors and runs for programs (`/api/v1`) and assistants (`/mcp`).

__all__ = ["routes"]
