"""How much the UI's process takes on at once: sessions, and what is open for them. A full one says so, and recovers.

A session is an open tab. Its WebSocket, its requests, an event loop of Streamlit's and what its page reads are file
descriptors, of which a process has a limited number. What is over the limit is answered 503 with Retry-After.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

HEALTH = "/_stcore/health"  # a load balancer would end a task that is only busy
MAX_DESCRIPTORS = 65_536
RESERVED_DESCRIPTORS = 96  # the process's own: libraries, the store, sockets to predictors
MAX_SESSIONS = 500  # in memory: some 0.5 MB each
RETRY_S = 5
BUSY = "Many people are here right now. Try again in a moment."
_PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Busy</title><meta http-equiv="refresh" content="{RETRY_S}">
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>:root{{color-scheme:light dark}}body{{font:1.1rem/1.6 system-ui,sans-serif;margin:18vh auto;max-width:34rem;
padding:0 1.5rem}}</style></head>
<body><main><h1>Busy</h1><p>{BUSY} This page tries again by itself.</p></main></body></html>"""


def raise_descriptor_limit() -> int:
    """Let this process open as many files as the system allows it, and return how many that is."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MAX_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):  # macOS allows less than it says
            return soft
        return most
    return most if soft == resource.RLIM_INFINITY else soft


def open_descriptors() -> int:
    """Return how many descriptors this process has open; 0 where the system does not say."""
    try:
        with os.scandir("/dev/fd") as found:
            return sum(1 for _ in found)
    except OSError:
        return 0


class Capacity:
    """An ASGI app that lets in as many sessions and requests as there is room for.

    `descriptors` is how many this process may have open, `count_open` returns how many it has.
    """

    def __init__(
        self, app: ASGIApp, descriptors: int = MAX_DESCRIPTORS, count_open: Callable[[], int] = open_descriptors
    ) -> None:
        self._app = app
        self._most_open = descriptors - RESERVED_DESCRIPTORS
        self._count_open = count_open
        self._sessions = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._open_session(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] != HEALTH and self._is_full(scope):
            await _busy(scope)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_full(self, scope: Scope) -> bool:
        """Whether there is no room for a request; a page is the beginning of a session."""
        is_page = "text/html" in Headers(scope=scope).get("accept", "") and scope["path"].count("/") == 1
        return self._count_open() > self._most_open or (is_page and self._sessions >= MAX_SESSIONS)

    async def _open_session(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._sessions >= MAX_SESSIONS or self._count_open() > self._most_open:
            await receive()
            if "websocket.http.response" in scope.get("extensions", {}):
                await PlainTextResponse(BUSY, HTTPStatus.SERVICE_UNAVAILABLE, _headers())(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1013, "reason": BUSY})
            return
        self._sessions += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._sessions -= 1


def _headers() -> dict[str, str]:
    return {"Retry-After": str(RETRY_S), "Cache-Control": "no-store", "Connection": "close"}


def _busy(scope: Scope) -> Response:
    if "text/html" in Headers(scope=scope).get("accept", ""):
        return HTMLResponse(_PAGE, HTTPStatus.SERVICE_UNAVAILABLE, _headers())
    return PlainTextResponse(BUSY, HTTPStatus.SERVICE_UNAVAILABLE, _headers())
