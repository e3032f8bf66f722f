"""History finds what was asked for and reads no more than it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

import pytest

from matinee.ports import RunQuery
from matinee.runs import Failure, Run, Status, first_run_id
from matinee.ui.run_list import CHUNK, MOST, Filters, find, holds

START = 1_700_000_000.0


def run_at(number, **changes):
    inputs = {"text": f"word-{number}"}
    run = Run(first_run_id(START + number), "plan", "batch", "ana", Status.SUCCEEDED, inputs, START + number)
    return replace(run, **changes)


@pytest.fixture
def read():
    """Reads from 10,000 runs as a store does, and counts how many it gave."""
    runs = [run_at(number) for number in reversed(range(10_000))]

    def read_(query):
        page = [run for run in runs if not query.before or run.id < query.before][: query.limit]
        read_.given += len(page)
        return page

    read_.given = 0
    return read_


def test_without_words_one_page_is_read(read):
    found = find(read, RunQuery(), "", 15)
    assert [run.created_at - START for run in found.runs] == list(range(9_999, 9_984, -1))
    assert (found.next, read.given) == (found.runs[-1].id, 16)


def test_pages_follow_each_other_without_gap_or_repeat(read):
    seen, before = [], ""
    while True:
        found = find(read, RunQuery(before=before), "", 3_000)
        seen += [run.id for run in found.runs]
        if not found.next:
            break
        before = found.next
    assert len(seen) == len(set(seen)) == 10_000


def test_words_are_looked_for_in_a_bounded_number_of_runs_and_it_says_how_far(read):
    found = find(read, RunQuery(), "word-10", 15)
    assert found.runs == ()
    assert found.looked_at == MOST == read.given
    assert found.reached == START + 10_000 - MOST
    again = find(read, RunQuery(before=found.next), "WORD-7999", 15)
    assert [run.inputs["text"] for run in again.runs] == ["word-7999"]


def test_a_full_page_stops_looking(read):
    found = find(read, RunQuery(), "word", 15)
    assert len(found.runs) == 15
    assert found.next == found.runs[-1].id
    assert read.given == CHUNK


def test_at_the_end_there_is_no_next_page(read):
    found = find(read, RunQuery(before=first_run_id(START + 100)), "word-42", 15)
    assert [run.inputs["text"] for run in found.runs] == ["word-42"]
    assert (found.next, found.reached) == ("", 0.0)


@pytest.mark.parametrize("words", [["word-7"], ["plan"], ["ana"], ["é"], ["word-7", "ana"], ["timeout"]])
def test_words_are_found_in_inputs_person_predictor_and_failure(words):
    run = run_at(7, inputs={"text": "word-7 É"}, failure=Failure("timeout", "A timeout."))
    assert holds(run, words)
    assert holds(run, [run.id[:12]])
    assert not holds(run, [*words, "absent"])


def test_days_are_whole():
    query = Filters(first_day=date(2026, 6, 1), last_day=date(2026, 6, 1)).query("ana")
    assert query.since == datetime(2026, 6, 1).timestamp()
    assert query.until == datetime(2026, 6, 2).timestamp()


def test_everybody_is_asked_for_only_on_purpose():
    assert Filters().query("ana").user == "ana"
    assert Filters(everybody=True).query("ana").user is None
    assert Filters(everybody=True).is_empty
    assert not Filters(text="x").is_empty
    assert Filters(status="Unfinished").query("ana").statuses == {Status.QUEUED, Status.RUNNING}
