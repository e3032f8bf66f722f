"""The endpoint that everybody sees as AWS: everything passes to the emulator as it came, except what somebody plays.

A player says by a request's head whether it wants it; only then is the body read. What it leaves (None) goes to the
emulator with its signature untouched, so the emulator authorises it as the caller.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from matinee.ops.rehearse.loop import Loop
from matinee.ops.rehearse.wire import Head, close, has_body, pass_body, read_body, read_head

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


@dataclass(frozen=True)
class Reply:
    """An answer in place of the emulator's."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (head := await read_head(reader)) is not None:
            if head.get("expect"):
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                head = head.with_headers(without=("expect",))
            if not await self._answer(head, reader, writer):
                return

    async def _answer(self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether another may follow."""
        call = call_of(head)
        wanted = [player for player in self.players if player.wants(call)]
        if not wanted:
            return await self._pass(head, None, reader, writer)
        body = await read_body(head, reader)
        call = Call(head, body, call.key, call.region, call.service)
        for player in wanted:
            reply = await asyncio.to_thread(player.play, call)
            if reply is not None:
                writer.write(encoded(reply))
                await writer.drain()
                return head.keeps_alive
        return await self._pass(head, body, reader, writer)

    async def _pass(
        self, head: Head, body: bytes | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Pass a request to the emulator and its answer back: on a connection of its own, so none is ever stale."""
        up_reader, up_writer = await asyncio.open_connection(*self._upstream, limit=256 * 1024)
        try:
            if body is None:
                up_writer.write(head.encoded())
                if has_body(head):
                    await pass_body(head, reader, up_writer)
            else:
                framed = head.with_headers(("content-length", str(len(body))), without=("transfer-encoding",))
                up_writer.write(framed.encoded() + body)
            await up_writer.drain()
            answer = await read_head(up_reader)
            while answer is not None and answer.status == HTTPStatus.CONTINUE:
                answer = await read_head(up_reader)
            if answer is None:
                return False
            writer.write(answer.encoded())
            if has_body(answer, request=head):
                await pass_body(answer, up_reader, writer, until_end=True)
            await writer.drain()
            is_framed = bool(answer.get("content-length") or answer.get("transfer-encoding"))
            return head.keeps_alive and (is_framed or not has_body(answer, request=head))
        finally:
            await close(up_writer)


def call_of(head: Head) -> Call:
    """Return who asks for what, by the signature's scope: a JSON header, or the query of a presigned link."""
    scope = _SCOPE.search(head.get("authorization"))
    key, region, service = scope.groups() if scope else ("", "", "")
    return Call(head, b"", key, region, service)


def encoded(reply: Reply) -> bytes:
    """Return an answer as it is written."""
    phrase = HTTPStatus(reply.status).phrase
    headers = {**reply.headers, "content-length": str(len(reply.body))}
    lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{n}: {v}" for n, v in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + reply.body
