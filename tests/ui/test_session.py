"""A hundred open tabs cost one query."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from matinee.ui import session
from matinee.ui.session import KEPT, Poll


def test_many_readers_at_once_load_once():
    loads = []
    gate = threading.Event()

    def load() -> int:
        gate.wait(5)
        loads.append(1)
        return 7

    poll = Poll()
    with ThreadPoolExecutor(20) as threads:
        reads = [threads.submit(poll.read, "key", 60.0, load) for _ in range(100)]
        gate.set()
        assert {read.result(10) for read in reads} == {7}
    assert len(loads) == 1


def test_a_value_is_read_anew_when_it_is_too_old_or_something_changed():
    now = [0.0]
    count = iter(range(10))
    poll = Poll(clock=lambda: now[0])
    assert [poll.read("key", 1.0, lambda: next(count)) for _ in range(3)] == [0, 0, 0]
    now[0] = 1.5
    assert poll.read("key", 1.0, lambda: next(count)) == 1
    poll.forget()
    assert poll.read("key", 1.0, lambda: next(count)) == 2


def test_an_error_is_not_kept():
    def fail() -> int:
        raise ValueError

    poll = Poll()
    with pytest.raises(ValueError):
        poll.read("key", 60.0, fail)
    assert poll.read("key", 60.0, lambda: 1) == 1


def test_what_nobody_reads_any_more_is_let_go():
    poll = Poll()
    for key in range(KEPT + 10):
        poll.read(key, 60.0, lambda: None)
    assert len(poll._places) == KEPT


def test_an_unfinished_run_is_read_with_its_progress_and_its_place(fake):
    run = fake.submit("plan", {"gender": "male", "start": "2026-06-01", "end": "2026-06-02"})
    assert session.live(run.id).position == 0
    fake.begin(run.id, 0.5, "half")
    assert session.live(run.id).entry.progress.message == "half"
    fake.finish(run.id, {})
    assert session.live(run.id).entry is None
