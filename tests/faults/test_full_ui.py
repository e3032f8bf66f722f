"""Many tabs at once: what there is no room for is told to try again, and a moment after they close all works again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from matinee.settings import Settings
from matinee.testing.harness import wait_until
from matinee.ui import capacity
from matinee.ui.capacity import RESERVED_DESCRIPTORS, Capacity

HTML = {"accept": "text/html"}


async def session(websocket):
    await websocket.accept()
    async for _ in websocket.iter_text():
        await websocket.close()
        return


def bounded(descriptors: int, count_open: Callable[[], int] = lambda: 0) -> TestClient:
    inner = Starlette(
        routes=[
            *(Route(path, lambda _: PlainTextResponse("ok")) for path in ("/", "/export", "/_stcore/health")),
            WebSocketRoute("/_stcore/stream", session),
        ]
    )
    return TestClient(Capacity(inner, descriptors, count_open))


def test_a_session_too_many_is_told_to_try_again_and_the_next_one_after_another_left_is_let_in(monkeypatch):
    monkeypatch.setattr(capacity, "MAX_SESSIONS", 3)
    app = bounded(1024)
    with ExitStack() as tabs:
        opened = [tabs.enter_context(app.websocket_connect("/_stcore/stream")) for _ in range(3)]
        with pytest.raises(WebSocketDenialResponse) as refused, app.websocket_connect("/_stcore/stream"):
            pass
        assert (refused.value.status_code, refused.value.headers["retry-after"]) == (503, "5")
        page = app.get("/", headers=HTML)
        assert (page.status_code, page.headers["retry-after"]) == (503, "5")
        assert "Try again in a moment" in page.text
        assert 'http-equiv="refresh"' in page.text
        assert app.get("/export").status_code == 200, "it is no session"
        opened[0].send_text("bye")
        opened[0].receive()
        with app.websocket_connect("/_stcore/stream") as another:
            another.send_text("bye")


def test_descriptors_too_many_are_told_so_but_never_to_the_load_balancer():
    app = bounded(200, lambda: 200 - RESERVED_DESCRIPTORS + 1)
    assert app.get("/export").status_code == 503
    assert app.get("/export").headers["connection"] == "close"
    assert app.get("/_stcore/health").text == "ok"
    with pytest.raises(WebSocketDenialResponse), app.websocket_connect("/_stcore/stream"):
        pass
    assert bounded(200, lambda: 200 - RESERVED_DESCRIPTORS).get("/export").text == "ok"


START = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
sys.argv = ["serve", "--port", "{port}"]
runpy.run_module("matinee.ui.serve", run_name="__main__")
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[object]:
    """Start the UI with a soft and a hard limit of descriptors; gives its port and its process."""
    pytest.importorskip("resource")
    started = []

    def run(soft: int, hard: int) -> tuple[int, subprocess.Popen[bytes]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        process = subprocess.Popen(
            [sys.executable, "-c", START.format(soft=soft, hard=hard, port=port)],
            env={**os.environ, **Settings(app="tiny", data=tmp_path).environment()},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        wait_until(lambda: process.poll() is None and is_served(port, "/_stcore/health"), timeout_s=60, what="the UI")
        return port, process

    yield run
    for process in started:
        process.kill()
        process.wait(10)


def is_served(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=2, trust_env=False, headers=HTML).status_code == 200
    except httpx.HTTPError:
        return False


def open_tabs(port: int, count: int, tabs: ExitStack) -> list[int]:
    """Open tabs as browsers do, page and session; return the status of each that was refused."""
    refused = []
    for _ in range(count):
        page = tabs.enter_context(httpx.Client(trust_env=False, timeout=10, headers=HTML))
        answer = page.get(f"http://127.0.0.1:{port}/")
        try:
            if answer.status_code == 200:
                address, origin = f"ws://127.0.0.1:{port}/_stcore/stream", f"http://127.0.0.1:{port}"
                tabs.enter_context(connect(address, origin=origin, subprotocols=["streamlit"], proxy=None))
            else:
                refused.append(answer.status_code)
        except InvalidStatus as error:
            refused.append(error.response.status_code)
    return refused


@pytest.mark.slow
def test_150_tabs_on_256_descriptors_are_told_to_wait_and_all_works_five_seconds_after_they_close(start):
    port, process = start(256, 256)
    with ExitStack() as tabs:
        refused = open_tabs(port, 150, tabs)
        assert set(refused) == {503}
        assert 0 < len(refused) < 130
        assert is_served(port, "/_stcore/health")
    closed_at = time.monotonic()
    with ExitStack() as tabs:
        wait_until(lambda: open_tabs(port, 1, tabs) == [], timeout_s=5, what="a tab that is let in")
    assert time.monotonic() - closed_at < 5
    folder = Path(f"/proc/{process.pid}/fd")
    if folder.exists():
        wait_until(lambda: len(list(folder.iterdir())) < 100, timeout_s=15, what="the descriptors of closed tabs")


@pytest.mark.slow
def test_the_soft_limit_is_raised_so_that_150_tabs_are_let_in(start):
    port, _ = start(256, 4096)
    with ExitStack() as tabs:
        assert open_tabs(port, 150, tabs) == []
        assert is_served(port, "/_stcore/health")
