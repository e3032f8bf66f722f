"""HTTP callers that cost little themselves: one after the other for latency, many at once for throughput."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from urllib.parse import urlsplit

import uvloop

PATH = "/2015-03-31/functions/classify/invocations"
BODY = b'{"text": "What shall I do?"}'


def request(address: str, path: str = PATH) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: {urlsplit(address).netloc}\r\nContent-Type: application/json\r\n"
    head += "Authorization: Bearer bench\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


def latency_ms(address: str, *, count: int, path: str = PATH) -> dict[str, float]:
    """Return percentiles of `count` calls by one caller on one kept connection."""
    parts, data, times = urlsplit(address), request(address, path), []
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            begun = time.perf_counter()
            connection.sendall(data)
            _read_answer(connection)
            times.append((time.perf_counter() - begun) * 1000)
    cuts = statistics.quantiles(times[count // 10 :], n=100)
    return {"p50_ms": round(cuts[49], 3), "p95_ms": round(cuts[94], 3)}


def _read_answer(connection: socket.socket) -> None:
    buffer = b""
    while not _is_whole(buffer):
        part = connection.recv(65536)
        if not part:
            raise ConnectionError("closed")
        buffer += part
    if not buffer.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(buffer[:300])


def _is_whole(buffer: bytes) -> bool:
    head, found, rest = buffer.partition(b"\r\n\r\n")
    if not found:
        return False
    at = head.lower().find(b"content-length:")
    return len(rest) >= int(head[at + 15 :].split(b"\r\n", 1)[0])


class _Caller(asyncio.Protocol):
    def __init__(self, data: bytes, ended: asyncio.Event) -> None:
        self.data, self.ended, self.buffer, self.count, self.failed = data, ended, b"", 0, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self.data)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if _is_whole(self.buffer):
            if self.buffer.startswith(b"HTTP/1.1 200"):
                self.count += 1
            else:
                self.failed += 1
            self.buffer = b""
            self.transport.write(self.data)


def throughput(address: str, *, clients: int, seconds: float, path: str = PATH) -> dict[str, float]:
    """Return answers per second for `clients` callers at once."""

    async def run() -> dict[str, float]:
        parts, loop, ended = urlsplit(address), asyncio.get_running_loop(), asyncio.Event()
        callers = [_Caller(request(address, path), ended) for _ in range(clients)]
        for caller in callers:
            await loop.create_connection(lambda c=caller: c, parts.hostname, parts.port)
        await asyncio.sleep(seconds / 4)
        before, begun = sum(c.count for c in callers), time.perf_counter()
        await asyncio.sleep(seconds)
        done, took = sum(c.count for c in callers) - before, time.perf_counter() - begun
        for caller in callers:
            caller.transport.abort()
        return {"per_s": round(done / took), "failed": sum(c.failed for c in callers)}

    return uvloop.run(run())
