"""The UI's process with sign-in, on a free port, with a Store of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from matinee.settings import Settings
from matinee.testing.harness import wait_until

START_S = 60


@dataclass
class Server:
    """A running UI. `browser()` is somebody with cookies of their own."""

    address: str
    process: subprocess.Popen[bytes]

    def browser(self, **options: Any) -> httpx.Client:
        headers = {"accept": "text/html", **options.pop("headers", {})}
        return httpx.Client(base_url=self.address, headers=headers, trust_env=False, timeout=20, **options)

    def sign_in(
        self, browser: httpx.Client, name: str, password: str, *, after: str = "/", **headers: str
    ) -> httpx.Response:
        """Fill the form in and send it."""
        token = browser.get("/sign-in").text.partition('name="token" value="')[2].partition('"')[0]
        form = {"name": name, "password": password, "token": token, "after": after}
        return browser.post("/sign-in", data=form, headers=headers)

    @contextmanager
    def signed_in(self, name: str, password: str, **options: Any) -> Iterator[httpx.Client]:
        """Give somebody who is signed in."""
        with self.browser(**options) as browser:
            answer = self.sign_in(browser, name, password)
            assert answer.status_code == 303, answer.text
            yield browser

    def opens_websocket(self, browser: httpx.Client | None = None) -> bool:
        """Whether Streamlit's WebSocket is opened for this browser; without one it is refused by 403."""
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items()) if browser else ""
        headers = {"Cookie": cookies} if cookies else {}
        origin: Any = self.address
        protocols: Any = ["streamlit"]
        address = self.address.replace("http", "ws", 1) + "/_stcore/stream"
        try:
            with connect(address, additional_headers=headers, origin=origin, subprotocols=protocols, proxy=None):
                return True
        except InvalidStatus as refused:
            assert refused.response.status_code == 403
            return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def free_port() -> int:
    """A port for a server whose address must be known before it starts."""
    return _free_port()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start the UI with `[auth]` and variables, and wait until it is healthy; what runs afterwards is ended."""
    started: list[subprocess.Popen[bytes]] = []

    def run(auth: dict[str, Any], *options: str, port: int = 0, **variables: str) -> Server:
        port = port or _free_port()
        told = {**os.environ, **Settings(app="tiny", data=tmp_path).environment(), "MATINEE_AUTH": json.dumps(auth)}
        process = subprocess.Popen(
            [sys.executable, "-m", "matinee.ui.serve", "--port", str(port), *options],
            env={**told, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        started.append(process)
        server = Server(f"http://127.0.0.1:{port}", process)
        wait_until(lambda: _is_healthy(server), timeout_s=START_S, what="the UI")
        return server

    yield run
    for process in started:
        process.kill()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


def _is_healthy(server: Server) -> bool:
    if server.process.poll() is not None:
        raise AssertionError(server.process.stdout.read() if server.process.stdout else "")
    try:
        return httpx.get(f"{server.address}/_stcore/health", timeout=1, trust_env=False).text == "ok"
    except httpx.HTTPError:
        return False


@pytest.fixture
def password_server(start: Callable[..., Server]) -> Server:
    """One with a shared password and one for the owner."""
    return start({"mode": "password"}, MATINEE_PASSWORD="open sesame", MATINEE_OWNER_PASSWORD="mine alone")
