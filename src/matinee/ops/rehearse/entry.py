"""The address people open, in the place of CloudFront and the load balancer: HTTP, WebSockets, sticky sessions.

A cookie keeps a browser with its task, because a Streamlit session lives in one. A task that is gone or drains loses
its people to the others. https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from itertools import count

from matinee.ops.rehearse.front import Reply, encoded
from matinee.ops.rehearse.loop import Loop
from matinee.ops.rehearse.wire import Head, close, has_body, join, pass_body, read_head

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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = (writer.get_extra_info("peername") or ("127.0.0.1",))[0]
        while (head := await read_head(reader)) is not None:
            if not await self._answer(head, address, reader, writer):
                return

    async def _answer(
        self, head: Head, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        known = _cookie(head)
        target = self._choose(known)
        if target is None:
            writer.write(encoded(Reply(503, _ASLEEP, {"content-type": "text/html", "connection": "close"})))
            await writer.drain()
            return False
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", target.port, limit=256 * 1024)
        try:
            told = head.with_headers(
                ("x-forwarded-for", address), ("x-forwarded-proto", "http"), ("x-forwarded-port", str(self.port))
            )
            up_writer.write(told.encoded())
            if head.is_upgrade:
                return await self._upgrade(known, target, (reader, writer), (up_reader, up_writer))
            if has_body(head):
                await pass_body(head, reader, up_writer)
            await up_writer.drain()
            answer = await read_head(up_reader)
            if answer is None:
                return False
            writer.write(_marked(answer, known, target).encoded())
            if has_body(answer, request=head):
                await pass_body(answer, up_reader, writer, until_end=True)
            await writer.drain()
            is_framed = bool(answer.get("content-length") or answer.get("transfer-encoding"))
            return head.keeps_alive and answer.keeps_alive and (is_framed or not has_body(answer, request=head))
        finally:
            await close(up_writer)

    async def _upgrade(
        self,
        known: str,
        target: Target,
        person: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> bool:
        answer = await read_head(server[0])
        if answer is not None:
            person[1].write(_marked(answer, known, target).encoded())
            await join(person, server)
        return False

    def _choose(self, known: str) -> Target | None:
        targets = sorted(self._targets(), key=lambda target: target.id)
        same = next((target for target in targets if target.id == known), None)
        return same or (targets[next(self._turn) % len(targets)] if targets else None)


def _marked(answer: Head, known: str, target: Target) -> Head:
    """Set the cookie when it is new; cookies of the app itself are kept."""
    if known == target.id:
        return answer
    return Head(answer.first, (*answer.headers, ("set-cookie", f"{COOKIE}={target.id}; Path=/; HttpOnly")))


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
