"""The races the protocol is made for, each played out exactly: something happens before one named call to the store."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from matinee.errors import BackendError, NotFoundError
from matinee.queue.claims import (
    AHEAD_S,
    MOST_AHEAD,
    ClaimAgain,
    ClaimBatch,
    End,
    Leave,
    WaitUntil,
    finish,
    leave_unless_due,
    release_claim,
    renew_slot,
)
from matinee.queue.dispatch import LAUNCH_RETRY_S, cancel, dispatch, reclaim
from matinee.runs import LEASE_S, MAX_LOSSES, Change, Failure, Progress, Status, evolve, fail, succeed
from matinee.testing.store_contract_runs import NOW, a_run, a_slot, claim_next


class Before:
    """A store (or launcher) before whose call `name` something happens once, as soon as there is an `act`."""

    def __init__(self, port, name, act, *, after=False):
        self._port, self._name, self.act, self._after = port, name, act, after

    def __getattr__(self, name):
        method = getattr(self._port, name)
        if name != self._name or self.act is None:
            return method

        def call(*args, **kwargs):
            act, self.act = self.act, None
            if self._after:
                answer = method(*args, **kwargs)
                act()
                return answer
            act()
            return method(*args, **kwargs)

        return call


def lost():
    raise BackendError("The answer was lost.")


def dispatched(store, launcher, *, max_workers=2, version="1", now=NOW):
    return dispatch(store, launcher, "plan", max_workers=max_workers, version=version, now=now)


def claimed(store, owner="token-0", now=NOW):
    return claim_next(store, owner, now)


def done(result, now=NOW):
    return lambda run, entry: succeed(run, result=result, now=now)


def failing(retries=1, delay_s=10.0, now=NOW):
    failure = Failure("exception", "No.")
    return lambda run, entry: fail(run, entry, failure=failure, now=now, retries=retries, delay_s=delay_s)


# --- leave ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["pool", "due", "next_due_at", "free_slot"])
def test_no_wake_up_is_lost_whenever_a_run_arrives_while_the_worker_leaves(store, launcher, call):
    store.submit([a_run()])
    (slot,) = dispatched(store, launcher, max_workers=1).launched
    run, _ = claimed(store, slot.token)
    finish(store, run, done(1))

    def arrive():
        store.submit([a_run()])
        assert dispatched(store, launcher, max_workers=1).launched == (), "its dispatcher still sees the slot taken"

    assert leave_unless_due(Before(store, call, arrive), slot, NOW) == ClaimAgain()
    assert claimed(store, slot.token)


def test_a_run_that_arrives_after_the_worker_left_finds_the_slot_free(store, launcher):
    assert store.take_slot(a_slot())
    assert leave_unless_due(store, a_slot(), NOW) == Leave()
    store.submit([a_run()])
    assert len(dispatched(store, launcher, max_workers=1).launched) == 1


def test_a_worker_waits_for_what_is_due_soon_and_leaves_what_is_due_late(store):
    store.take_slot(a_slot())
    store.submit([a_run()])
    run, _ = claimed(store)
    finish(store, run, failing(delay_s=10))
    assert leave_unless_due(store, a_slot(), NOW + 6, linger_s=5) == WaitUntil(NOW + 10)
    assert leave_unless_due(store, a_slot(), NOW, linger_s=5) == Leave(NOW + 10)


def test_a_worker_whose_slot_is_gone_has_left(store):
    assert leave_unless_due(store, a_slot(), NOW) == Leave()
    assert not renew_slot(store, a_slot(), now=NOW)


# --- claim and finish -------------------------------------------------------------------------------------------


def test_a_run_claimed_by_another_in_between_is_passed_over(store):
    store.submit([a_run(), a_run()])
    racing = Before(store, "apply", lambda: claimed(store, "fast"))
    run, entry = claimed(racing, "slow")
    assert (run.owner, entry.owner) == ("slow", "slow")
    assert {e.owner for e in store.leased("plan")} == {"fast", "slow"}


def test_an_expired_lease_is_lost_and_claimed_again(store):
    store.submit([a_run()])
    claimed(store, "dead")
    run, _ = claimed(store, "alive", now=NOW + LEASE_S)
    assert (run.owner, run.attempt, run.losses, run.failures) == ("alive", 2, 1, 0)


def test_a_run_that_loses_its_worker_too_often_has_failed(store):
    (run,) = store.submit([a_run()])
    for n in range(MAX_LOSSES):
        assert claimed(store, f"worker-{n}", now=NOW + n * LEASE_S)
    assert claimed(store, "last", now=NOW + MAX_LOSSES * LEASE_S) is None
    assert store.run(run.id).failure.kind == "lost"


def test_a_late_workers_result_is_discarded(store):
    store.submit([a_run()])
    late, entry = claimed(store, "late")
    current, _ = claimed(store, "current", now=NOW + LEASE_S)
    assert finish(store, late, done("late")) is None
    assert store.heartbeat(entry, visible_at=NOW + 999, progress=Progress()) is None
    assert finish(store, current, done("current")).result == "current"
    assert finish(store, late, done("late")) is None
    assert store.run(late.id).result == "current"


def test_a_result_is_recorded_though_a_cancel_or_heartbeat_came_in_between(store):
    store.submit([a_run()])
    run, entry = claimed(store)
    store.heartbeat(entry, visible_at=NOW + 99, progress=Progress(0.9))
    racing = Before(store, "apply", lambda: cancel(store, run.id, NOW))
    recorded = finish(racing, run, done(1))
    assert (recorded.status, recorded.cancel_requested) == (Status.SUCCEEDED, True)


@pytest.mark.parametrize("transition", [done(1), failing(), failing(retries=0)], ids=["result", "retry", "failure"])
def test_an_end_whose_answer_was_lost_is_recognised(store, transition):
    store.submit([a_run()])
    run, _ = claimed(store)
    with pytest.raises(BackendError):
        finish(Before(store, "apply", lost, after=True), run, transition)
    recorded = store.run(run.id)
    assert recorded.status is not Status.RUNNING
    assert finish(store, run, transition) == recorded
    assert store.run(run.id) == recorded


def test_an_end_after_the_lease_was_lost_and_not_yet_claimed_is_discarded(store):
    store.submit([a_run()])
    run, _ = claimed(store)
    reclaim(store, "plan", NOW)
    assert finish(store, run, done(1)) is None
    assert store.run(run.id).status is Status.QUEUED


def test_a_worker_told_to_end_gives_its_run_back_for_nothing(store, launcher):
    store.submit([a_run()])
    (slot,) = dispatched(store, launcher).launched
    run, _ = claimed(store, slot.token)
    returned = release_claim(store, run, now=NOW)
    store.free_slot(slot)
    assert (returned.status, returned.failures, returned.losses) == (Status.QUEUED, 0, 0)
    assert len(dispatched(store, launcher).launched) == 1


# --- the claim batch --------------------------------------------------------------------------------------------


def batch_of(store, many=3, owner="token-0"):
    """The batch of a worker whose runs are so short that it claims this many at once."""
    return ClaimBatch(store, "plan", owner=owner, version="v1", mean_s=AHEAD_S / many)


def settled(batch, *, claims=True, busy=False, now=NOW):
    batch.settle(claims=claims, busy=busy, now=now)
    return [run.id for run, _ in batch.ahead]


def ended(batch, result):
    """The run claimed first of those ahead is begun and ends."""
    run, entry = batch.next()
    batch.put(End(run, entry, done(result)), batch.mean_s)
    return run


def test_short_runs_are_claimed_together_and_their_ends_recorded_with_the_next_claims(store):
    ids = [run.id for run in store.submit([a_run() for _ in range(5)])]
    applied = []
    counting = Before(store, "apply", None)
    batch = batch_of(counting)
    assert settled(batch) == ids[:3]
    assert [store.run(one).status for one in ids] == ["running"] * 3 + ["queued"] * 2
    for number in range(3):
        ended(batch, number)
    counting.act = lambda: applied.append("together")
    assert settled(batch, busy=True) == ids[3:]
    assert [store.run(one).result for one in ids[:3]] == [0, 1, 2]
    assert applied == ["together"]


def test_a_run_that_is_not_short_is_claimed_alone_and_not_behind_another(store):
    (first, _) = store.submit([a_run(), a_run()])
    batch = batch_of(store, many=1)
    assert settled(batch, busy=True) == []
    assert settled(batch) == [first.id]


def test_as_many_ends_and_claims_as_there_may_be_are_recorded(store):
    ids = [run.id for run in store.submit([a_run() for _ in range(2 * MOST_AHEAD)])]
    batch = batch_of(store, many=99)
    assert settled(batch) == ids[:MOST_AHEAD]
    for number in range(MOST_AHEAD):
        ended(batch, number)
    assert settled(batch) == ids[MOST_AHEAD:]
    assert [store.run(one).result for one in ids[:MOST_AHEAD]] == list(range(MOST_AHEAD))


@pytest.mark.parametrize("lose_claims_of", ["the first settle", "a settle with ends"])
def test_claims_whose_answer_was_lost_are_worked_on_when_it_is_asked_again(store, lose_claims_of):
    ids = [run.id for run in store.submit([a_run() for _ in range(6)])]
    losing = Before(store, "apply", None, after=True)
    batch = batch_of(losing)
    if lose_claims_of == "a settle with ends":
        settled(batch)
        for number in range(3):
            ended(batch, number)
    losing.act = lost
    with pytest.raises(BackendError):
        settled(batch)
    settled(batch)
    running = [one for one in ids if store.run(one).status is Status.RUNNING]
    assert [run.id for run, _ in batch.ahead] == running != []
    assert all(store.run(one).losses == 0 for one in ids)
    assert batch.ends == []


def test_claims_whose_answer_was_lost_go_back_when_the_worker_is_to_end(store):
    ids = [run.id for run in store.submit([a_run() for _ in range(3)])]
    batch = batch_of(Before(store, "apply", lost, after=True))
    with pytest.raises(BackendError):
        settled(batch)
    assert not batch.is_empty
    batch.return_ahead(NOW)
    assert batch.is_empty
    assert {(store.run(one).status, store.run(one).losses) for one in ids} == {(Status.QUEUED, 0)}


def test_a_claim_whose_answer_was_lost_and_that_others_have_by_now_is_theirs(store):
    store.submit([a_run()])
    batch = batch_of(Before(store, "apply", lost, after=True))
    with pytest.raises(BackendError):
        settled(batch)
    reclaim(store, "plan", NOW)
    theirs, _ = claimed(store, "other")
    assert settled(batch) == []
    assert store.run(theirs.id).owner == "other"


def test_ends_are_recorded_and_claims_made_although_something_moved_in_between(store):
    first, second = store.submit([a_run(), a_run()])
    moving = Before(store, "apply", None)
    batch = batch_of(moving, many=1)
    settled(batch)
    ended(batch, "mine")
    moving.act = lambda: cancel(store, first.id, NOW)
    assert settled(batch) == [second.id]
    assert (store.run(first.id).status, store.run(first.id).result) == (Status.SUCCEEDED, "mine")


def test_what_was_claimed_ahead_goes_back_without_a_loss(store):
    ids = [run.id for run in store.submit([a_run() for _ in range(3)])]
    batch = batch_of(store)
    settled(batch)
    ended(batch, 1)
    batch.return_ahead(NOW)
    assert [store.run(one).status for one in ids] == ["succeeded", "queued", "queued"]
    assert {(store.run(one).losses, store.run(one).failures) for one in ids} == {(0, 0)}


# --- an entry that does not fit its run -------------------------------------------------------------------------


def test_an_entry_whose_run_is_missing_does_not_stop_the_queue(store):
    missing, second = store.submit([a_run(), a_run()])
    with closing(sqlite3.connect(store.path)) as somebody, somebody:
        somebody.execute("DELETE FROM runs WHERE id = ?", (missing.id,))
    run, _ = claimed(store)
    assert run.id == second.id
    finish(store, run, done(1))
    assert claimed(store) is None
    failed = store.run(missing.id)
    assert (failed.status, failed.failure.kind, failed.user) == (Status.FAILED, "lost", missing.user)
    assert "record of this run is missing" in failed.failure.message
    assert store.entries("plan") == []
    store.take_slot(a_slot())
    assert leave_unless_due(store, a_slot(), NOW) == Leave()


def test_an_entry_whose_run_is_over_leaves_the_queue(store):
    (over,) = store.submit([a_run()])
    finished = evolve(over, status=Status.SUCCEEDED, result=1)
    entry = store.entry("plan", over.id)
    assert store.apply(Change(over, finished, entry, entry))
    assert claimed(store) is None
    assert store.entries("plan") == []
    assert (store.run(over.id).status, store.run(over.id).result) == (Status.SUCCEEDED, 1)


def test_an_entry_of_another_attempt_fails_its_run_and_leaves_the_queue(store):
    (torn,) = store.submit([a_run()])
    entry = store.entry("plan", torn.id)
    assert store.apply(Change(torn, evolve(torn, attempt=4), entry, entry))
    assert claimed(store) is None
    assert store.run(torn.id).failure.kind == "lost"
    assert store.entries("plan") == []


# --- cancel -----------------------------------------------------------------------------------------------------


def test_a_queued_run_is_cancelled_at_once(store):
    (run,) = store.submit([a_run()])
    assert cancel(store, run.id, NOW).status is Status.CANCELLED
    assert store.entries("plan") == []
    assert cancel(store, run.id, NOW).status is Status.CANCELLED


def test_a_running_run_is_asked_and_never_claimed_again(store):
    store.submit([a_run()])
    run, _ = claimed(store)
    assert cancel(store, run.id, NOW).status is Status.RUNNING
    assert claimed(store, "other", now=NOW + LEASE_S) is None
    assert store.run(run.id).status is Status.CANCELLED


def test_a_run_claimed_while_being_cancelled_is_asked(store):
    (run,) = store.submit([a_run()])
    asked = cancel(Before(store, "apply", lambda: claimed(store)), run.id, NOW)
    assert (asked.status, asked.cancel_requested) == (Status.RUNNING, True)


def test_cancelling_an_unknown_run_is_not_found(store):
    with pytest.raises(NotFoundError):
        cancel(store, "nothing", NOW)


# --- dispatch ---------------------------------------------------------------------------------------------------


def test_as_many_workers_start_as_there_are_runs_up_to_the_limit(store, launcher):
    assert dispatched(store, launcher).launched == ()
    store.submit([a_run()])
    assert [slot.number for slot in dispatched(store, launcher, max_workers=3).launched] == [0]
    store.submit([a_run() for _ in range(9)])
    assert [slot.number for slot in dispatched(store, launcher, max_workers=3).launched] == [1, 2]
    assert dispatched(store, launcher, max_workers=3).launched == ()


def test_a_leased_run_counts_so_that_the_next_one_gets_its_own_worker(store, launcher):
    store.submit([a_run()])
    (slot,) = dispatched(store, launcher).launched
    claimed(store, slot.token)
    store.submit([a_run()])
    assert len(dispatched(store, launcher).launched) == 1


def test_a_run_in_back_off_starts_nobody_but_says_when(store, launcher):
    store.submit([a_run()])
    (slot,) = dispatched(store, launcher).launched
    run, _ = claimed(store, slot.token)
    finish(store, run, failing(delay_s=30))
    assert leave_unless_due(store, slot, NOW) == Leave(NOW + 30)
    waiting = dispatched(store, launcher)
    assert (waiting.launched, waiting.next_due_at) == ((), NOW + 30)
    assert len(dispatched(store, launcher, now=NOW + 30).launched) == 1


@pytest.mark.parametrize("call", ["due", "leased", "pool", "take_slot", "update_slot"])
def test_two_dispatchers_at_once_start_no_more_than_one_would(store, launcher, call):
    store.submit([a_run()])
    racing = Before(store, call, lambda: dispatched(store, launcher))
    dispatched(racing, launcher)
    assert len(store.pool("plan").slots) == len(launcher.launched) == 1


@pytest.mark.parametrize("call", ["leased", "pool"])
def test_a_worker_that_starts_and_claims_during_a_dispatch_keeps_its_run(store, launcher, call):
    def start_and_claim():
        store.submit([a_run()])
        assert store.take_slot(a_slot(1, "quick"))
        assert store.update_slot(evolve(a_slot(1, "quick"), handle="task/quick"))
        launcher.launch(a_slot(1, "quick"))
        assert claimed(store, "quick")

    reclaim(Before(store, call, start_and_claim), "plan", NOW)
    assert [entry.owner for entry in store.leased("plan")] == ["quick"]


def test_a_dead_workers_run_is_queued_again_at_once_and_its_slot_used(store, launcher):
    store.submit([a_run()])
    (slot,) = dispatched(store, launcher, max_workers=1).launched
    renew_slot(store, slot, now=NOW)
    run, _ = claimed(store, slot.token)
    launcher.ended.add(slot.token)
    (again,) = dispatched(store, launcher, max_workers=1).launched
    assert again.token != slot.token
    assert store.run(run.id).losses == 1
    assert claimed(store, again.token)


def test_a_lease_taken_over_while_it_is_being_reclaimed_is_left_alone(store):
    store.submit([a_run()])
    claimed(store, "dead")

    def move_on():
        assert claimed(store, "next", now=NOW + LEASE_S)

    reclaim(Before(store, "pool", move_on, after=True), "plan", NOW)
    assert [entry.owner for entry in store.leased("plan")] == ["next"]


def test_a_lease_renewed_while_it_is_being_reclaimed_is_lost_all_the_same(store):
    store.submit([a_run()])
    _, entry = claimed(store, "without a slot")
    renewing = Before(store, "apply", lambda: store.heartbeat(entry, visible_at=NOW + 99, progress=Progress()))
    reclaim(renewing, "plan", NOW)
    assert store.leased("plan") == []


def test_a_worker_stuck_beyond_its_lease_does_not_keep_a_free_slot_from_its_run(store, launcher):
    store.submit([a_run()])
    (stuck,) = dispatched(store, launcher).launched
    claimed(store, stuck.token)
    assert dispatched(store, launcher).launched == ()
    assert len(dispatched(store, launcher, now=NOW + LEASE_S).launched) == 1


def test_a_dispatcher_that_died_before_its_launch_is_finished_by_the_next(store, launcher):
    store.submit([a_run()])
    with pytest.raises(ZeroDivisionError):
        dispatched(store, Before(launcher, "launch", lambda: 1 / 0))
    (slot,) = store.pool("plan").slots
    assert slot.handle == ""
    dispatched(store, launcher)
    assert [launched.token for launched in launcher.launched] == [slot.token]
    assert store.pool("plan").slots[0].handle


def test_a_dispatcher_that_died_after_its_launch_leaves_one_worker(store, launcher):
    store.submit([a_run()])
    with pytest.raises(ZeroDivisionError):
        dispatched(store, Before(launcher, "launch", lambda: 1 / 0, after=True))
    dispatched(store, launcher)
    assert len(launcher.launched) == len(store.pool("plan").slots) == 1


def test_a_failed_launch_frees_the_slot_and_says_why_until_it_works(store, launcher):
    store.submit([a_run()])
    launcher.broken = "No capacity."
    failed = dispatched(store, launcher)
    assert (failed.launched, failed.note, failed.next_due_at) == ((), "No capacity.", NOW + LAUNCH_RETRY_S)
    assert (store.pool("plan").slots, store.pool("plan").note) == ((), "No capacity.")
    assert store.entries("plan")
    launcher.broken = ""
    assert len(dispatched(store, launcher).launched) == 1
    assert store.pool("plan").note == ""


def test_a_launch_of_which_nothing_is_heard_keeps_its_slot_until_it_is_asked_again(store, launcher):
    store.submit([a_run(), a_run()])
    launcher.silent = True
    unheard = dispatched(store, launcher)
    assert (unheard.launched, unheard.note, unheard.next_due_at) == ((), "No answer came.", NOW + LAUNCH_RETRY_S)
    (slot,) = store.pool("plan").slots
    assert slot.handle == ""
    launcher.silent = False
    assert dispatched(store, launcher, max_workers=1).launched == ()
    assert [launched.token for launched in launcher.launched] == [slot.token]
    assert store.pool("plan").slots[0].handle
    assert store.pool("plan").note == ""


def test_a_worker_that_cannot_start_is_not_started_in_a_tight_circle(store, launcher):
    store.submit([a_run()])
    (slot,) = dispatched(store, launcher).launched
    launcher.ended.add(slot.token)
    held_back = dispatched(store, launcher)
    assert held_back.launched == ()
    assert "ended before it could start: killed" in held_back.note
    assert held_back.next_due_at == NOW + LAUNCH_RETRY_S
    assert len(dispatched(store, launcher).launched) == 1


def test_no_workers_allowed_means_none_started(store, launcher):
    store.submit([a_run()])
    assert dispatched(store, launcher, max_workers=0).launched == ()
