"""The API over the greeting app: one host for all tests, people by their tokens."""

from __future__ import annotations

import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.testclient import TestClient

from matinee.access.modes import make_sign_in
from matinee.access.people import Person, Users
from matinee.access.tokens import create_token
from matinee.api.routes import routes
from matinee.client.core import Client
from matinee.client.host import LocalHost
from matinee.project.load import load
from matinee.testing.harness import wait_until

GREET = """
    import os, time
    from dataclasses import dataclass
    from typing import Literal
    from matinee import File, InputError, realtime, state

    @dataclass
    class Greeting:
        text: str
        count: int

    @realtime(memory_mb=256, timeout_s=20, examples=[{"name": "Ada"}])
    def greet(name: str, tone: Literal["kind", "curt"] = "kind", seconds: float = 0.0) -> Greeting:
        '''Say hello.'''
        if seconds < 0:
            raise InputError("seconds", "must not be negative")
        time.sleep(seconds if seconds <= 1 else 0)
        if name == "trouble":
            raise ValueError("I do not greet trouble")
        return Greeting(f"Hello, {name}!" if tone == "kind" else f"Hi, {name}!", int(state.increment("greeted")))

    @realtime(memory_mb=256)
    def shout(file: File) -> File:
        '''Make a text loud.'''
        return File(file.data.upper(), "loud-" + file.name, file.media_type)
"""
GREET_ALL = """
    import time
    from matinee import batch

    @batch(timeout_s=60, max_workers=2, examples=[{"names": ["Ada"]}])
    def greet_all(names: list[str], seconds_each: float = 0.0) -> dict[str, str]:
        '''Greet everybody.'''
        for name in names:
            time.sleep(seconds_each)
            print(f"greeting {name}")
        return {name: f"Hello, {name}!" for name in names}
"""
TOML = 'name = "tiny"\ntitle = "Tiny"\ncomponents = ["greeting.py", "greeting_all.py"]\n'


def write_app(folder: Path, toml: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "matinee.toml").write_text(TOML + textwrap.dedent(toml))
    (folder / "greeting.py").write_text(textwrap.dedent(GREET))
    (folder / "greeting_all.py").write_text(textwrap.dedent(GREET_ALL))
    return folder


class Served:
    """The API of a hosted app. `as_(name)` is a caller with a token of their own; `here` one without, on loopback."""

    def __init__(self, host: LocalHost, *, wait_s: float = 25.0) -> None:
        self.host = host
        self.store = host.backend.store
        self.app = Starlette(routes=routes(self.open_client, wait_s=wait_s))

    def open_client(self, person: Person) -> Client:
        return Client(self.host.backend, self.host.settings, person.name, owner=person.is_owner)

    def token(self, name: str, *, owner: bool = False) -> str:
        return create_token(
            self.store, make_sign_in({}, {}, lambda: Users(self.store)), name, owner=owner, now=time.time()
        )[1]

    def as_(self, name: str, *, owner: bool = False) -> TestClient:
        headers = {"Authorization": f"Bearer {self.token(name, owner=owner)}"}
        return TestClient(self.app, "http://testserver/api/v1", headers=headers, client=("192.0.2.7", 1))

    @property
    def here(self) -> TestClient:
        return TestClient(self.app, "http://127.0.0.1/api/v1", client=("127.0.0.1", 1))

    @property
    def stranger(self) -> TestClient:
        return TestClient(self.app, "http://192.0.2.1/api/v1", client=("192.0.2.7", 1))


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHost]:
    project = load(write_app(tmp_path_factory.mktemp("api") / "app"))
    with LocalHost(project) as host:
        host.reload(project)
        yield host


@pytest.fixture
def served(host: LocalHost) -> Served:
    return Served(host)


@pytest.fixture(scope="module")
def served_once(host: LocalHost) -> Served:
    return Served(host)


@pytest.fixture
def serve(host: LocalHost) -> Callable[..., Served]:
    return lambda **options: Served(host, **options)


@pytest.fixture
def ada(served: Served) -> TestClient:
    return served.as_("ada")


@contextmanager
def listen(app: Starlette) -> Iterator[str]:
    """Serve the app by uvicorn in a thread, on a free port of 127.0.0.1, and give its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off", loop="asyncio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, what="uvicorn")
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def listening() -> Callable[[Starlette], AbstractContextManager[str]]:
    return listen


@pytest.fixture
def url(served: Served) -> Iterator[str]:
    with listen(served.app) as url:
        yield url
