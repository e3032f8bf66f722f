"""Behind CloudFront and the load balancer that it comes to: whose address a request is from."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from matinee.stack import edge
from matinee.ui.serve import Visitor


def seen(kind: str, *forwarded: str) -> object:
    found: list[dict] = []

    async def app(scope, receive, send) -> None:
        found.append(scope)

    headers = [(b"x-forwarded-for", text.encode()) for text in forwarded]
    scope = {"type": kind, "client": ("130.176.1.2", 0), "headers": headers}
    asyncio.run(Visitor(app)(scope, None, None))
    return found[0]["client"]


def test_guesses_are_counted_by_the_browser_s_address_not_by_cloudfront_s() -> None:
    assert seen("http", "203.0.113.7, 130.176.1.2") == ("203.0.113.7", 0)
    assert seen("websocket", "2001:db8::1,130.176.1.2") == ("2001:db8::1", 0)


def test_an_address_that_a_browser_made_up_is_not_believed() -> None:
    assert seen("http", "10.0.0.1, 203.0.113.7, 130.176.1.2") == ("203.0.113.7", 0)
    assert seen("http", "10.0.0.1", "203.0.113.7, 130.176.1.2") == ("203.0.113.7", 0)


def test_a_health_check_has_no_browser() -> None:
    assert seen("http") == ("130.176.1.2", 0)
    assert seen("lifespan") == ("130.176.1.2", 0)


def test_the_app_s_own_503_is_no_answer_that_cloudfront_takes_for_an_app_asleep() -> None:
    busy = PlainTextResponse("Busy", 503, {"Retry-After": "5"})
    app = Starlette(routes=[Route("/busy", lambda _: busy), Route("/", lambda _: PlainTextResponse("ok"))])
    answer = TestClient(Visitor(app)).get("/busy")
    assert answer.status_code not in edge.CUSTOM_ERROR_CODES
    assert 500 <= answer.status_code < 600
    assert (answer.text, answer.headers["retry-after"]) == ("Busy", "5")
    assert TestClient(Visitor(app)).get("/").status_code == 200
