"""No page of another site, and no name made to lead here, reaches any route; no file that is served can run."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from streamlit.file_util import get_static_dir
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from matinee.access.reach import ANY_HOST, names_of, refusal
from matinee.settings import Settings
from matinee.testing.harness import wait_until
from matinee.ui.guard import Guard, Rules, hash_source, page_policy, scripts_of

ROUTES = (
    "/",
    "/history",
    "/export?format=jsonl",
    "/media/0123.png",
    "/_stcore/health",
    "/_stcore/host-config",
    "/_stcore/metrics",
    "/_stcore/agent/openapi.json",
    "/static/js/index.js",
    "/component/x/index.html",
    "/api/v1/openapi.json",
    "/api/v1/docs",
    "/mcp",
)
PAGES = ("/", "/history", "/run?id=1")
PLAIN = Rules()
NAVIGATION = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a UI that nobody signs in to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "matinee.ui.serve", "--port", str(port)],
        env={**os.environ, **Settings(app="tiny", data=tmp_path_factory.mktemp("data")).environment()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def is_healthy() -> bool:
        assert process.poll() is None
        try:
            return ask(port, "/_stcore/health")[0] == 200
        except OSError:
            return False

    try:
        wait_until(is_healthy, timeout_s=60, what="the UI")
        yield port
    finally:
        process.kill()
        process.wait(10)


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Send a request with exactly these headers and return status, headers and body."""
    sent = {"host": f"127.0.0.1:{port}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("path", ROUTES)
def test_a_name_that_was_made_to_lead_here_gets_nothing(port, path):
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example", ""):
        status, _, body = ask(port, path, host=host)
        assert (status, b"not called" in body) == (403, True), (host, body)


@pytest.mark.slow
@pytest.mark.parametrize("path", ROUTES)
def test_a_page_of_another_site_or_of_another_port_of_this_machine_gets_nothing(port, path):
    other = f"http://127.0.0.1:{port + 1}"
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": other},
        {"origin": f"http://localhost:{port}"},  # another name is another origin
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},  # what a page of another port says
        {**NAVIGATION, "sec-fetch-dest": "iframe"},
    ):
        status, _, _ = ask(port, path, **headers)
        assert status == 403, (path, headers)
        if path in PAGES:
            assert ask(port, path, "POST", **{**NAVIGATION, **headers})[0] == 403


@pytest.mark.slow
def test_a_link_on_another_site_leads_to_pages_and_to_nothing_else(port):
    for path in PAGES:
        assert ask(port, path, **NAVIGATION)[0] == 200
    for path in set(ROUTES) - set(PAGES):
        assert ask(port, path, **NAVIGATION)[0] == 403, path


@pytest.mark.slow
def test_its_own_pages_and_programs_are_served_by_every_name_of_this_machine(port):
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
        own = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
        assert ask(port, "/_stcore/host-config", **own)[0] == 200
        assert ask(port, "/history", host=host)[0] == 200


@pytest.mark.slow
def test_the_websocket_is_opened_for_its_own_pages_alone(port):
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    for origin in ("https://evil.example", f"http://127.0.0.1:{port + 1}", f"http://localhost:{port + 1}", "null"):
        with pytest.raises(InvalidStatus) as refused:
            connect(address, origin=origin, subprotocols=["streamlit"], proxy=None)
        assert refused.value.response.status_code == 403
    with connect(address, origin=f"http://127.0.0.1:{port}", subprotocols=["streamlit"], proxy=None):
        pass


@pytest.mark.slow
def test_a_program_with_a_token_is_judged_by_the_token_alone(port):
    status, headers, body = ask(port, "/api/v1/predictors", host="demo.example", authorization="Bearer mat_x")
    assert (status, headers["content-type"]) == (401, "application/problem+json")
    assert "token" in json.loads(body)["title"].lower()


@pytest.mark.slow
def test_every_page_says_what_may_run_and_who_may_frame_it(port):
    for path in (*PAGES, "/nothing-here"):
        _, headers, body = ask(port, path)
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'self'" in policy
        assert "http" not in policy and "*" not in policy, "nothing from elsewhere"
        scripts = re.search(r"script-src ([^;]*)", policy)
        assert scripts and "unsafe-inline" not in scripts[1] and "'unsafe-eval'" not in scripts[1]
        assert headers["x-content-type-options"] == "nosniff"
        assert b"<script" in body
    for path in ("/_stcore/health", "/media/none.png", "/export?format=csv", "/api/v1/docs", "/static/nothing.js"):
        assert ask(port, path)[1]["x-content-type-options"] == "nosniff", path


# --- the parts ----------------------------------------------------------------------------------------------------


def guarded(media_type: str = "text/html", rules: Rules = PLAIN, **headers: str) -> TestClient:
    def page(_request):
        answer = Response(b"<script>alert(1)</script>", headers=headers)
        answer.headers["content-type"] = media_type
        return answer

    inner = Starlette(routes=[Route("/media/1", page), Route("/", lambda _: HTMLResponse("<p>"))])
    return TestClient(Guard(inner, {"testserver"}, lambda: rules))


