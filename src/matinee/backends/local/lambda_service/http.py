"""A small HTTP/1.1 server: httptools' parser on an `asyncio.Protocol`, one request of a connection at a time.

The Invoke API and the Runtime API both stand on it. A prediction is three exchanges, so their cost decides: measured
beside it, uvicorn with a bare ASGI app manages a third of the exchanges (`bench/lambda_http.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qs, urlsplit

import httptools

MAX_BODY_BYTES = 8 * 1024 * 1024  # more than any limit above it, which answers in its own words
_ABANDON_BYTES = 256 * 1024 * 1024
_REASONS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}

Headers = dict[str, str]


def header_lines(headers: Headers) -> str:
    """Return headers as they are written: those that never change are made once."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


JSON_TYPE = header_lines({"Content-Type": "application/json"})


class Request:
    """One request; a body is cut soon after MAX_BODY_BYTES."""

    __slots__ = ("body", "connection", "keep_alive", "method", "on_lost", "path", "query", "raw_headers")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.method = ""
        self.path = ""
        self.query: dict[str, list[str]] = {}
        self.raw_headers: dict[bytes, bytes] = {}
        self.body = b""
        self.keep_alive = True
        self.on_lost: Callable[[], None] | None = None  # called if the connection breaks before the answer

    def header(self, name: bytes, default: str = "") -> str:
        """Return a header; its name in lower case."""
        value = self.raw_headers.get(name)
        return default if value is None else value.decode("latin-1")

    def respond(self, status: int, body: bytes = b"", headers: str = "") -> None:
        """Answer (`headers` as `header_lines` makes them), at once or later; a connection that is gone drops it."""
        self.connection.respond(self, status, body, headers)


class Connection(asyncio.Protocol):
    """One connection; `handle(request)` is called for each request and answers by `request.respond`."""

    def __init__(self, handle: Callable[[Request], None]) -> None:
        self._handle = handle
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._request = Request(self)
        self._headers = self._request.raw_headers
        self._url = b""
        self._chunks: list[bytes] = []
        self._size = 0
        self._waiting: list[Request] = []  # pipelined requests; the first is being answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Tell who works on the answer that nobody waits for it any more."""
        if self._waiting and self._waiting[0].on_lost is not None:
            self._waiting[0].on_lost()

    def data_received(self, data: bytes) -> None:
        """Parse."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:  # an upgrade is one too
            self._fail(400)

    def _fail(self, status: int) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_reply(status, b"", "", keep_alive=False))
            self._transport.close()

    # --- called by the parser ---

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._request = Request(self)
        self._headers = self._request.raw_headers
        self._url = b""
        self._chunks = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """Collect the target, which may come in parts."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Read the target; invite a body whose sender waits to be asked."""
        request = self._request
        request.method = self._parser.get_method().decode()
        path, _, query = self._url.decode("latin-1").partition("?")
        request.path = path
        if query:
            request.query = parse_qs(query)
        if b"expect" in self._headers and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, chunk: bytes) -> None:
        """Collect the body; what is too large is read to its end, so that its sender hears the answer, but not kept."""
        if self._size <= MAX_BODY_BYTES:
            self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > _ABANDON_BYTES:
            self._fail(413)

    def on_message_complete(self) -> None:
        """Hand the request over, or keep it until those before it are answered."""
        request = self._request
        request.keep_alive = self._parser.should_keep_alive()
        request.body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._waiting.append(request)
        if len(self._waiting) == 1:
            self._handle(request)

    # --- answering ---

    def respond(self, request: Request, status: int, body: bytes, headers: str) -> None:
        """Write the answer of the request that is being answered, then take up the next."""
        if not self._waiting or self._waiting[0] is not request:
            return  # answered already: by a timeout, or by the end of the service
        del self._waiting[0]
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(_reply(status, body, headers, keep_alive=request.keep_alive))
        if not request.keep_alive:
            transport.close()
        elif self._waiting:
            self._handle(self._waiting[0])

    def close(self) -> None:
        """End the connection after what is written."""
        if self._transport is not None:
            self._transport.close()


def _reply(status: int, body: bytes, headers: str, *, keep_alive: bool) -> bytes:
    close = "" if keep_alive else "Connection: close\r\n"
    length = "" if status == HTTPStatus.NO_CONTENT else f"Content-Length: {len(body)}\r\n"
    return f"{_REASONS[status]}{headers}{close}{length}\r\n".encode("latin-1") + body


# --- loopback ---------------------------------------------------------------------------------------------------------
# Who may speak to the service: programs of this machine, not a web page that somebody has open here.
#
# A page can make a browser send requests to 127.0.0.1, and by DNS rebinding under a name of its own. Both show in the
# `Host`, `Origin` and `Sec-Fetch-Site` headers, which a page cannot forge.

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def refusal(request: Request) -> str:
    """Return why the request is refused, "" if it is served."""
    host = request.header(b"host")
    if host.rpartition(":")[0] not in _LOOPBACK and urlsplit(f"//{host}").hostname not in _LOOPBACK:
        return f"Only loopback is served, not the host {host!r}."
    origin = request.header(b"origin")
    if origin and urlsplit(origin).hostname not in _LOOPBACK:
        return f"Requests of the web page {origin!r} are not served."
    if request.header(b"sec-fetch-site") == "cross-site":
        return "Requests of another site's web page are not served."
    return ""
