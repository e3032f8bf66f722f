"""Workers on AWS have clocks of their own: two minutes between them take no run from a worker that lives."""

from __future__ import annotations

import pytest

from matinee.backends.aws.store import SKEW_S
from matinee.queue.claims import finish, renew_slot
from matinee.runs import LEASE_S, Failure, Progress, Status, fail, succeed
from matinee.testing.store_contract_runs import NOW, a_run, a_slot, claim_next

SKEWS = pytest.mark.parametrize("skew_s", [-120.0, 0.0, 120.0])


@pytest.fixture
def run(store):
    (run,) = store.submit([a_run()])
    return run


def claim(store, now):
    return claim_next(store, "worker", now)


def test_a_lease_counts_as_expired_120_s_after_its_time(store, run):
    claim(store, NOW)
    expires_at = NOW + LEASE_S + 120
    assert store.due("plan", expires_at - 0.001) == []
    assert store.next_due_at("plan", NOW) == expires_at
    assert [entry.run_id for entry in store.due("plan", expires_at)] == [run.id]
    assert store.next_due_at("plan", expires_at) is None


def test_what_is_in_back_off_is_due_at_its_time(store, run):
    running, entry = claim(store, NOW)
    failure = Failure("exception", "No.")
    assert store.apply(fail(running, entry, failure=failure, now=NOW, retries=1, delay_s=10.0))
    assert store.next_due_at("plan", NOW) == NOW + 10
    assert store.due("plan", NOW + 10)


@SKEWS
def test_a_worker_whose_clock_differs_by_two_minutes_keeps_its_run_and_records_it(store, run, skew_s):
    slot = a_slot(holder="worker")
    assert store.take_slot(slot)
    assert renew_slot(store, slot, now=NOW + skew_s)
    running, entry = claim(store, NOW + skew_s)
    for beat in range(1, 7):  # two minutes of work, each third of a lease a heartbeat
        now = NOW + beat * LEASE_S / 3
        assert claim_next(store, "other", now) is None
        assert renew_slot(store, slot, now=now + skew_s)
        entry = store.heartbeat(entry, visible_at=now + skew_s + LEASE_S, progress=Progress(beat / 6))
        assert entry is not None
    done = finish(store, running, lambda run, _: succeed(run, result=1, now=NOW + skew_s))
    assert (done.status, done.attempt, done.losses) == (Status.SUCCEEDED, 1, 0)


@SKEWS
def test_a_worker_that_hangs_loses_its_run_at_last_whatever_its_clock(store, run, skew_s):
    claim(store, NOW + skew_s)
    again = claim_next(store, "other", NOW + LEASE_S + SKEW_S + 120)
    assert again is not None
    assert (again[0].attempt, again[0].losses) == (2, 1)
