"""A stakeholder's afternoon, in a real browser: recommend, rate, plan, watch, download, and find it all again."""

from __future__ import annotations

import csv
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EXAMPLE = "activity"
PATIENCE_MS = 60_000  # for ninety predictions on a busy machine


def choose(page: Any, label: str) -> None:
    page.get_by_role("radio", name=label, exact=True).click()


def fill_date(page: Any, label: str, digits: str) -> None:
    """Type eight digits into the date's parts, year first."""
    page.get_by_role("group", name=label, exact=True).get_by_role("spinbutton").first.click()
    page.keyboard.type(digits)
    page.keyboard.press("Escape")  # closes the calendar


def test_recommend_and_rate_it(open_tab):
    page = open_tab()
    choose(page, "Female")
    page.get_by_label("Past activity").fill("swimming")
    page.get_by_role("button", name="Predict").click()
    page.get_by_text("Candidates").wait_for()
    page.get_by_role("link", name="Permanent link to this run").wait_for()
    page.get_by_test_id("stFeedback").get_by_role("radio").first.click()
    page.get_by_label("Comment").fill("Just what I needed")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("this is stored with the run").wait_for()
    page.get_by_role("link", name="Permanent link to this run").click()
    page.wait_for_url("**/run?id=*")
    again = open_tab(page.url.rpartition("/")[2])
    again.get_by_label("Comment").wait_for()
    assert again.get_by_label("Comment").input_value() == "Just what I needed"


def test_an_end_before_the_start_is_said_at_the_field(open_tab):
    page = open_tab("plan")
    choose(page, "Male")
    fill_date(page, "Start", "20260601")
    fill_date(page, "End", "20260530")
    page.get_by_role("button", name="Start run").click()
    page.get_by_text("End must be after start.").wait_for()


def test_plan_watch_close_the_tab_and_find_it_again(open_tab, tmp_path):
    page = open_tab("plan")
    choose(page, "Undisclosed")
    fill_date(page, "Start", "20260101")
    fill_date(page, "End", "20260401")
    page.get_by_role("button", name="Start run").click()
    page.get_by_text("the run goes on and stays in History").wait_for()
    page.close()

    page = open_tab("history")
    page.get_by_text("undisclosed · 2026-01-01 · 2026-04-01").wait_for()
    page.get_by_role("link", name="Open").first.click()
    page.get_by_role("button", name="CSV").wait_for(timeout=PATIENCE_MS)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    saved = tmp_path / "plan.csv"
    download.value.save_as(saved)
    rows = list(csv.DictReader(saved.open()))
    assert [rows[0]["date"], rows[-1]["date"], len(rows)] == ["2026-01-01", "2026-03-31", 90]
    assert all(row["activity"] for row in rows)


def test_progress_is_live_and_a_run_can_be_cancelled(open_tab):
    page = open_tab("plan")
    choose(page, "Male")
    fill_date(page, "Start", "20000101")
    fill_date(page, "End", "20250101")
    page.get_by_role("button", name="Start run").click()
    bar = page.get_by_role("progressbar")
    bar.wait_for()
    first = bar.text_content() or bar.get_attribute("aria-valuenow")
    page.wait_for_function(
        "first => { const bar = document.querySelector('[role=progressbar]');"
        " return bar && (bar.textContent || bar.ariaValueNow) !== first }",
        arg=first,
    )
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("This run was cancelled.").wait_for()
