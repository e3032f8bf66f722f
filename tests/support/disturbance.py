"""A proxy before an emulator of DynamoDB that is as AWS is when it is not well: throttles, delays, answers lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from urllib.parse import urlsplit

from matinee.rehearsal.proxies import Loop, Peer, Reply, connect, pass_body

_THROTTLED = Reply(
    400,
    b'{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"Rate exceeded"}',
    {"content-type": "application/x-amz-json-1.0"},
)


class Disturbance:
    """Use it in a `with`. `throttled` and `lost` are shares of the requests, `late_s` the least and most seconds added.

    A lost answer is of a request that was done: the connection breaks in place of it. `counts` says what was done.
    """

    def __init__(self, upstream: str, *, throttled: float, lost: float, late_s: tuple[float, float], seed: int) -> None:
        where = urlsplit(upstream)
        self._upstream = (where.hostname or "127.0.0.1", where.port or 80)
        self._throttled, self._lost, self._late_s = throttled, lost, late_s
        self._random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.endpoint = ""

    def __enter__(self) -> Disturbance:
        """Listen on a free port of this machine."""
        self._loop = Loop()
        self.endpoint = f"http://127.0.0.1:{self._loop.listen(self._serve)}"
        return self

    def __exit__(self, *_: object) -> None:
        """Break every connection."""
        self._loop.stop()

    async def _serve(self, client: Peer) -> None:
        server = await connect(*self._upstream)
        try:
            while await self._answer(client, server) and client.can_go_on():
                pass
        finally:
            client.abort()
            server.abort()

    async def _answer(self, client: Peer, server: Peer) -> bool:
        """Take one request and answer it, or not; False when the connection is to break."""
        head = await client.receive_request()
        if head is None:
            return False
        self.counts["requests"] += 1
        chance = self._random.random()
        if chance < self._throttled:
            self.counts["throttled"] += 1
            await client.receive_body()
            await client.send_reply(_THROTTLED)
            return True
        await asyncio.sleep(self._random.uniform(*self._late_s))
        await server.send_request(head)
        await pass_body(client, server)
        response = await server.receive_response()
        if chance < self._throttled + self._lost:
            self.counts["lost"] += 1
            return False
        await client.send_response(response)
        await pass_body(server, client)
        return server.can_go_on()
