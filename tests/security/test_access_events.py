"""Who came in, who was refused and who took data away: a line each, that the owner reads and nobody can forge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from matinee.access.events import record_event, send_events_to, stop_events
from matinee.access.gate import open_gate
from matinee.access.modes import make_sign_in
from matinee.api.routes import routes
from matinee.backends.factory import open_backend
from matinee.backends.local.logs import FolderLogs
from matinee.client.core import Client
from matinee.errors import ProjectError
from matinee.manifest import Release
from matinee.operate.logs import Which, read_logs
from matinee.project.load import load
from matinee.settings import Settings
from matinee.ui.sign_in import SignInMiddleware

ONE = "from matinee import realtime\n\n@realtime\ndef one() -> int:\n    return 1\n"


@pytest.fixture
def events():
    lines = []
    handler = send_events_to(lines.append)
    yield lines
    stop_events(handler)


@pytest.fixture
def browser(tmp_path: Path) -> TestClient:
    mode = make_sign_in({"mode": "password"}, {"MATINEE_PASSWORD": "open sesame"}, lambda: None)
    gate = open_gate(mode, app="tiny", data=tmp_path, environ={})
    inner = Starlette(routes=[Route("/", lambda _: PlainTextResponse("inside"))])
    app = SignInMiddleware(inner, gate, lambda: "Tiny")
    return TestClient(app, client=("192.0.2.7", 1), headers={"accept": "text/html"}, follow_redirects=False)


def send_form(browser: TestClient, name: str, password: str) -> int:
    token = browser.get("/sign-in").text.partition('name="token" value="')[2].partition('"')[0]
    return browser.post("/sign-in", data={"name": name, "password": password, "token": token}).status_code


def test_signing_in_and_out_and_a_wrong_password_leave_a_line_with_who_what_and_from_where(browser, events):
    assert send_form(browser, "eve", "guess") == 401
    assert send_form(browser, "Ada", "open sesame") == 303
    browser.post("/sign-out")
    assert [(e.fields["event"], e.fields["who"], e.fields["from"]) for e in events] == [
        ("sign-in refused", "eve", "192.0.2.7"),
        ("signed in", "ada", "192.0.2.7"),
        ("signed out", "ada", "192.0.2.7"),
    ]
    assert "guess" not in str(events)
    assert "sesame" not in str(events)


def test_a_token_that_is_not_valid_leaves_a_line_without_it(tmp_path: Path, events):
    settings = Settings(data=tmp_path)
    backend = open_backend(settings)
    backend.store.put_release(Release("tiny", "Tiny", 1, 0.0))
    app = Starlette(routes=routes(lambda person: Client(backend, settings, person.name)))
    here = TestClient(app, "http://127.0.0.1", client=("192.0.2.7", 1))
    assert here.get("/api/v1/runs", headers={"Authorization": "Bearer mat_secret"}).status_code == 401
    assert here.get("/api/v1/runs").status_code == 401
    backend.store.close()
    assert [(e.fields["event"], e.fields["from"]) for e in events] == [("token refused", "192.0.2.7")] * 2
    assert "mat_secret" not in str(events)


@pytest.mark.parametrize("is_owner", [True, False])
def test_an_export_leaves_a_line_and_so_does_one_that_is_refused(tmp_path, monkeypatch, events, is_owner):
    from matinee.ui import export, session

    mode = make_sign_in({}, {}, lambda: None)
    monkeypatch.setattr(session, "_gate", open_gate(mode, app="tiny", data=Path(), environ={}))
    backend = open_backend(Settings(data=tmp_path))
    client = Client(backend, Settings(), "local", owner=is_owner)
    monkeypatch.setattr(session, "client_of", lambda person: client)
    scope = {"type": "http", "method": "GET", "path": "/export", "query_string": b"", "headers": []}
    export.export_response(Request({**scope, "client": ("127.0.0.1", 1)}))
    backend.store.close()
    assert [(e.fields["event"], e.fields["who"], e.fields["from"]) for e in events] == [
        ("export" if is_owner else "export refused", "local", "127.0.0.1")
    ]


def test_what_a_stranger_types_begins_no_line_and_colours_no_terminal(events):
    record_event(
        "sign-in refused", 'x"\nsigned in: "olga" from 10.0.0.1\x1b[31m' + "\ud800" + "y" * 10_000, "192.0.2.7"
    )
    (line,) = events
    assert "\n" not in line.message
    assert "\x1b" not in line.message
    assert len(line.message) < 1500


def test_the_owner_reads_them_by_name(greeting_app: Path):
    settings = Settings(app="tiny", data=greeting_app / ".matinee")
    backend = open_backend(settings)
    backend.store.put_release(Release("tiny", "Tiny", 1, 0.0))
    backend.store.close()
    handler = send_events_to(lambda line: FolderLogs(settings.data / "logs").write([line]))
    record_event("signed in", "ada", "192.0.2.7")
    stop_events(handler)
    (line,) = read_logs(greeting_app, Which("access"))
    assert line.message == 'signed in: "ada" from 192.0.2.7'
    assert json.loads((settings.data / "logs/components/matinee-access.jsonl").read_text())["fields"]["who"] == "ada"


def test_no_component_writes_among_them(write_app):
    with pytest.raises(ProjectError, match="begin with matinee-"):
        load(write_app(**{"matinee-access": ONE}))


def test_a_full_disk_signs_nobody_out(browser):
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    handler = send_events_to(full)
    assert send_form(browser, "Ada", "open sesame") == 303
    stop_events(handler)
