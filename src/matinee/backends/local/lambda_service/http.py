"""A small HTTP/1.1 server: httptools' parser on an `asyncio.Protocol`, one request of a connection at a time.

The Invoke API and the Runtime API both stand on it. A prediction is three exchanges, so their cost decides: measured
beside it, uvicorn with a bare ASGI app manages a third of the exchanges (`bench/lambda_http.py`).
"""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Callable
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qs

import httptools

MAX_BODY_BYTES = 8 * 1024 * 1024  # more than any limit above it, which answers in its own words
MAX_HEAD_BYTES = 64 * 1024  # of a request's target and headers together
_DESCRIPTORS = 65_536
MAX_PIPELINED = 32  # requests of one connection that wait for their answers
_OF_UPGRADES = (b"connection", b"expect", b"http2-settings", b"upgrade")
_ABANDON_BYTES = 256 * 1024 * 1024
_LINGER_S = 1  # of a refused connection: closed while its request still comes, it would lose the answer (RFC 9112, 9.6)
_REASONS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}

Headers = dict[str, str]


def header_lines(headers: Headers) -> str:
    """Return headers as they are written: those that never change are made once."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


JSON_TYPE = header_lines({"Content-Type": "application/json"})
_BUSY = b'{"message":"Too many connections are open: try again.","Type":"Service"}'
_BUSY_HEADERS = header_lines(
    {"Content-Type": "application/json", "Retry-After": "1", "x-amzn-errortype": "ServiceUnavailableException"}
)


class Request:
    """One request; a body is cut soon after MAX_BODY_BYTES."""

    __slots__ = ("body", "connection", "keep_alive", "method", "on_lost", "path", "query", "query_text", "raw_headers")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.method = ""
        self.path = ""
        self.query_text = ""
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


def raise_descriptor_limit() -> int:
    """Let this process open as many files and connections as the system allows it; return how many that are.

    Many systems begin with 256 or 1,024, and every connection, process and file takes one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wish = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wish:
        return _DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wish, hard))
    except (OSError, ValueError):  # macOS has a further limit
        return soft
    return wish


class Room:
    """How many connections may be open at once; `is_full` counts those that were refused, too, while they close."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.open = 0

    @property
    def is_full(self) -> bool:
        """Whether one more is too many."""
        return self.open > self._limit

    @property
    def is_overrun(self) -> bool:
        """Whether so many were refused that none may stay to hear it."""
        return self.open > 2 * self._limit


class Connection(asyncio.Protocol):
    """One connection; `handle(request)` is called for each request and answers by `request.respond`.

    Where the `room` is full, a connection is answered with 503 and ended.
    """

    def __init__(self, handle: Callable[[Request], None], room: Room | None = None) -> None:
        self._handle = handle
        self._room = room
        self._head_bytes = 0
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._request = Request(self)
        self._headers = self._request.raw_headers
        self._url = b""
        self._chunks: list[bytes] = []
        self._size = 0
        self._waiting: list[Request] = []  # pipelined requests; the first is being answered
        self._is_refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, or refuse where there is no room."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        if self._room is not None:
            self._room.open += 1
            if self._room.is_full:
                self._refuse(503, _BUSY, _BUSY_HEADERS)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Tell who works on the answer that nobody waits for it any more."""
        if self._room is not None:
            self._room.open -= 1
        if self._waiting and self._waiting[0].on_lost is not None:
            self._waiting[0].on_lost()

    def data_received(self, data: bytes) -> None:
        """Parse. A wish to upgrade is passed over, as HTTP allows: the answer is of HTTP/1.1, and the next one too."""
        if self._is_refused:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._request.method == "CONNECT":
                self._fail(400)
            else:
                head, self._parser = self._head_without_upgrade(), httptools.HttpRequestParser(self)
                self.data_received(head + data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._fail(400)

    def _head_without_upgrade(self) -> bytes:
        """Return the head of the present request as it is without the wish: the parser takes no body of one with it."""
        lines = (b"%b: %b\r\n" % pair for pair in self._headers.items() if pair[0] not in _OF_UPGRADES)
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (self._request.method.encode(), self._url, b"".join(lines))

    def _fail(self, status: int) -> None:
        if not self._is_over:
            self._refuse(status, json.dumps({"message": f"{HTTPStatus(status).phrase}."}).encode(), JSON_TYPE)

    def _refuse(self, status: int, body: bytes, headers: str) -> None:
        """Answer for the last time, and pass over what still comes until the other side closes or `_LINGER_S`."""
        assert self._transport is not None
        self._is_refused = True
        self._transport.write(_reply(status, body, headers, keep_alive=False))
        if self._room is not None and self._room.is_overrun:
            self._transport.close()
        else:
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(_LINGER_S, self._transport.close)

    @property
    def _is_over(self) -> bool:
        """Whether nothing more is answered."""
        return self._transport is None or self._is_refused or self._transport.is_closing()

    # --- called by the parser ---

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._request = Request(self)
        self._headers = self._request.raw_headers
        self._url = b""
        self._head_bytes = 0
        self._chunks = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """Collect the target, which may come in parts."""
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._headers[name.lower()] = value
        self._count_head(len(name) + len(value))

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._fail(431)

    def on_headers_complete(self) -> None:
        """Read the target; invite a body whose sender waits to be asked."""
        request = self._request
        request.method = self._parser.get_method().decode()
        path, _, query = self._url.decode("latin-1").partition("?")
        request.path = path
        if query:
            request.query_text, request.query = query, parse_qs(query)
        if b"expect" in self._headers and self._transport is not None and not self._is_over:
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
        if self._is_over:
            return
        if self._parser.should_upgrade():
            return  # it is parsed again without
        if len(self._waiting) >= MAX_PIPELINED:
            self._fail(503)
            return
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
        if transport is None or self._is_over:
            return
        is_head = request.method == "HEAD"
        transport.write(_reply(status, body, headers, keep_alive=request.keep_alive, is_head=is_head))
        if not request.keep_alive:
            transport.close()
        elif self._waiting:
            self._handle(self._waiting[0])

    def close(self) -> None:
        """End the connection after what is written."""
        if self._transport is not None:
            self._transport.close()


def _reply(status: int, body: bytes, headers: str, *, keep_alive: bool, is_head: bool = False) -> bytes:
    close = "" if keep_alive else "Connection: close\r\n"
    length = "" if status == HTTPStatus.NO_CONTENT else f"Content-Length: {len(body)}\r\n"
    return f"{_REASONS[status]}{headers}{close}{length}\r\n".encode("latin-1") + (b"" if is_head else body)
