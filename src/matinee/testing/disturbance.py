"""A proxy before an emulator of DynamoDB that is as AWS is when it is not well: throttles, delays, answers lost.

What it does to a request takes a tenth of the processor time that a proxy for any service takes, so that thousands of
requests of real workers are disturbed in seconds.
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections import Counter
from contextlib import suppress
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_THROTTLE = b'{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"Rate exceeded"}'
_THROTTLED = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_THROTTLE),
    _THROTTLE,
)


class Disturbance:
    """Use it in a `with`. `throttled` and `lost` are shares of the requests, `late_s` the least and most seconds added.

    A lost answer is of a request that was done: the connection breaks in place of it. `counts` says what was done.
    """

    def __init__(self, upstream: str, *, throttled: float, lost: float, late_s: tuple[float, float], seed: int) -> None:
        where = urlsplit(upstream)
        self._upstream = (where.hostname or "127.0.0.1", where.port or 80)
        self._throttled, self._lost, self._late_s = throttled, lost, late_s
        self._random = random.Random(seed)  # noqa: S311 - chance, no secret
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="disturbance", daemon=True)
        self.counts: Counter[str] = Counter()
        self.endpoint = ""

    def __enter__(self) -> Disturbance:
        """Listen on a free port of this machine."""
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        host, port = server.result(10).sockets[0].getsockname()
        self.endpoint = f"http://{host}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        """Break every connection."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond: asyncio.StreamWriter | None = None
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            answers, beyond = await asyncio.open_connection(*self._upstream)
            while await self._pass(reader, writer, answers, beyond):
                pass
        for each in (writer, beyond):
            if each is not None:
                each.transport.abort()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        beyond: asyncio.StreamWriter,
    ) -> bool:
        """Take one request and answer it, or not; False when the connection is to break."""
        request = await _message(reader)
        self.counts["requests"] += 1
        chance = self._random.random()
        if chance < self._throttled:
            self.counts["throttled"] += 1
            writer.write(_THROTTLED)
            return True
        await asyncio.sleep(self._random.uniform(*self._late_s))
        beyond.write(request)
        answer = await _message(answers)
        if chance < self._throttled + self._lost:
            self.counts["lost"] += 1
            return False
        writer.write(answer)
        return True


async def _message(reader: asyncio.StreamReader) -> bytes:
    """Read a request or an answer; DynamoDB's all say their length."""
    head = await reader.readuntil(b"\r\n\r\n")
    said = _LENGTH.search(head)
    return head + (await reader.readexactly(int(said[1])) if said else b"")
