"""The address people open, in the place of CloudFront and the load balancer: HTTP, WebSockets, sticky sessions.

A cookie keeps a browser with its task, because a Streamlit session lives in one. A task that is gone or drains loses
its people to the others. https://docs.aws.amazon.com/elasticloadbalancing/latest/application/sticky-sessions.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from itertools import count

import h11

from matinee.ops.rehearse.loop import Loop
from matinee.ops.rehearse.wire import Head, Peer, Reply, connect, pass_body

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
