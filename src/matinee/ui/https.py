"""Behind CloudFront the app is reached by https alone, and told http: the last step inside the network is plain."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

_SECURE = {"http": "https", "websocket": "wss"}


class Https:
    """An ASGI app that says so of every request, for cookies and links to be made as for https."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in _SECURE:
            scope = {**scope, "scheme": _SECURE[scope["type"]]}
        await self._app(scope, receive, send)
