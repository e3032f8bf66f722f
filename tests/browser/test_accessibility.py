"""Nobody is kept out: axe-core finds no serious violation on any page, in light and in dark."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from matinee.testing.harness import Dev, running_app

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HERE = Path(__file__).parent
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
MISSING = "axe-core is not there: `make axe` gets it and needs npm"
KNOWN = tomllib.loads((HERE / "known_to_axe.toml").read_text()).get("known", [])
GRAVE = ("serious", "critical")
BROKEN = "import nothing_of_that_name\n"
MOODY = """
from matinee import realtime

@realtime(memory_mb=256)
def moody(mood: str = "bad") -> str:
    '''Fail in a bad mood.'''
    if mood == "bad":
        raise ValueError("not today")
    return mood
"""
# Streamlit paints by transitions: what is measured half-way has the colours of neither theme.
STILL = """() => {
  const still = document.createElement("style");
  still.textContent = "*,*::before,*::after{transition:none!important;animation:none!important}";
  document.head.append(still);
}"""
# Streamlit redraws what is live by a timer of the page, and fades it meanwhile: while axe-core looks, no timer rings.
PAUSABLE = """{
  const set = window.setInterval;
  window.setInterval = (ring, ...more) => set((...told) => window.isPaused || ring(...told), ...more);
}"""
SETTLED = """() => {
  const app = document.querySelector("[data-test-script-state]");
  return !app || app.dataset.testScriptState === "notRunning";
}"""
INK = "getComputedStyle(document.querySelector('.stApp') || document.body).color"


@pytest.fixture(scope="module", autouse=True)
def axe() -> None:
    if not AXE.is_file():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)


@pytest.fixture(scope="module")
def dev(guarded_app: Path) -> Iterator[Dev]:
    """The Activity Recommender with sign-in, a predictor that fails and a component that does not load."""
    (guarded_app / "broken.py").write_text(BROKEN)
    (guarded_app / "moody.py").write_text(MOODY)
    toml = guarded_app / "matinee.toml"
    toml.write_text(toml.read_text().replace('"plan.py"]', '"plan.py", "moody.py", "broken.py"]'))
    with running_app(guarded_app, timeout_s=240) as running:
        yield running


@pytest.fixture(scope="module")
def owner(visit_as: Callable[..., Any]) -> Any:
    """A browser in which the owner is signed in; axe-core is a script, and not every page lets one in."""
    page = visit_as("Olga", owner=True, bypass_csp=True)
    page.context.add_init_script(PAUSABLE)
    page.close()
    return page.context


@pytest.fixture
def at(owner: Any, dev: Dev) -> Iterator[Callable[[str], Any]]:
    """Open a path as the owner."""
    pages = []

    def open_(path: str) -> Any:
        page = owner.new_page()
        pages.append(page)
        page.goto(f"{dev.url}/{path}")
        return page

    yield open_
    for page in pages:
        page.close()


def grave_violations(page: Any) -> list[str]:
    """Return what axe-core finds now, one line each: rule, selector, and what it says."""
    answer = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']} at {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for violation in answer["violations"]
        if violation["impact"] in GRAVE
        for node in violation["nodes"]
        if not is_known(page, violation["id"], node["target"])
    ]


def is_known(page: Any, rule: str, target: list[str]) -> bool:
    """Return whether the file of what we cannot reach names this rule for this element."""
    element = page.locator(target[-1]).first
    return any(
        element.evaluate("(element, selector) => element.matches(selector)", known["selector"])
        for known in KNOWN
        if known["rule"] == rule
    )


def check(page: Any) -> None:
    """Let axe-core look at the page in light and in dark."""
    page.evaluate(STILL)
    page.add_script_tag(path=AXE)
    page.evaluate("() => { window.isPaused = true }")
    found, ink = {}, ""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.wait_for_function("([probe, ink]) => eval(probe) !== ink", arg=[INK, ink])
        ink = page.evaluate(INK)
        page.wait_for_function(SETTLED)
        found[scheme] = grave_violations(page)
    page.evaluate("() => { window.isPaused = false }")
    assert found == {"light": [], "dark": []}


def test_sign_in(browser, dev):
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(dev.url)
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    check(page)
    context.close()


def test_a_predictor_with_its_result(at):
    page = at("")
    page.get_by_role("radio", name="Female", exact=True).click()
    page.get_by_label("Past activity").fill("swimming")
    page.get_by_role("button", name="Predict").click()
    page.get_by_text("Candidates").wait_for()
    check(page)


def test_a_predictor_with_what_does_not_validate(at):
    page = at("")
    page.get_by_label("Past activity").wait_for()
    page.get_by_role("button", name="Predict").click()
    page.get_by_text("is required").or_(page.get_by_text("missing")).first.wait_for()
    check(page)


def test_a_predictor_that_failed(at):
    page = at("moody")
    page.get_by_role("button", name="Predict").click()
    page.get_by_text("not today").first.wait_for()
    check(page)


def plan(page: Any, start: str, end: str) -> None:
    page.get_by_role("radio", name="Male", exact=True).click()
    page.get_by_label("Start", exact=True).fill(start)
    page.get_by_label("End", exact=True).fill(end)
    page.get_by_role("button", name="Start run").click()


def test_a_batch_run_that_runs(at):
    page = at("plan")
    plan(page, "2000-01-01", "2025-01-01")
    page.get_by_role("progressbar").wait_for()
    check(page)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("This run was cancelled.").wait_for()


def test_a_batch_run_that_is_done_and_its_own_page(at):
    page = at("plan")
    plan(page, "2026-01-01", "2026-01-05")
    page.get_by_role("button", name="CSV", exact=True).wait_for()
    check(page)
    page.get_by_role("link", name="Permanent link to this run").click()
    page.wait_for_url("**/run?id=*")
    page.get_by_role("button", name="CSV", exact=True).wait_for()
    page.get_by_role("button", name="Use it from code").click()
    page.locator("code.language-python").wait_for()
    check(page)


def test_many_rows(at, tmp_path):
    table = tmp_path / "people.csv"
    table.write_text("gender,past_activity\nfemale,swimming\nnobody,rowing\n")
    page = at("many-rows?predictor=recommend")
    page.locator("input[type=file]").set_input_files(table)
    page.get_by_text("1 of 2 rows fit").wait_for()
    check(page)


def test_history(at):
    page = at("history")
    page.get_by_role("link", name="Open").first.wait_for()
    check(page)


def test_a_component_in_trouble(at):
    page = at("component-broken")
    page.get_by_text("nothing_of_that_name").first.wait_for()
    check(page)


@pytest.mark.parametrize("path", ["insights", "about"])
def test_what_the_owner_sees(at, path):
    page = at(path)
    page.get_by_role("heading", level=1).first.wait_for()
    page.wait_for_load_state("networkidle")
    check(page)


def test_the_api_s_own_page(at, dev):
    command = [sys.executable, "-m", "matinee.cli.main", "token", "create", "olga", "--app", str(dev.output.parents[1])]
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    page = at("api/v1/docs")
    page.get_by_label("Token").fill(made.stdout.split()[-1])
    page.get_by_role("button", name="Use it").click()
    page.locator("summary").first.click()
    page.get_by_role("heading", level=3).first.wait_for()
    check(page)
