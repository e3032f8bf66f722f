"""A run reads as a person would say it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from matinee.runs import Entry, Failure, Progress, Run, Status
from matinee.ui import text as ui_text
from matinee.ui.run_list import row_of, summary_of

RUN = Run("id", "plan", "batch", "local", Status.QUEUED, {"gender": "female"}, created_at=1000.0)
ENTRY = Entry("plan", "id", "local", 1, 1000.0)


@pytest.mark.parametrize(
    ("changes", "said", "can_cancel"),
    [
        ({}, "Waiting", True),
        ({"failures": 1}, "Trying again", True),
        ({"status": Status.RUNNING}, "Running", True),
        ({"status": Status.RUNNING, "cancel_requested": True}, "Stopping", False),
        ({"status": Status.SUCCEEDED}, "Done", False),
        ({"status": Status.FAILED}, "Failed", False),
        ({"status": Status.CANCELLED, "cancel_requested": True}, "Cancelled", False),
        ({"status": Status.RUNNING, "kind": "realtime"}, "Running", False),
    ],
)
def test_each_status_has_its_word_and_only_unfinished_batch_runs_can_be_cancelled(changes, said, can_cancel):
    row = row_of(replace(RUN, **changes), ENTRY, 1000.0)
    assert (row.status, row.can_cancel) == (said, can_cancel)


def test_a_running_run_shows_how_far_it_is_and_how_long_it_has_been_at_it():
    entry = replace(ENTRY, owner="w", progress=Progress(0.25, "Planning 1 of 4"))
    row = row_of(replace(RUN, status=Status.RUNNING, started_at=1001.0), entry, 1004.0)
    assert (row.fraction, row.detail, row.duration, row.age) == (0.25, "Planning 1 of 4", "3.0 s", "just now")


@pytest.mark.parametrize(
    ("position", "note", "said"),
    [
        (0, "", "Next to start."),
        (1, "", "1 run before it."),
        (7, "", "7 runs before it."),
        (0, "No image.", "No image."),
    ],
)
def test_a_waiting_run_says_what_it_waits_for(position, note, said):
    assert row_of(RUN, ENTRY, 1000.0, position=position, note=note).detail == said


def test_a_failed_run_says_why():
    failed = replace(RUN, status=Status.FAILED, failure=Failure("timeout", "It took longer than 30 s."))
    assert row_of(failed, None, 1000.0).detail == "It took longer than 30 s."


def test_inputs_are_told_in_one_short_line():
    blob = {"$blob": "image/png", "name": "digit.png", "base64": ""}
    table = {"$table": [], "rows": [[1], [2]]}
    assert summary_of({"gender": "female", "past": "", "image": blob}) == "female · digit.png"
    assert summary_of({"rows": table, "flag": True, "n": [1, 2]}) == "table of 2 rows · yes · 1, 2"
    assert len(summary_of({"text": "x" * 500})) == 90
    assert summary_of({"$payload": "inputs/1.json"}) == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0384, "38 ms"), (2.41, "2.4 s"), (59.99, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations_are_rounded_to_what_matters(seconds, said):
    assert ui_text.format_duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3, "just now"), (60, "1 minute ago"), (300, "5 minutes ago"), (7200, "2 hours ago"), (86400, "1 day ago")],
)
def test_ages_are_words(seconds, said):
    assert ui_text.format_age(seconds) == said


@pytest.mark.parametrize(
    "text", ["<b>x</b>", "**bold**", "[a](b)", ":material/home:", "$x$", "a | b", "`c`", "# x", "http://x.y", "~~x~~"]
)
def test_no_text_of_a_person_becomes_markup(text):
    safe = ui_text.escaped(text)
    for sign in "<*[]:$|`#~":
        assert all(safe[i - 1] == "\\" for i, letter in enumerate(safe) if letter == sign)
