"""HTTP/1.1 between two sockets: h11 reads and writes the messages, asyncio carries the bytes.

The endpoint in front of the emulator and the entry address both stand on it. Bodies are never changed on the way, so
a signature stays valid; a WebSocket is an upgrade, after which bytes go both ways untouched.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import h11

MAX_HEAD_BYTES = 256 * 1024
CHUNK_BYTES = 64 * 1024


class BrokenExchangeError(Exception):
    """The other side ended in the middle of a message, or spoke something else than HTTP."""


@dataclass(frozen=True)
class Head:
    """What a request asks for, without its body; names of headers in lower case, in the order they came."""

    method: str
    target: str  # path and query
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str, default: str = "") -> str:
        """Return the first header of this name."""
        return next((value for known, value in self.headers if known == name), default)

    def with_headers(self, *more: tuple[str, str], without: tuple[str, ...] = ()) -> Head:
        """Return the head with these headers in place of those of the same names."""
        gone = {name for name, _ in more}.union(without)
        return Head(self.method, self.target, (*(pair for pair in self.headers if pair[0] not in gone), *more))


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Peer:
    """Who is at the other end of a connection: a client that asks us, or (`is_server`) a server that we ask."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_server: bool = False) -> None:
        self._reader, self._writer = reader, writer
        role = h11.CLIENT if is_server else h11.SERVER  # ours
        self._connection = h11.Connection(role, max_incomplete_event_size=MAX_HEAD_BYTES)

    @property
    def address(self) -> str:
        """The IP address of the other end."""
        return str((self._writer.get_extra_info("peername") or ("127.0.0.1",))[0])

    async def receive_request(self) -> Head | None:
        """Return the next request; None when the connection ended before one began."""
        event = await self._receive()
        if not isinstance(event, h11.Request):
            return None
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
        return Head(event.method.decode("ascii"), event.target.decode("latin-1"), headers)

    async def receive_response(self) -> h11.Response | h11.InformationalResponse:
        """Return the answer's head; an InformationalResponse only of 101, another protocol."""
        while True:
            event = await self._receive()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise BrokenExchangeError("the connection ended without an answer")
            if event.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                return event

    async def body(self) -> AsyncIterator[h11.Data | h11.EndOfMessage]:
        """Yield the parts of a body as they come, and the end of the message."""
        while True:
            event = await self._receive()
            if not isinstance(event, (h11.Data, h11.EndOfMessage)):
                raise BrokenExchangeError("a body ended early")
            yield event
            if isinstance(event, h11.EndOfMessage):
                return

    async def receive_body(self) -> bytes:
        """Return the whole body."""
        return b"".join([bytes(part.data) async for part in self.body() if isinstance(part, h11.Data)])

    async def send(self, event: Any) -> None:
        """Send one of h11's events."""
        try:
            data = self._connection.send(event)
        except h11.LocalProtocolError as error:
            raise BrokenExchangeError(str(error)) from None
        self._writer.write(data or b"")
        await self._writer.drain()

    async def send_request(self, head: Head) -> None:
        """Send a request's head; its body follows."""
        await self.send(h11.Request(method=head.method, target=head.target, headers=_encoded(head.headers)))

    async def send_response(self, response: h11.Response | h11.InformationalResponse, *more: tuple[str, str]) -> None:
        """Send the head of an answer that another server gave, with more headers; its body follows."""
        headers = [*response.headers, *_encoded(more)]
        await self.send(type(response)(status_code=response.status_code, headers=headers, reason=response.reason))

    async def send_reply(self, reply: Reply) -> None:
        """Send a whole answer."""
        headers = {**reply.headers, "content-length": str(len(reply.body))}
        reason = HTTPStatus(reply.status).phrase
        await self.send(
            h11.Response(status_code=reply.status, headers=_encoded(tuple(headers.items())), reason=reason.encode())
        )
        if reply.body:
            await self.send(h11.Data(data=reply.body))
        await self.send(h11.EndOfMessage())

    def can_go_on(self) -> bool:
        """Whether another exchange may follow on the connection; if so, it may begin."""
        if (self._connection.our_state, self._connection.their_state) != (h11.DONE, h11.DONE):
            return False
        self._connection.start_next_cycle()
        return True

    async def join(self, other: Peer) -> None:
        """Pass bytes both ways until one side ends: after an upgrade, when they are no more HTTP."""
        ways = [asyncio.ensure_future(self._pass_on(other)), asyncio.ensure_future(other._pass_on(self))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    async def close(self) -> None:
        """Close the connection, whatever its state."""
        with contextlib.suppress(Exception):
            self._writer.close()
            await self._writer.wait_closed()

    def abort(self) -> None:
        """Break the connection at once, without what is not sent yet."""
        self._writer.transport.abort()

    async def _receive(self) -> Any:
        try:
            while (event := self._connection.next_event()) is h11.NEED_DATA:
                if self._connection.they_are_waiting_for_100_continue:
                    await self.send(h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[]))
                self._connection.receive_data(await self._reader.read(CHUNK_BYTES))
        except (h11.RemoteProtocolError, ConnectionError) as error:
            raise BrokenExchangeError(str(error)) from None
        return event

    async def _pass_on(self, other: Peer) -> None:
        """Pass on what this side sends; what came behind its last message is first."""
        data, _ = self._connection.trailing_data
        with contextlib.suppress(ConnectionError):
            while data or (data := await self._reader.read(CHUNK_BYTES)):
                other._writer.write(data)
                await other._writer.drain()
                data = b""


async def connect(host: str, port: int) -> Peer:
    """Return a new connection to a server."""
    return Peer(*await asyncio.open_connection(host, port), is_server=True)


async def pass_body(source: Peer, sink: Peer) -> None:
    """Pass the body of a message on, part by part as it comes."""
    async for part in source.body():
        await sink.send(part)


def _encoded(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
