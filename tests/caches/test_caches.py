"""What is read once serves many readers, and what nobody reads any more is forgotten."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from matinee.caches import SHARED_VALUES, Recent, SharedReads


def test_many_readers_at_once_load_once():
    loads = []
    gate = threading.Event()

    def load() -> int:
        gate.wait(5)
        loads.append(1)
        return 7

    reads = SharedReads()
    with ThreadPoolExecutor(20) as threads:
        futures = [threads.submit(reads.read, "key", 60.0, load) for _ in range(100)]
        gate.set()
        assert {read.result(10) for read in futures} == {7}
    assert len(loads) == 1


def test_a_value_is_read_anew_when_it_is_too_old_or_something_changed():
    now = [0.0]
    count = iter(range(10))
    reads = SharedReads(clock=lambda: now[0])
    assert [reads.read("key", 1.0, lambda: next(count)) for _ in range(3)] == [0, 0, 0]
    now[0] = 1.5
    assert reads.read("key", 1.0, lambda: next(count)) == 1
    reads.forget()
    assert reads.read("key", 1.0, lambda: next(count)) == 2


def test_an_error_is_not_kept():
    def fail() -> int:
        raise ValueError

    reads = SharedReads()
    with pytest.raises(ValueError):
        reads.read("key", 60.0, fail)
    assert reads.read("key", 60.0, lambda: 1) == 1


def test_what_nobody_reads_any_more_is_let_go():
    reads = SharedReads()
    for key in range(SHARED_VALUES + 10):
        reads.read(key, 60.0, lambda: None)
    assert len(reads) == SHARED_VALUES


def test_a_value_that_was_just_made_is_not_read_again():
    reads = SharedReads()
    reads.keep("key", 7)
    assert reads.read("key", 60.0, lambda: 8) == 7


def test_the_values_used_last_are_remembered():
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]


def test_a_value_is_made_once():
    recent: Recent[str, list[int]] = Recent(2)
    first = recent.get_or_make("a", list)
    assert recent.get_or_make("a", list) is first
    recent.clear()
    assert recent.get("a") is None
