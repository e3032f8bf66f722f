"""The endpoint that everybody sees as AWS: everything passes to the emulator as it came, except what somebody plays.

A player says by a request's head whether it wants it; only then is the body read. What it leaves (None) goes to the
emulator with its signature untouched, so the emulator authorises it as the caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from itertools import count
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import h11

_SCOPE = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True)
class Call:
    """One request to AWS. `key` is the caller's access key id, `service` what the request is signed for."""

    head: Head
    body: bytes
    key: str
    region: str
    service: str

    @property
    def operation(self) -> str:
        """Return the operation of a JSON service ("RunTask"), "" of another."""
        return self.head.get("x-amz-target").rpartition(".")[2]


class Player(Protocol):
    """Plays a part of AWS."""

    def wants(self, call: Call) -> bool:
        """Whether the body is worth reading (`call.body` is still empty)."""

    def play(self, call: Call) -> Reply | None:
        """Answer, in a thread; None: the emulator shall."""


class Front:
    """Listens on 127.0.0.1; `endpoint` is what workloads, clients and the deploy are told."""

    def __init__(
        self,
        loop: Loop,
        upstream: str,
        players: Sequence[Player] = (),
        on_error: Callable[[str, Exception], None] = lambda _where, _error: None,
    ) -> None:
        self.players: list[Player] = list(players)
        self._on_error = on_error
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.endpoint = f"http://127.0.0.1:{loop.listen(self._serve)}"

    async def _serve(self, client: Peer) -> None:
        while (head := await client.receive_request()) is not None:
            await self._answer(head.with_headers(without=("expect",)), client)
            if not client.can_go_on():
                return

    async def _answer(self, head: Head, client: Peer) -> None:
        call = call_of(head)
        players = [player for player in self.players if player.wants(call)]
        if not players:
            return await self._pass(head, None, client)
        body = await client.receive_body()
        call = Call(head, body, call.key, call.region, call.service)
        for player in players:
            try:
                reply = await asyncio.to_thread(player.play, call)
            except Exception as error:
                self._on_error(f"the answer to {call.service} {call.operation or head.target}", error)
                return await client.send_reply(Reply(500))
            if reply is not None:
                return await client.send_reply(reply)
        return await self._pass(head, body, client)

    async def _pass(self, head: Head, body: bytes | None, client: Peer) -> None:
        """Pass a request to the emulator and its answer back: on a connection of its own, so none is ever stale."""
        emulator = await connect(*self._upstream)
        try:
            if body is None:
                await emulator.send_request(head)
                await pass_body(client, emulator)
            else:
                size = ("content-length", str(len(body)))
                await emulator.send_request(head.with_headers(size, without=("transfer-encoding",)))
                await emulator.send(h11.Data(data=body))
                await emulator.send(h11.EndOfMessage())
            await client.send_response(await emulator.receive_response())
            await pass_body(emulator, client)
        finally:
            await emulator.close()


def call_of(head: Head) -> Call:
    """Return who asks for what, by the signature's scope: a JSON header, or the query of a presigned link."""
    scope = _SCOPE.search(head.get("authorization"))
    key, region, service = scope.groups() if scope else ("", "", "")
    return Call(head, b"", key, region, service)


# --- the address people open ------------------------------------------------------------------------------------------
# The address people open, in the place of CloudFront and the load balancer: HTTP, WebSockets, sticky sessions.
#
# A cookie keeps a browser with its task, because a Streamlit session lives in one. A task that is gone or drains loses
# its people to the others. https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html

COOKIE = "MATINEEALB"
_ASLEEP = (
    b"<!doctype html><meta charset=utf-8><title>Not yet</title><p>Nobody serves this app yet. Try again in a moment."
)


@dataclass(frozen=True)
class Target:
    """A healthy task of the UI."""

    id: str
    port: int


class Entry:
    """Listens on 127.0.0.1 at `port` (0 = any); `targets` gives who is healthy now."""

    def __init__(self, loop: Loop, targets: Callable[[], Sequence[Target]], port: int = 0) -> None:
        self._targets = targets
        self._turn = count()
        self.port = loop.listen(self._serve, port)
        self.url = f"http://127.0.0.1:{self.port}"

    async def _serve(self, browser: Peer) -> None:
        while (head := await browser.receive_request()) is not None:
            await self._answer(head, browser)
            if not browser.can_go_on():
                return

    async def _answer(self, head: Head, browser: Peer) -> None:
        known = _cookie(head)
        target = self._choose(known)
        if target is None:
            return await browser.send_reply(
                Reply(503, _ASLEEP, {"content-type": "text/html; charset=utf-8", "connection": "close"})
            )
        cookie = () if known == target.id else (("set-cookie", f"{COOKIE}={target.id}; Path=/; HttpOnly"),)
        task = await connect("127.0.0.1", target.port)
        try:
            forwarded = {"for": browser.address, "proto": "http", "port": str(self.port)}
            await task.send_request(head.with_headers(*((f"x-forwarded-{n}", v) for n, v in forwarded.items())))
            await pass_body(browser, task)
            response = await task.receive_response()
            await browser.send_response(response, *cookie)
            if isinstance(response, h11.InformationalResponse):  # a WebSocket from now on
                await browser.join(task)
            else:
                await pass_body(task, browser)
        finally:
            await task.close()

    def _choose(self, known: str) -> Target | None:
        targets = sorted(self._targets(), key=lambda target: target.id)
        same = next((target for target in targets if target.id == known), None)
        return same or (targets[next(self._turn) % len(targets)] if targets else None)


def _cookie(head: Head) -> str:
    for name, value in head.headers:
        if name == "cookie":
            try:
                found = SimpleCookie(value).get(COOKIE)
            except CookieError:
                continue
            if found is not None:
                return found.value
    return ""


# --- HTTP/1.1 between sockets -----------------------------------------------------------------------------------------
# HTTP/1.1 between two sockets: h11 reads and writes the messages, asyncio carries the bytes.
#
# The endpoint in front of the emulator and the entry address both stand on it. Bodies are never changed on the way, so
# a signature stays valid; a WebSocket is an upgrade, after which bytes go both ways untouched.

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
        replaced = {name for name, _ in more}.union(without)
        return Head(self.method, self.target, (*(pair for pair in self.headers if pair[0] not in replaced), *more))


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


# --- the event loop ---------------------------------------------------------------------------------------------------
# The loop on which the front and the entry listen: one thread, ended with everything that still hangs on it.

T = TypeVar("T")
Serve = Callable[[Peer], Awaitable[None]]


class Loop:
    """An asyncio loop in a thread of its own. `listen` gives the port; `stop` closes ports and connections."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="rehearsal", daemon=True)
        self._thread.start()

    def listen(self, serve: Serve, port: int = 0) -> int:
        """Serve connections on 127.0.0.1 and return the port; OSError when it is taken."""
        return self.run(self._listen(serve, port))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it on the loop, and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        """End everything."""
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self, serve: Serve, port: int) -> int:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(Peer(reader, writer))
            except (BrokenExchangeError, ConnectionError, TimeoutError, asyncio.CancelledError):
                pass  # whoever asked is gone, or we are
            finally:
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", port)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        await asyncio.sleep(0)  # what was being accepted has its task now
        mine = asyncio.current_task()
        while tasks := [task for task in asyncio.all_tasks() if task is not mine]:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_default_executor()
