"""A mail server and a webhook's receiver, both real and local; a store with one batch run."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message as Letter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from matinee.backends.factory import Backend
from matinee.backends.local.store import SqliteStore
from matinee.client.core import Client
from matinee.manifest import Release
from matinee.runs import Failure, Run, Status, claim, fail, new_run_id, succeed
from matinee.settings import Settings

NOW = 1_780_000_000.0


@dataclass
class MailServer:
    """`refuse` maps an address to the code it is refused with."""

    port: int = 0
    letters: list[Letter] = field(default_factory=list)
    refuse: dict[str, int] = field(default_factory=dict)
    down: bool = False


@dataclass
class Receiver:
    """`answers` are given one after the other, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def mail() -> Iterator[MailServer]:
    kept = MailServer()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

        def handle(self) -> None:
            self.say("421 closing" if kept.down else "220 here")
            while line := self.rfile.readline().decode().strip():
                verb, _, rest = line.upper().partition(" ")
                if verb == "DATA":
                    self.say("354 go on")
                    kept.letters.append(message_from_bytes(b"".join(iter(self.rfile.readline, b".\r\n"))))
                address = rest.partition("<")[2].partition(">")[0].lower()
                code = kept.refuse.get(address, 250) if verb == "RCPT" else 221 if verb == "QUIT" else 250
                self.say(f"{code} so")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        kept.port = server.server_address[1]
        with _serving(server):
            yield kept


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.calls.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(kept.answers.pop(0) if kept.answers else 200)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.url = f"http://127.0.0.1:{server.server_address[1]}/hook?a=1"
        with _serving(server):
            yield kept


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "state.db")
    yield store
    store.close()


@pytest.fixture
def client_of(store: SqliteStore, mail: MailServer, receiver: Receiver) -> Callable[..., Client]:
    """Return a function that gives a person's client; what it is told of `[notices]` is live."""

    def give(user: str = "ana", **notices: Any) -> Client:
        settings = {"webhooks": True, "private_addresses": True, "smtp_host": "127.0.0.1", "smtp_port": mail.port}
        settings |= {"smtp_security": "none", "sender": "App <app@example.com>", **notices}
        settings.setdefault("webhook_ports", [9, *([urlsplit(receiver.url).port] if receiver.url else [])])
        store.put_release(Release("tiny", "Tiny", 1, 0.0, details={"notices": settings}))
        backend = Backend(store, None, None, None)  # type: ignore[arg-type]
        return Client(backend, Settings(), user, clock=lambda: NOW)

    return give


@pytest.fixture
def run(store: SqliteStore) -> Run:
    run = Run(new_run_id(NOW), "plan", "batch", "ana", Status.QUEUED, {}, NOW)
    return store.submit([run])[0]


@pytest.fixture
def finish(store: SqliteStore) -> Callable[..., Run]:
    def end(run: Run, failure: Failure | None = None) -> Run:
        entry = store.entry(run.predictor, run.id)
        assert entry
        change = claim(run, entry, owner="w", version="v1", now=NOW)
        assert store.apply(change)
        running, held = change.recorded, change.recorded_entry
        if failure:
            change = fail(running, held, failure=failure, now=NOW + 60, retries=0, delay_s=0)
        else:
            change = succeed(running, result=1, now=NOW + 60)
        assert store.apply(change)
        return change.recorded

    return end
