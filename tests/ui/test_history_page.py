"""History: filtered, searched, told when a waiting run will start, saved."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import replace

import pytest

from matinee.runs import Failure, Status
from matinee.ui import session
from matinee.ui.export import _maker
from matinee.ui.run_list import Filters, expected_start_s

DAYS = {"gender": "male", "start": "2026-06-01", "end": "2026-06-02"}


@pytest.fixture
def three(fake):
    """A prediction, a failed one, and a waiting plan."""
    good = fake.predict("recommend", {"gender": "female", "past_activity": "golf"})
    bad = fake.predict("recommend", {"gender": "male", "past_activity": "chess"})
    fake.stored[bad.id] = replace(bad, status=Status.FAILED, failure=Failure("timeout", "Too long."), result=None)
    return good, fake.stored[bad.id], fake.submit("plan", DAYS)


def test_runs_are_found_by_predictor(open_page, shown, three):
    page = open_page("history")
    page.selectbox(key="history:name").set_value("plan").run()
    assert "male · 2026-06-01" in shown(page)
    assert "golf" not in shown(page)


def test_runs_are_found_by_status(open_page, shown, three):
    page = open_page("history")
    page.selectbox(key="history:status").set_value("Failed").run()
    assert "chess" in shown(page)
    assert "golf" not in shown(page)


def test_runs_are_found_by_words(open_page, shown, three):
    page = open_page("history")
    page.text_input(key="history:text").set_value("FEMALE golf").run()
    assert "golf" in shown(page)
    assert "chess" not in shown(page)
    page.text_input(key="history:text").set_value("nothing like it").run()
    assert "Nothing here fits." in shown(page)


def test_filters_stay_as_they_are_when_the_page_is_drawn_again(open_page, three):
    page = open_page("history")
    page.text_input(key="history:text").set_value("golf").run()
    page.selectbox(key="history:status").set_value("Done").run()
    assert (page.text_input(key="history:text").value, page.selectbox(key="history:status").value) == ("golf", "Done")


def test_everybody_is_shown_to_an_owner_who_asks(fake, open_page, shown, three, signed_in):
    fake.user = "ana"
    assert "golf" not in shown(open_page("history"))
    page = open_page("history")
    page.toggle(key="history:everybody").set_value(True).run()
    assert "golf" in shown(page)
    assert "local" in shown(page)
    fake.owner = False
    session.poll.forget()
    assert not open_page("history").toggle


def test_a_failed_run_is_retried_from_its_row(fake, open_page, three):
    page = open_page("history")
    page.button(key=f"retry:{three[1].id}").click().run()
    assert fake.stored[max(fake.stored)].inputs == three[1].inputs


def test_a_waiting_run_says_when_it_will_start(fake, open_page, shown, three):
    done = fake.submit("plan", DAYS)
    fake.stored[done.id] = replace(done, status=Status.SUCCEEDED, started_at=0.0, finished_at=240.0)
    assert "Next to start. It starts in about 2 min." in shown(open_page("history"))


def test_no_start_is_promised_once_it_is_late(fake, open_page, shown, three):
    done = fake.submit("plan", DAYS)
    fake.stored[done.id] = replace(done, status=Status.SUCCEEDED, started_at=0.0, finished_at=2.0)
    waiting = three[2]
    fake.stored[waiting.id] = replace(waiting, created_at=time.time() - 60)
    text = shown(open_page("history"))
    assert "Next to start." in text
    assert "It starts in" not in text


@pytest.mark.parametrize(
    ("position", "durations", "workers", "seconds"),
    [
        (0, [], 1, None),
        (0, [10.0], 1, 5.0),
        (3, [10.0, 20.0, 90.0], 1, 70.0),
        (3, [10.0], 2, 15.0),
        (3, [10.0], 0, 35.0),
    ],
)
def test_the_expected_start_follows_from_recent_runs_and_workers(position, durations, workers, seconds):
    assert expected_start_s(position, durations, workers) == seconds


@pytest.mark.parametrize("chosen", [False, True])
def test_runs_are_saved_as_one_file(fake, three, chosen):
    good, bad, _ = three
    ids = (good.id,) if chosen else ()
    content = _maker(fake, ids, Filters(predictor="recommend"), "csv")()
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    assert [row["id"] for row in rows] == ([good.id] if chosen else [bad.id, good.id])
    assert rows[-1]["result.activity"] == "swimming"


def test_a_person_sees_the_buttons_to_save(open_page, three):
    labels = [element.label for element in open_page("history").get("download_button")]
    assert labels == ["CSV", "Excel", "Parquet", "JSON Lines"]
