"""An owner's afternoon in a real browser: own pages, saved and shown anew; told when a run is done; insights."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from matinee.testing.harness import Dev, running_app, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FLAGS = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update"
PATIENCE_MS = 60_000


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


HOOK_PORT = free_port()  # the app names it before the receiver listens
FILES = {
    "matinee.toml": f"""
        name = "tiny"
        components = ["greeting.py"]
        [ui]
        icon = "🎲"
        pages = ["report.py"]
        [notices]
        webhooks = true
        private_addresses = true
        url = "https://app.example.com"
        webhook_ports = [{HOOK_PORT}]
    """,
    "greeting.py": """
        import time
        from matinee import batch, realtime

        @realtime
        def greet(name: str) -> str:
            "Say hello."
            return f"Hello, {name}!"

        @batch
        def slow(seconds: float = 6.0) -> str:
            "Take your time."
            time.sleep(seconds)
            return "rested"
    """,
    "ui.py": """
        import matinee
        import streamlit as st

        app = matinee.connect()
        st.title("Welcome")
        name = st.text_input("Who are you?", "Ada")
        if st.button("Greet me"):
            st.success(app.greet(name=name))
    """,
    "report.py": "import streamlit as st\nst.title('First words')\n",
    "README.md": "# Tiny\n\nIt greets.\n",
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import textwrap

    folder = tmp_path_factory.mktemp("apps") / "tiny"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(textwrap.dedent(text))
    return folder


@pytest.fixture(scope="module")
def dev(app: Path) -> Iterator[Dev]:
    with running_app(app, timeout_s=240) as running:
        yield running


@pytest.fixture(scope="module")
def tab(dev: Dev) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS.split())
        context = chromium.new_context(viewport={"width": 1200, "height": 900})
        context.set_default_timeout(PATIENCE_MS)
        context.on("request", lambda request: asked.append(request.url))
        yield context.new_page()
        chromium.close()
    assert not [url for url in asked if url.startswith("http") and not url.startswith(dev.url)]


@pytest.fixture
def hook() -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", HOOK_PORT), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", bodies
        server.shutdown()
        thread.join()


def test_a_page_of_ones_own_predicts_and_is_shown_anew_when_saved(tab, dev, app):
    tab.goto(dev.url)
    tab.get_by_role("heading", name="Welcome").wait_for()
    tab.get_by_role("button", name="Greet me").click()
    tab.get_by_text("Hello, Ada!").wait_for()
    tab.get_by_role("link", name="Report").click()
    tab.get_by_role("heading", name="First words").wait_for()
    (app / "report.py").write_text("import streamlit as st\nst.title('Second words')\n1 / 0\n")
    tab.get_by_role("heading", name="Second words").wait_for()
    tab.get_by_text("ZeroDivisionError: division by zero").first.wait_for()
    tab.get_by_role("link", name="About").click()
    tab.get_by_text("It greets.").wait_for()


def test_a_run_tells_when_it_is_done_by_webhook_and_badge(tab, dev, hook):
    url, bodies = hook
    tab.goto(f"{dev.url}/slow")
    tab.get_by_role("button", name="Start run").click()
    tab.get_by_role("link", name="Permanent link to this run").click()
    tab.get_by_text("Tell me when it is done").click()
    tab.get_by_label("Webhook").fill(url)
    tab.get_by_role("button", name="Save").click()
    tab.get_by_text(f"webhook to {url}").wait_for()
    tab.get_by_role("link", name="History").click()
    tab.get_by_text("1 finished").wait_for()
    (body,) = wait_until(lambda: list(bodies), what="the webhook")
    told = json.loads(body)["data"]
    assert told["status"] == "succeeded"
    assert told["link"] == f"https://app.example.com/run?id={told['run']}"
    tab.goto(told["link"].replace("https://app.example.com", dev.url))
    tab.get_by_role("button", name="Run again").wait_for()
    tab.get_by_text("1 finished").wait_for(state="detached")


def test_the_owner_reads_insights_and_exports_everything(tab, dev, tmp_path):
    tab.goto(f"{dev.url}/insights")
    tab.get_by_role("heading", name="Runs per day").wait_for()
    tab.locator("canvas, svg.marks").first.wait_for()
    tab.get_by_text("Only runs somebody rated").click()
    with tab.expect_download() as download:
        tab.get_by_role("link", name="JSON Lines").click()
    download.value.save_as(tmp_path / "runs.jsonl")
    found = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert sorted(run["predictor"] for run in found) == ["greet", "slow"]
