"""A running example and a browser that asks nobody but it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from matinee.backends.local.dev_record import DevRecord
from matinee.testing.harness import Dev, running_app, wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PASSWORD, OWNER_PASSWORD = "open sesame", "mine alone"
PATIENCE_MS = 60_000  # on a machine busy with other tests


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Play a module's story once for each of its WAYS to run the app.

    They are options of `matinee dev`, as in "--containers"; or DEPLOYED, by `matinee rehearse`, as on AWS.
    """
    ways = getattr(metafunc.module, "WAYS", None)
    if ways and "dev" in metafunc.fixturenames:
        metafunc.parametrize("dev", ways, indirect=True, ids=lambda way: way or "processes", scope="module")


DEPLOYED = "rehearse"


@pytest.fixture(scope="module")
def dev(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """The example named by the module's EXAMPLE, run from a copy of its folder; or its SOURCE, an app of one file."""
    if source := getattr(request.module, "SOURCE", ""):
        file = tmp_path_factory.mktemp("apps") / "app.py"
        file.write_text(source)
        with running_app(file, timeout_s=240) as running:
            yield running
        return
    name, way = request.module.EXAMPLE, getattr(request, "param", "")
    if way == "--containers":
        request.getfixturevalue("engine")
    folder = tmp_path_factory.mktemp("apps") / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns(".matinee", "__pycache__"))
    run = partial(deployed_app, folder) if way == DEPLOYED else partial(running_app, folder, *way.split())
    with run(timeout_s=240) as running:
        yield running


@contextmanager
def deployed_app(folder: Path, timeout_s: float) -> Iterator[Dev]:
    """Run `matinee rehearse` on an app until the block ends: the same pages, deployed to an emulated AWS."""
    output = folder / ".matinee" / "rehearse.log"
    output.parent.mkdir(exist_ok=True)
    with output.open("wb") as log:
        command = [sys.executable, "-m", "matinee.cli.main", "rehearse", "--app", str(folder)]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until(
            lambda: process.poll() is not None or "Ready after" in output.read_text(),
            timeout_s=timeout_s,
            what="`matinee rehearse`",
        )
        told = re.search(r"Ready after .* s: (http://\S+)", output.read_text())
        assert told, output.read_text()
        yield Dev(process, DevRecord(process.pid, "", told[1]), output)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS.split())
        yield chromium
        chromium.close()


@pytest.fixture
def loaded_by_ui(dev: Dev) -> Callable[[], str]:
    """Return what the process that serves the UI has loaded: /proc's list of its libraries."""

    def read() -> str:
        port, app = dev.url.rpartition(":")[2].strip("/"), dev.output.parents[1]
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and int(process.name) != os.getpid():
                try:
                    command = (process / "cmdline").read_bytes().split(b"\0")
                    told = (process / "environ").read_bytes()
                except OSError:
                    continue
                is_local = b"matinee.ui.serve" in command and port.encode() in command
                is_deployed = command[2:4] == [b"matinee.start", b"ui"] and str(app).encode() in told
                if is_local or is_deployed:
                    return (process / "maps").read_text()
        raise AssertionError(f"nobody serves {dev.url}")

    return read


@pytest.fixture
def token_of(dev: Dev) -> Callable[[str], str]:
    """Make a token of the deployed app, as its owner does from another shell: with the variables that are printed."""

    def make(person: str) -> str:
        app = dev.output.parents[1]
        told = re.search(r"export (MATINEE_AWS_ENDPOINT=.*)", dev.text)
        assert told, dev.text
        done = subprocess.run(
            [sys.executable, "-m", "matinee.cli.main", "token", "create", person, "--stage", "dev", "--json"],
            cwd=app,
            env={**os.environ, **dict(pair.split("=", 1) for pair in told[1].split())},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["secret"])

    return make


def wait_for(page: Any, script: str, *arguments: Any) -> None:
    """Wait until a script of the test gives something true; the page's own policy forbids Playwright's way to wait."""
    wait_until(lambda: page.evaluate(script, *arguments), timeout_s=PATIENCE_MS / 1000, what=script)


@pytest.fixture
def open_tab(browser: Any, dev: Dev) -> Iterator[Callable[..., Any]]:
    """Open a new tab, as another visit, at a path. Every request must stay with the app."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))

    def open_(path: str = "") -> Any:
        page = context.new_page()
        page.goto(f"{dev.url}/{path}")
        return page

    yield open_
    context.close()
    strangers = [url for url in asked if url.startswith("http") and not url.startswith(dev.url)]
    assert not strangers, "a page asked somebody else"


@pytest.fixture(scope="module")
def guarded_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Activity Recommender in a folder of its own, with sign-in: to change, and then to run."""
    folder = tmp_path_factory.mktemp("apps") / "activity"
    shutil.copytree(EXAMPLES / "activity", folder, ignore=shutil.ignore_patterns(".matinee", "__pycache__"))
    toml = folder / "matinee.toml"
    toml.write_text(toml.read_text() + '\n[auth]\nmode = "password"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATINEE_PASSWORD", PASSWORD)
        patch.setenv("MATINEE_OWNER_PASSWORD", OWNER_PASSWORD)
        yield folder


@pytest.fixture(scope="module")
def visit_as(browser: Any, dev: Dev) -> Iterator[Callable[..., Any]]:
    """Sign somebody in with a browser of their own, and give its page."""
    contexts = []

    def visit(name: str, path: str = "", *, owner: bool = False, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": 1200, "height": 800}, **options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{dev.url}/{path}")
        page.get_by_label("Your name").fill(name)
        page.get_by_label("Password").fill(OWNER_PASSWORD if owner else PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text(f"Signed in as {name.lower()}").wait_for()
        return page

    yield visit
    for context in contexts:
        context.close()
