"""Three people and one app: a stakeholder uses it, a colleague sees what is shared, the owner learns from both."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from matinee.testing.harness import Dev, running_app

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def dev(guarded_app: Path) -> Iterator[Dev]:
    with running_app(guarded_app, timeout_s=240) as running:
        yield running


@pytest.fixture(scope="module")
def shared_run(visit_as: Any, dev: Dev) -> str:
    """The path of a run that the stakeholder predicted, rated, corrected, found again and shared."""
    page = visit_as("Ada")
    page.get_by_role("radio", name="Female", exact=True).click()
    page.get_by_label("Past activity").fill("curling")
    page.get_by_role("button", name="Predict").click()
    page.get_by_test_id("stFeedback").get_by_role("radio").first.click()
    page.get_by_label("Comment").fill("Not in summer")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("this is stored with the run").wait_for()
    page.get_by_role("link", name="History").first.click()
    page.get_by_text("female · curling").wait_for()
    page.get_by_role("link", name="Open").first.click()
    page.wait_for_url("**/run?id=*")
    page.get_by_text("Correct the result").click()
    page.get_by_role("textbox", name="Activity", exact=True).fill("sailing")
    page.get_by_role("button", name="Save the right result").click()
    page.get_by_text("this is stored with the run").wait_for()
    page.get_by_role("button", name="Link", exact=False).first.click()
    page.get_by_text("Everybody who may use this app can see and rate it").click()
    page.get_by_text("Shared.").wait_for()
    return str(page.url).removeprefix(f"{dev.url}/")


@pytest.fixture(scope="module")
def rows_run(visit_as: Any, dev: Dev) -> str:
    """The path of a run of many rows, by the stakeholder, not shared."""
    page = visit_as("Ada", "many-rows?predictor=recommend")
    rows = "gender,past_activity\n" + "male,snorkeling\n" * 40
    page.locator("input[type=file]").set_input_files(
        {"name": "club.csv", "mimeType": "text/csv", "buffer": rows.encode()}
    )
    page.get_by_role("button", name="Predict 40 rows").click()
    page.get_by_text("40 rows have a result").wait_for()
    page.get_by_role("link", name="History").first.click()
    page.get_by_text("40 rows of club.csv").first.wait_for()
    page.get_by_role("link", name="Open").first.click()
    page.wait_for_url("**/run?id=*")
    return str(page.url).removeprefix(f"{dev.url}/")


def test_a_colleague_sees_what_is_shared_and_nothing_else(shared_run, rows_run, visit_as, dev):
    page = visit_as("Ben", shared_run)
    page.get_by_text("curling").first.wait_for()
    page.get_by_text("by ada").first.wait_for()
    page.goto(f"{dev.url}/{rows_run}")
    page.get_by_role("heading", name="No such run").wait_for()
    page.get_by_role("link", name="History").first.click()
    page.get_by_text("Nothing has run yet").wait_for()
    assert "snorkeling" not in page.content()
    assert page.get_by_role("link", name="Insights").count() == 0


def test_the_owner_reads_insights_and_exports_everybodys_feedback(shared_run, rows_run, visit_as, dev):
    page = visit_as("Olga", "insights", owner=True)
    page.get_by_role("heading", name="Runs per day").wait_for()
    address = page.get_by_role("link", name="CSV").get_attribute("href")
    saved = page.request.get(f"{dev.url}{address}").text()
    rows = list(csv.DictReader(saved.lstrip(chr(0xFEFF)).splitlines()))
    assert rows
    assert "Not in summer" in saved
    assert "sailing" in saved


def test_a_token_of_the_owner_opens_the_api_until_it_is_revoked(shared_run, dev):
    def token(*words: str) -> str:
        command = [sys.executable, "-m", "matinee.cli.main", "token", *words, "--app", str(dev.output.parents[1])]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def runs(secret: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {secret}"}
        return httpx.get(f"{dev.url}/api/v1/runs?everybody=true", headers=headers, trust_env=False, timeout=30)

    secret = token("create", "olga", "--owner").split()[-1]
    assert shared_run.partition("id=")[2] in runs(secret).text
    token("revoke", "olga")
    assert runs(secret).status_code == 401
