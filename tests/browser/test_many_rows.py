"""A stakeholder uploads a table, sees which row does not fit, starts the others and downloads what came of it."""

from __future__ import annotations

import csv

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EXAMPLE = "activity"
PATIENCE_MS = 120_000


def test_a_table_is_checked_predicted_and_downloaded(open_tab, tmp_path):
    table = tmp_path / "people.csv"
    lines = [f"{n};{('Female', 'male')[n % 2]};swimming" for n in range(300)]
    table.write_text("\n".join(["id;Gender;Past activity", *lines, "300;nobody;"]), encoding="utf-16")
    page = open_tab()
    page.get_by_role("link", name="Many rows at once").click()
    page.get_by_role("heading", name="Many rows: Recommend").wait_for()
    page.locator("input[type=file]").set_input_files(table)
    page.get_by_text("300 of 301 rows fit; 1 does not").wait_for(timeout=PATIENCE_MS)
    page.get_by_text("The text is read as UTF-16").wait_for()
    page.get_by_text("is not one of male, female, undisclosed").wait_for()
    page.get_by_role("button", name="Predict 300 rows").click()
    page.get_by_text("300 of 301 rows have a result; 1 has an error instead.").wait_for(timeout=PATIENCE_MS)
    page.get_by_text("301 rows of people.csv").wait_for()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="CSV", exact=False).first.click()
    rows = list(csv.DictReader(waiting.value.path().read_text("utf-8-sig").splitlines()))
    assert len(rows) == 301
    assert list(rows[0])[:3] == ["id", "Gender", "Past activity"]
    assert rows[0]["activity"]
    assert rows[300]["error"].startswith("gender: is not one of")
    page.get_by_role("link", name="History").first.click()
    page.get_by_text("301 rows of people.csv").first.wait_for()


def test_what_is_no_table_is_said_in_one_sentence(open_tab, tmp_path):
    book = tmp_path / "book.csv"
    book.write_bytes(b"PK\x03\x04 a workbook in disguise")
    page = open_tab("many-rows?predictor=recommend")
    page.locator("input[type=file]").set_input_files(book)
    page.get_by_text("The file is an Excel workbook").wait_for(timeout=PATIENCE_MS)
    assert "Traceback" not in page.content()
