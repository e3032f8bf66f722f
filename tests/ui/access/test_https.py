"""Behind CloudFront requests come by http, and cookies are made as for https all the same."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient

from matinee.ui.serve import Https


async def scheme(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.url.scheme)


async def echo(websocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.url.scheme)
    await websocket.close()


@pytest.mark.parametrize("wrapped", [True, False])
def test_requests_and_websockets_are_said_to_be_secure(wrapped):
    app = Starlette(routes=[Route("/", scheme), WebSocketRoute("/ws", echo)])
    client = TestClient(Https(app) if wrapped else app, base_url="http://app")
    assert client.get("/").text == ("https" if wrapped else "http")
    with client.websocket_connect("/ws") as websocket:
        assert websocket.receive_text() == ("wss" if wrapped else "ws")
