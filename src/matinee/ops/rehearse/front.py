"""The endpoint that everybody sees as AWS: everything passes to the emulator as it came, except what somebody plays.

A player says by a request's head whether it wants it; only then is the body read. What it leaves (None) goes to the
emulator with its signature untouched, so the emulator authorises it as the caller.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import h11

from matinee.ops.rehearse.loop import Loop
from matinee.ops.rehearse.wire import Head, Peer, Reply, connect, pass_body

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

    def __init__(self, loop: Loop, upstream: str, players: Sequence[Player] = ()) -> None:
        self.players: list[Player] = list(players)
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
            reply = await asyncio.to_thread(player.play, call)
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
