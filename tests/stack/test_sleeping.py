"""The page of an app that is asleep, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import sync_playwright

from matinee.project.aws import DAYS, OfficeHours
from matinee.stack.edge import in_words, sleeping_page

HOURS = OfficeHours(DAYS[:5], "08:00", "18:00", "Europe/Berlin")


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        (HOURS, "Monday to Friday, 08:00 to 18:00 (Europe/Berlin)"),
        (OfficeHours(DAYS, "07:30", "22:00"), "Every day, 07:30 to 22:00 (UTC)"),
        (OfficeHours(("MON", "WED", "FRI"), "08:00", "09:00"), "Monday, Wednesday and Friday, 08:00 to 09:00 (UTC)"),
        (OfficeHours(("SAT",), "08:00", "09:00"), "Saturday, 08:00 to 09:00 (UTC)"),
    ],
)
def test_office_hours_are_said_as_people_say_them(hours, words):
    assert in_words(hours) == words


def test_the_page_is_one_file_and_nothing_in_a_title_gets_out_of_its_place():
    page = sleeping_page('Fish & </script><b>"Chips"', HOURS)
    assert "<b>" not in page and page.count("</script>") == 1
    assert not re.search(r"(src|href)\s*=", page), "nothing else is fetched"


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("now", "heading", "said"),
    [
        ("2026-11-27T19:00+01:00", "Shop is asleep", "It wakes Monday, November 30 at 08:00 AM."),
        ("2026-11-27T05:00+01:00", "Shop is asleep", "It wakes Friday, November 27 at 08:00 AM."),
        ("2026-10-23T19:00+02:00", "Shop is asleep", "It wakes Monday, October 26 at 08:00 AM."),  # clocks change
        ("2026-11-27T09:00+01:00", "Shop is waking", "It cannot be reached for the moment: it may just be starting."),
    ],
)
def test_it_says_when_the_app_wakes_in_the_reader_s_own_time(browser, tmp_path, now, heading, said):
    (tmp_path / "page.html").write_text(sleeping_page("Shop", HOURS))
    page = browser.new_context(locale="en-US", timezone_id="Europe/Berlin").new_page()
    page.clock.set_fixed_time(now)
    page.goto((tmp_path / "page.html").as_uri())
    assert page.text_content("h1") == heading
    assert page.text_content("#wakes").replace("\u202f", " ") == said
