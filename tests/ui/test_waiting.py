"""A prediction that takes long says so after a second, and nothing is lost when somebody clicks away."""

from __future__ import annotations

import threading
import time

import pytest

from matinee.errors import BackendError
from matinee.ui import waiting


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.05)
    monkeypatch.setattr(waiting, "TICK_S", 0.05)
    monkeypatch.setattr(waiting, "_answered", {})


def test_an_answer_in_time_is_told_nothing_about():
    told = []
    assert waiting.begin("p", lambda: 7).result(told.append) == 7
    assert told == []


def test_what_takes_longer_says_that_it_warms_up_and_later_only_that_it_works():
    gate, told = threading.Event(), []

    def tell(words):
        told.append(words)
        if len(told) == 3:
            gate.set()

    assert waiting.begin("p", lambda: gate.wait(10)).result(tell) is True
    assert all(words.startswith("Warming up… 0 s") for words in told)
    assert len(told) >= 3
    assert waiting.is_warm("p", time.monotonic())
    assert waiting.words_for(12, is_warm=True) == "Working… 12 s"
    assert "12 s" in waiting.words_for(12, is_warm=False)


def test_an_error_is_raised_where_the_answer_is_awaited():
    def fail():
        raise BackendError("Gone.")

    with pytest.raises(BackendError, match="Gone"):
        waiting.begin("p", fail).result(lambda words: None)


def test_a_wait_that_was_broken_off_is_taken_up_again():
    class LeftError(Exception):
        pass

    def leave(words):
        raise LeftError

    gate = threading.Event()
    pending = waiting.begin("p", lambda: gate.wait(10))
    with pytest.raises(LeftError):
        pending.result(leave)
    gate.set()
    assert pending.result(lambda words: None) is True


def test_threads_are_kept_for_the_next_calls_and_never_make_one_wait():
    threads = waiting.Threads(most_idle=2)
    gate, running, who = threading.Event(), threading.Semaphore(0), []

    def busy():
        who.append(threading.get_ident())
        running.release()
        gate.wait(10)

    for _ in range(5):
        threads.run(busy)
    for _ in range(5):
        assert running.acquire(timeout=10)  # all at once, though none has ended
    gate.set()
    first = set(who)
    while who[5:6] == [] or who[-1] not in first:  # one of the first five is free sooner or later
        threads.run(busy)
        assert running.acquire(timeout=10)
