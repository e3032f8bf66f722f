"""Behind CloudFront: whose address a request is from, for wrong passwords are counted by it.

The load balancer appends to X-Forwarded-For who came to it. That is CloudFront, by a public address of its own that
many people share, and CloudFront has put the browser's before it.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send


class Visitor:
    """An ASGI app that says of every request which browser sent it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            told = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
            if len(told) > 1:  # what comes before the last two is the browser's own word
                scope = {**scope, "client": (told[-2].strip(), 0)}
        await self._app(scope, receive, send)
