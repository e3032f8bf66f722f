"""What stands before the whole UI: whose requests are served, and what a browser may do with each answer.

A request passes if it is for a name of this app and comes from its own pages or from a program; `access.reach` decides.
An answer may load, run and be framed only as its policy says; what a person or a predictor sent never runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from matinee.access.events import record_event
from matinee.access.reach import refusal
from matinee.errors import MatineeError
from matinee.values.blobs import UNKNOWN_MEDIA_TYPE, media_type_of
from matinee.values.registry import shown_as

PROGRAMS = ("/api", "/mcp")  # who calls these with a token is let in by it, whatever else they send
FILES = ("/media/", "/export")  # what people and predictors made
SVG = "image/svg+xml"  # a picture in a page; by itself a document that could run
FILE_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
REFUSED = 1008  # WebSocket: policy violation
_INLINE_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rules:
    """What `[ui]` adds: sources pages may load from, sites that may frame them, names the app is reached by."""

    csp_sources: tuple[str, ...] = ()
    frame_ancestors: tuple[str, ...] = ()
    hosts: frozenset[str] = frozenset()


def scripts_of(page: Path) -> tuple[str, ...]:
    """Return the scripts inside an HTML file."""
    return tuple(_INLINE_SCRIPT.findall(page.read_text("utf-8")))


def hash_source(script: str) -> str:
    """Return the source that allows just this script."""
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def page_policy(rules: Rules, script_sources: Iterable[str]) -> str:
    """Return the content security policy of the UI's pages."""
    more = rules.csp_sources
    sources = [source for source in more if not source.startswith("'")]  # 'unsafe-…' is for scripts alone
    directives = {
        "default-src": ("'self'", *sources),
        # WebAssembly is how Streamlit draws some elements; it is not `eval`, which stays forbidden.
        "script-src": ("'self'", "'wasm-unsafe-eval'", *(() if "'unsafe-inline'" in more else script_sources), *more),
        "style-src": ("'self'", "'unsafe-inline'", *sources),
        "img-src": ("'self'", "blob:", "data:", *sources),
        "media-src": ("'self'", "blob:", "data:", *sources),
        "font-src": ("'self'", "data:", *sources),
        "connect-src": ("'self'", "blob:", "data:", *sources),
        "worker-src": ("'self'", "blob:", *sources),
        "frame-src": ("'self'", "blob:", "data:", *sources),
        "object-src": ("'none'",),
        "base-uri": ("'self'",),
        "form-action": ("'self'",),
        "frame-ancestors": ("'self'", *rules.frame_ancestors),
    }
    return "; ".join(f"{name} {' '.join(values)}" for name, values in directives.items())


class Guard:
    """An ASGI app before all others of the UI.

    `hosts` are the names the app is called by. `read_rules` gives what `[ui]` adds; it may block. `scripts` are
    those inside pages that may run.
    """

    def __init__(
        self, app: ASGIApp, hosts: Iterable[str], read_rules: Callable[[], Rules], scripts: Iterable[str] = ()
    ) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._read_rules = read_rules
        self._script_sources = tuple(map(hash_source, scripts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reason = await self._reason_to_refuse(scope)
        if not reason:
            await self._app(scope, receive, self._with_headers(scope, send) if scope["type"] == "http" else send)
            return
        record_event("request refused", "", scope["client"][0] if scope.get("client") else "", reason)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": REFUSED, "reason": reason[:100]})
            return
        hint = "Open it by its own address; its owner adds a name to hosts under [ui] in matinee.toml."
        answer = PlainTextResponse(f"{reason} {hint}", HTTPStatus.FORBIDDEN, {"Cache-Control": "no-store"})
        await answer(scope, receive, self._with_headers(scope, send))

    async def _reason_to_refuse(self, scope: Scope) -> str:
        headers, path = Headers(scope=scope), scope["path"]
        if "authorization" in headers and any(path == p or path.startswith(f"{p}/") for p in PROGRAMS):
            return ""
        if not refusal(headers, self._hosts):
            return ""
        rules = await self._rules()  # only what is about to be refused asks what was added
        is_page = _is_navigation(scope, headers, is_framed=bool(rules.frame_ancestors))
        return refusal(headers, self._hosts | rules.hosts, is_page=is_page)

    async def _rules(self) -> Rules:
        try:
            return await asyncio.to_thread(self._read_rules)
        except MatineeError as error:  # the page says what is wrong with the store
            _log.info("The rules of [ui] cannot be read: %s", error)
            return Rules()

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers["X-Content-Type-Options"] = "nosniff"
                if scope["path"].startswith(FILES):
                    close_file(headers)
                elif headers.get("content-type", "").startswith("text/html"):
                    rules = await self._rules()
                    headers.setdefault("Content-Security-Policy", page_policy(rules, self._script_sources))
                    headers.setdefault("Referrer-Policy", "same-origin")
            await send(message)

        return send_guarded


def close_file(headers: MutableHeaders) -> None:
    """Have a browser show of a file only what cannot run, and save the rest; a type that is none becomes bytes."""
    stated = headers.get("content-type", "")
    media_type = media_type_of(stated)
    headers["Content-Security-Policy"] = FILE_POLICY
    if shown_as(media_type) == "file" and media_type != SVG and "content-disposition" not in headers:
        media_type = UNKNOWN_MEDIA_TYPE
    if media_type == UNKNOWN_MEDIA_TYPE:
        headers["Content-Type"] = UNKNOWN_MEDIA_TYPE
    if shown_as(media_type) == "file":
        headers.setdefault("Content-Disposition", "attachment")


def _is_navigation(scope: Scope, headers: Headers, *, is_framed: bool) -> bool:
    """Whether a browser goes to a page, as by a link on another site. A page's address is one name without a dot."""
    is_read = scope["type"] == "http" and scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
    where = ("document", "iframe") if is_framed else ("document",)
    is_page = re.fullmatch(r"/[^/.]*", scope["path"]) is not None and not scope["path"].startswith(FILES)
    return is_read and is_page and headers.get("sec-fetch-dest") in where and scope["path"] not in PROGRAMS
