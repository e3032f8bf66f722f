"""Make docs/images anew from examples/activity: `.venv/bin/python scripts/screenshots.py [NAME …]`.

A copy of the example runs with sign-in, the owner uses it for a while, and each page is drawn at 1200 by 800.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matinee.testing.harness import running_app

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
PASSWORD, OWNER_PASSWORD = "open sesame", "mine alone"
PEOPLE = ("Female;swimming", "Male;chess", "Female;rowing", "Undisclosed;shopping", "nobody;", "Male;reading")
PATIENCE_MS = 120_000
Shot = Callable[[Any], None]


def main(names: list[str]) -> None:
    """Draw all pages, or write only the pictures that are named."""
    os.environ.update(MATINEE_PASSWORD=PASSWORD, MATINEE_OWNER_PASSWORD=OWNER_PASSWORD)
    with tempfile.TemporaryDirectory() as folder, running(app_in(Path(folder))) as page:
        for name, shot in SHOTS.items():
            shot(page)
            if not names or name in names:
                save(page, name)


def app_in(folder: Path) -> Path:
    """Copy the example there, with sign-in."""
    app = folder / "activity"
    shutil.copytree(ROOT / "examples" / "activity", app, ignore=shutil.ignore_patterns(".matinee", "__pycache__"))
    toml = app / "matinee.toml"
    toml.write_text(toml.read_text() + '\n[auth]\nmode = "password"\n')
    return app


@contextmanager
def running(app: Path) -> Iterator[Any]:
    """Run the app and give a browser's page."""
    from playwright.sync_api import sync_playwright

    with running_app(app, timeout_s=240) as dev, sync_playwright() as playwright:
        os.environ["TOKEN"] = token_of(app)
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        page = chromium.new_page(
            base_url=dev.url, viewport={"width": 1200, "height": 800}, color_scheme="light", reduced_motion="reduce"
        )
        page.set_default_timeout(PATIENCE_MS)
        yield page
        chromium.close()


def token_of(app: Path) -> str:
    """Return a new token of the HTTP API."""
    command = [sys.executable, "-m", "matinee.cli.main", "token", "create", "olga", "--app", str(app)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()[-1]


def save(page: Any, name: str) -> None:
    """Write the picture once nothing moves any more."""
    page.wait_for_load_state("networkidle")
    page.mouse.move(1190, 790)
    page.locator("[data-testid=stSkeleton],[data-stale=true]").first.wait_for(state="detached")
    page.screenshot(path=IMAGES / f"{name}.png", animations="disabled", caret="hide")


def sign_in(page: Any) -> None:
    page.goto("/")
    page.get_by_label("Your name").wait_for()


def recommend(page: Any) -> None:
    """Sign in, predict a few times, and rate."""
    page.get_by_label("Your name").fill("Olga")
    page.get_by_label("Password").fill(OWNER_PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("Signed in as olga").wait_for()
    for gender, activity in (("Male", "chess"), ("Undisclosed", "reading"), ("Female", "swimming")):
        page.goto("/")
        page.get_by_role("radio", name=gender, exact=True).click()
        page.get_by_label("Past activity").fill(activity)
        page.get_by_role("button", name="Predict").click()
        page.get_by_text("Candidates").wait_for()
        thumb = page.get_by_test_id("stFeedback").get_by_role("radio")
        (thumb.first if gender == "Male" else thumb.last).click()
    page.get_by_role("radio", name="Female", exact=True).focus()
    page.evaluate("document.activeElement.blur()")


def plan(page: Any) -> None:
    page.goto("/plan")
    page.get_by_role("radio", name="Female", exact=True).click()
    for label, digits in (("Start", "20260601"), ("End", "20260608")):
        page.get_by_role("group", name=label, exact=True).get_by_role("spinbutton").first.click()
        page.keyboard.type(digits)
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Start run").click()
    page.get_by_role("button", name="CSV").wait_for()


def run(page: Any) -> None:
    page.get_by_role("link", name="Permanent link to this run").click()
    page.wait_for_url("**/run?id=*")
    page.get_by_role("button", name="CSV").wait_for()


def many_rows(page: Any) -> None:
    rows = "\n".join(["Gender;Past activity", *PEOPLE * 20]).encode()
    page.goto("/many-rows?predictor=recommend")
    page.locator("input[type=file]").set_input_files({"name": "people.csv", "mimeType": "text/csv", "buffer": rows})
    page.get_by_text("rows fit").wait_for()


def history(page: Any) -> None:
    page.get_by_role("button", name="Predict 100 rows").click()
    page.get_by_text("100 of 120 rows have a result").wait_for()
    page.goto("/history")
    page.get_by_text("120 rows of people.csv").first.wait_for()


def insights(page: Any) -> None:
    page.goto("/insights")
    page.get_by_role("heading", name="Runs per day").wait_for()
    page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").first.wait_for()


def about(page: Any) -> None:
    page.goto("/about")
    page.get_by_role("heading", level=1).first.wait_for()


def api_docs(page: Any) -> None:
    page.goto("/api/v1/docs")
    page.get_by_label("Token").fill(os.environ["TOKEN"])
    page.get_by_role("button", name="Use it").click()
    page.get_by_text("/predictors").first.wait_for()


SHOTS: dict[str, Shot] = {
    "sign-in": sign_in,
    "recommend": recommend,
    "plan": plan,
    "run": run,
    "many-rows": many_rows,
    "history": history,
    "insights": insights,
    "about": about,
    "api-docs": api_docs,
}

if __name__ == "__main__":
    main(sys.argv[1:])
