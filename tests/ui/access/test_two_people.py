"""Two colleagues and the owner in a real browser: who sees what, reloads, shares and signs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from matinee.testing.harness import Dev, running_app

pytestmark = [pytest.mark.browser, pytest.mark.slow]
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
PATIENCE_MS = 60_000


@pytest.fixture
def dev(greeting_app: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dev]:
    toml = greeting_app / "matinee.toml"
    toml.write_text(toml.read_text() + '\n[auth]\nmode = "password"\n')
    monkeypatch.setenv("MATINEE_PASSWORD", "open sesame")
    monkeypatch.setenv("MATINEE_OWNER_PASSWORD", "mine alone")
    with running_app(greeting_app, "--port", "8940") as running:
        yield running


@pytest.fixture
def visit(dev: Dev) -> Iterator[Callable[..., Any]]:
    """Open the app as a new person with a browser of their own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(FLAGS))

        def visit_as(name: str, password: str = "open sesame", path: str = "/") -> Any:
            page = chromium.new_context(viewport={"width": 1100, "height": 800}).new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(f"{dev.url}{path}")
            page.get_by_label("Your name").fill(name)
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_text(f"Signed in as {name.lower()}").wait_for()
            return page

        yield visit_as
        chromium.close()


def predict(page: Any, name: str) -> str:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Predict").click()
    page.get_by_role("link", name="Permanent link to this run").click()
    page.wait_for_url("**/run?id=*")
    return str(page.url)


def test_a_run_is_its_persons_until_it_is_shared_and_the_owners_always(visit, dev):
    ada = visit("Ada")
    run = predict(ada, "Grace")
    path = run.removeprefix(dev.url)
    ada.reload()
    ada.get_by_text("Hello, Grace!").first.wait_for()

    ben = visit("Ben", path=path)
    ben.get_by_text("There is no run").wait_for()
    ben.get_by_role("link", name="History").first.click()
    ben.get_by_text("Nothing has run yet").wait_for()
    assert "Grace" not in ben.content()

    olga = visit("Olga", "mine alone", path=path)
    olga.get_by_text("Hello, Grace!").first.wait_for()

    ada.get_by_role("link", name="Sign out").click()
    ada.get_by_role("button", name="Sign out").click()
    ada.get_by_label("Your name").wait_for()
    ada.goto(run)
    ada.get_by_label("Your name").wait_for()
    assert "Grace" not in ada.content()


def test_a_page_that_is_open_when_its_cookie_ends_says_so(visit):
    ada = visit("Ada")
    other = ada.context.new_page()
    other.goto(ada.url)
    other.get_by_role("link", name="Sign out").click()
    other.get_by_role("button", name="Sign out").click()
    other.get_by_label("Your name").wait_for()
    ada.get_by_label("Name", exact=True).fill("Grace")
    ada.get_by_role("button", name="Predict").click()
    ada.get_by_text("You are signed out").first.wait_for()
    assert "Hello, Grace!" not in ada.content()