@pytest.mark.parametrize(
    "media_type",
    [
        "text/html",
        "audio/x,text/html",
        "image/png, text/html",
        "image/svg+xml; charset=utf-8",
        "image/svg+xml",
        "application/xhtml+xml",
        "text/xml",
        "text/javascript",
        "application/pdf",
        "multipart/x-mixed-replace",
        "",
        "TEXT/HTML",
    ],
)
def test_what_could_run_is_saved_and_never_shown_as_a_page(media_type):
    headers = guarded(media_type).get("/media/1").headers
    assert headers["content-disposition"].startswith("attachment")
    assert headers["content-type"].startswith(("application/octet-stream", "image/svg+xml"))
    assert {"sandbox", "default-src 'none'"} <= set(headers["content-security-policy"].split("; "))
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "audio/mpeg", "video/mp4"])
def test_a_picture_a_sound_and_a_video_are_shown(media_type):
    headers = guarded(media_type).get("/media/1").headers
    assert headers["content-type"] == media_type
    assert "content-disposition" not in headers


def test_a_download_keeps_its_name_and_type_but_not_a_type_that_is_none():
    kept = guarded("text/csv", **{"content-disposition": 'attachment; filename="a.csv"'}).get("/media/1").headers
    assert (kept["content-type"], kept["content-disposition"]) == ("text/csv", 'attachment; filename="a.csv"')
    two = guarded("text/csv,text/html", **{"content-disposition": "attachment"}).get("/media/1").headers
    assert two["content-type"] == "application/octet-stream"


def test_ui_adds_sources_frames_and_names():
    rules = Rules(("https://tiles.example.com",), ("https://hub.example.com",), frozenset({"demo.example.com"}))
    app = guarded(rules=rules)
    policy = app.get("/").headers["content-security-policy"]
    assert "img-src 'self' blob: data: https://tiles.example.com;" in policy
    assert "frame-ancestors 'self' https://hub.example.com" in policy
    framed = {**NAVIGATION, "sec-fetch-dest": "iframe"}
    assert app.get("/", headers=framed).status_code == 200
    assert guarded().get("/", headers=framed).status_code == 403
    proxied = {"host": "demo.example.com", "origin": "https://demo.example.com"}
    assert app.get("/", headers=proxied).status_code == 200
    assert app.get("/", headers={"origin": "https://demo.example.com"}).status_code == 200, "a proxy puts its own Host"
    assert guarded().get("/", headers=proxied).status_code == 403


def test_inline_scripts_run_only_where_the_owner_said_so():
    own = [hash_source(script) for script in scripts_of(Path(get_static_dir()) / "index.html")]
    assert own, "Streamlit's page has a script of its own"
    assert "'unsafe-inline'" not in page_policy(Rules(), own).partition("script-src")[2].partition(";")[0]
    scripts = page_policy(Rules(("'unsafe-inline'",)), own).partition("script-src")[2].partition(";")[0]
    assert "'unsafe-inline'" in scripts
    assert "sha256" not in scripts, "a hash would take it back"


@pytest.mark.parametrize(
    ("listens_on", "host", "is_served"),
    [
        ("127.0.0.1", "localhost:8501", True),
        ("127.0.0.1", "192.168.1.7:8501", True),  # no name leads to an address
        ("127.0.0.1", "[fe80::1]:8501", True),
        ("127.0.0.1", "localhost.", False),
        ("127.0.0.1", socket.gethostname().lower() + ".example", False),
        ("0.0.0.0", socket.gethostname().lower(), True),
        ("0.0.0.0", "evil.example", False),
    ],
)
def test_which_names_are_its_own(listens_on, host, is_served):
    assert (refusal(Headers({"host": host}), names_of(listens_on)) == "") is is_served


def test_two_hosts_are_none_and_behind_a_load_balancer_any_one_is_right():
    two = Headers(raw=[(b"host", b"localhost"), (b"host", b"evil.example")])
    assert refusal(two, names_of("127.0.0.1"))
    assert not refusal(Headers({"host": "app.example", "origin": "https://app.example"}), {ANY_HOST})
    assert refusal(Headers({"host": "app.example", "origin": "https://evil.example"}), {ANY_HOST})


def test_rules_that_cannot_be_read_close_the_page_no_further():
    from matinee.errors import BackendError

    def fail() -> Rules:
        raise BackendError("The store is away.")

    app = TestClient(Guard(Starlette(routes=[Route("/", lambda _: HTMLResponse("<p>"))]), {"testserver"}, fail))
    assert "frame-ancestors 'self'" in app.get("/").headers["content-security-policy"]


def test_what_is_no_request_passes():
    seen = []

    async def inner(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(Guard(inner, set(), Rules)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
