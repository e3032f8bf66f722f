"""A back-off lasts as long as it was declared, and no longer when the clock is set back meanwhile."""

from __future__ import annotations

import pytest

from matinee.queue.dispatch import end_overlong_back_offs
from matinee.retry import backoff_s
from matinee.runs import Failure, Run, Status, claim, fail, new_run_id

NOW = 1_780_000_000.0
SKEW_S = 1.0


def failed_at(store, at, failures=1):
    """A run whose attempts have failed, the last at this time; it waits for the next one."""
    (run,) = store.submit([Run(new_run_id(NOW), "plan", "batch", "ada", Status.QUEUED, {}, NOW)])
    for number in range(1, failures + 1):
        assert store.apply(claim(run, store.entry("plan", run.id), owner="worker", version="v1", now=at))
        run, delay_s = store.run(run.id), backoff_s(number)
        failure = Failure("exception", "no")
        change = fail(run, store.entry("plan", run.id), failure=failure, now=at, retries=9, delay_s=delay_s)
        assert store.apply(change)
        run = store.run(run.id)
    return run


@pytest.mark.parametrize("failures", [1, 3])
@pytest.mark.parametrize("set_back_s", [10.0, 3600.0])
def test_one_that_a_clock_ahead_has_written_ends_now(store, failures, set_back_s):
    run = failed_at(store, NOW + set_back_s, failures)
    before = store.pool("plan").wake
    end_overlong_back_offs(store, "plan", NOW, skew_s=SKEW_S)
    assert [entry.run_id for entry in store.due("plan", NOW)] == [run.id]
    assert store.pool("plan").wake > before, "whoever is about to leave looks again"


@pytest.mark.parametrize("failures", [1, 3])
def test_one_that_runs_and_a_lease_are_left_alone(store, failures):
    waiting = failed_at(store, NOW, failures)
    (leased,) = store.submit([Run(new_run_id(NOW), "plan", "batch", "bob", Status.QUEUED, {}, NOW)])
    store.apply(claim(leased, store.entry("plan", leased.id), owner="worker", version="v1", now=NOW))
    before = store.entries("plan")
    end_overlong_back_offs(store, "plan", NOW, skew_s=SKEW_S)
    assert store.entries("plan") == before
    assert {entry.run_id for entry in before} == {waiting.id, leased.id}
