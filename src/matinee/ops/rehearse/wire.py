"""HTTP/1.1 between two sockets: read a head, pass a body on as it comes, join two ends for good.

The endpoint in front of the emulator and the entry address both stand on it. Bodies are never changed on the way, so
a signature stays valid; a WebSocket is an upgrade, after which bytes go both ways untouched.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

MAX_HEAD_BYTES = 256 * 1024
CHUNK_BYTES = 64 * 1024
_BODILESS = (204, 304)


class BrokenExchangeError(Exception):
    """The other side ended in the middle of a message, or spoke something else than HTTP."""


@dataclass(frozen=True)
class Head:
    """The first line and the headers of a message; names in lower case, in the order they came."""

    first: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str, default: str = "") -> str:
        """Return the first header of this name."""
        return next((value for known, value in self.headers if known == name), default)

    def with_headers(self, *more: tuple[str, str], without: tuple[str, ...] = ()) -> Head:
        """Return the head with these headers in place of those of the same names."""
        gone = {name for name, _ in more}.union(without)
        return Head(self.first, (*(pair for pair in self.headers if pair[0] not in gone), *more))

    @property
    def method(self) -> str:
        """Return a request's method."""
        return self.first.split(" ", 2)[0]

    @property
    def target(self) -> str:
        """Return a request's path and query."""
        return self.first.split(" ", 2)[1]

    @property
    def status(self) -> int:
        """Return an answer's status."""
        return int(self.first.split(" ", 2)[1])

    @property
    def is_upgrade(self) -> bool:
        """Whether the request asks for another protocol, as WebSockets do."""
        return "upgrade" in self.get("connection").lower()

    @property
    def keeps_alive(self) -> bool:
        """Whether another message may follow on the connection."""
        return self.get("connection").lower() != "close" and "HTTP/1.1" in self.first

    def encoded(self) -> bytes:
        """Return it as it is written."""
        lines = [self.first, *(f"{name}: {value}" for name, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read a head; None when the connection ended before one began."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise BrokenExchangeError("a message ended within its head") from None
        return None
    except (asyncio.LimitOverrunError, ConnectionError) as error:
        raise BrokenExchangeError(str(error)) from None
    first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    if first.count(" ") < 1:
        raise BrokenExchangeError(f"not HTTP: {first[:80]!r}")
    split = (line.partition(":") for line in lines)
    return Head(first, tuple((name.strip().lower(), value.strip()) for name, _, value in split))


def has_body(head: Head, *, request: Head | None = None) -> bool:
    """Whether a body follows: `request` is what an answer answers, None for a request's own head."""
    if request is None:
        return head.get("transfer-encoding") != "" or head.get("content-length", "0") != "0"
    return request.method != "HEAD" and head.status not in _BODILESS and head.status >= 200


async def pass_body(
    head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, until_end: bool = False
) -> None:
    """Pass the body of a message on, framed as it came; `until_end`: without a length it goes on to the end."""
    if "chunked" in head.get("transfer-encoding").lower():
        await _pass_chunks(reader, writer)
    elif head.get("content-length"):
        await _pass_exactly(int(head.get("content-length")), reader, writer)
    elif until_end:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()


async def read_body(head: Head, reader: asyncio.StreamReader) -> bytes:
    """Read the whole body of a request, its chunks joined."""
    if "chunked" not in head.get("transfer-encoding").lower():
        return await _exactly(reader, int(head.get("content-length") or 0))
    parts = []
    while size := await _chunk_size(reader):
        parts.append(await _exactly(reader, size))
        await _exactly(reader, 2)
    await _trailers(reader)
    return b"".join(parts)


async def join(
    one: tuple[asyncio.StreamReader, asyncio.StreamWriter], other: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Pass bytes both ways until one side ends."""
    ways = [asyncio.ensure_future(_flow(one[0], other[1])), asyncio.ensure_future(_flow(other[0], one[1]))]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()
    await asyncio.gather(*ways, return_exceptions=True)


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever its state."""
    with contextlib.suppress(Exception):
        writer.close()
        await writer.wait_closed()


async def _flow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()


async def _pass_exactly(size: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while size:
        data = await reader.read(min(size, CHUNK_BYTES))
        if not data:
            raise BrokenExchangeError("a body ended early")
        size -= len(data)
        writer.write(data)
        await writer.drain()


async def _pass_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        line = await reader.readline()
        writer.write(line)
        size = _size_of(line)
        if size == 0:
            break
        await _pass_exactly(size + 2, reader, writer)
    while (line := await reader.readline()) not in (b"\r\n", b""):
        writer.write(line)
    writer.write(b"\r\n")
    await writer.drain()


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    return _size_of(await reader.readline())


def _size_of(line: bytes) -> int:
    try:
        return int(line.split(b";")[0], 16)
    except ValueError:
        raise BrokenExchangeError(f"not a chunk: {line[:40]!r}") from None


async def _trailers(reader: asyncio.StreamReader) -> None:
    while await reader.readline() not in (b"\r\n", b""):
        pass


async def _exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    try:
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError:
        raise BrokenExchangeError("a body ended early") from None
