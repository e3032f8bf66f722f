"""The part of the store's contract about runs and their changes."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from matinee.errors import UsageError
from matinee.ports import RunQuery, Store
from matinee.queue.claims import AHEAD_S, MOST_AHEAD, Claim, ClaimBatch, End
from matinee.runs import (
    Entry,
    Failure,
    Feedback,
    Progress,
    Run,
    Slot,
    Status,
    claim,
    fail,
    new_run_id,
    release,
    succeed,
)


class RunsContract:
    """Submit, record, read and list."""

    def test_a_submitted_run_is_read_back_as_it_was_put(self, store: Store) -> None:
        run = a_run(parent="parent", idempotency_key="once", version="v3", cold_start=True)
        assert store.submit([run]) == [run]
        assert store.run(run.id) == run

    def test_an_unknown_run_is_none(self, store: Store) -> None:
        assert store.run(new_run_id()) is None
        assert store.entry("plan", new_run_id()) is None

    def test_a_submitted_run_is_due_whatever_the_clock_says(self, store: Store) -> None:
        run = a_run()
        store.submit([run])
        assert [entry.run_id for entry in store.due("plan", 0.0)] == [run.id]
        assert store.next_due_at("plan", 0.0) is None

    def test_the_same_idempotency_key_is_the_same_run(self, store: Store) -> None:
        first, again = a_run(idempotency_key="key"), a_run(idempotency_key="key")
        store.submit([first])
        assert store.submit([again]) == [first]
        assert store.run(again.id) is None
        assert len(store.entries("plan")) == 1

    def test_the_same_key_in_one_submission_is_one_run(self, store: Store) -> None:
        first, again = a_run(idempotency_key="key"), a_run(idempotency_key="key")
        assert store.submit([first, again]) == [first, first]

    def test_the_same_key_of_another_user_or_predictor_is_another_run(self, store: Store) -> None:
        runs = [a_run("ana", "plan"), a_run("bo", "plan"), a_run("ana", "evaluate")]
        store.submit([replace(run, idempotency_key="key") for run in runs])
        assert all(store.run(run.id) for run in runs)

    def test_an_empty_key_makes_a_run_each_time(self, store: Store) -> None:
        store.submit([a_run(), a_run()])
        assert len(store.entries("plan")) == 2

    def test_submitting_the_same_run_again_changes_nothing(self, store: Store) -> None:
        run = a_run()
        store.submit([run])
        running, _ = claimed(store, run)
        assert store.submit([run]) == [running]
        assert len(store.entries("plan")) == 1

    def test_a_repeated_key_finds_the_finished_run(self, store: Store) -> None:
        run = a_run(idempotency_key="key")
        store.submit([run])
        running, _ = claimed(store, run)
        done = succeed(running, result=7, now=NOW)
        assert store.apply(done)
        assert store.submit([a_run(idempotency_key="key")]) == [done.recorded]

    def test_a_recorded_run_is_read_back_and_not_queued(self, store: Store) -> None:
        failure = Failure("exception", "It broke.", hint="Mend it.", traceback="line 1")
        run = a_run(kind="realtime", status=Status.FAILED, failure=failure, started_at=NOW, finished_at=NOW + 1)
        store.record(run)
        store.record(run)
        assert store.run(run.id) == run
        assert store.entries("plan") == []

    def test_runs_are_listed_newest_first_in_pages(self, store: Store) -> None:
        runs = [a_run() for _ in range(5)]
        store.submit(runs)
        newest_first = [run.id for run in reversed(runs)]
        page = store.runs(RunQuery(limit=3))
        assert [run.id for run in page] == newest_first[:3]
        assert [run.id for run in store.runs(RunQuery(before=page[-1].id))] == newest_first[3:]

    def test_runs_are_listed_by_user_predictor_and_status(self, store: Store) -> None:
        ana, bo, other = a_run("ana"), a_run("bo"), a_run("ana", "evaluate")
        store.submit([ana, bo, other])
        claimed(store, bo)

        def ids(**query: Any) -> set[str]:
            return {run.id for run in store.runs(RunQuery(**query))}

        assert ids() == {ana.id, bo.id, other.id}
        assert ids(user="ana") == {ana.id, other.id}
        assert ids(predictor="plan") == {ana.id, bo.id}
        assert ids(user="ana", predictor="plan") == {ana.id}
        assert ids(statuses=frozenset({Status.RUNNING})) == {bo.id}
        assert ids(statuses=frozenset({Status.QUEUED, Status.SUCCEEDED}), user="ana") == {ana.id, other.id}
        assert ids(statuses=frozenset({Status.QUEUED}), include_nested=True) == {ana.id, other.id}

    def test_runs_are_listed_by_when_they_were_made(self, store: Store) -> None:
        runs = [a_run(id=new_run_id(NOW + seconds)) for seconds in (0, 1, 1.001, 2)]
        store.submit(runs)

        def found(**query: Any) -> list[str]:
            return [run.id for run in store.runs(RunQuery(**query))]

        ids = [run.id for run in reversed(runs)]
        assert found(since=NOW + 1) == ids[:3]
        assert found(until=NOW + 1) == ids[3:]
        assert found(since=NOW + 1, until=NOW + 2) == ids[1:3]
        assert found(since=NOW + 1, before=ids[1]) == ids[2:3]
        assert found(until=NOW - 1) == []

    def test_unfinished_runs_are_listed_until_they_finish(self, store: Store) -> None:
        waiting, running, done = a_run(), a_run("bo"), a_run()
        store.submit([waiting, running, done])
        claimed(store, running)
        store.apply(succeed(claimed(store, done)[0], result=1, now=NOW))
        unfinished = frozenset({Status.QUEUED, Status.RUNNING})
        assert [run.id for run in store.runs(RunQuery(statuses=unfinished))] == [running.id, waiting.id]
        assert [run.id for run in store.runs(RunQuery(statuses=unfinished, user="bo"))] == [running.id]

    def test_nested_runs_are_listed_only_when_asked_for(self, store: Store) -> None:
        top, nested = a_run(), a_run(parent="another")
        store.submit([top, nested])
        assert [run.id for run in store.runs(RunQuery())] == [top.id]
        assert {run.id for run in store.runs(RunQuery(include_nested=True))} == {top.id, nested.id}


class ChangesContract:
    """Compare and swap."""

    def test_a_change_is_applied_to_run_and_entry(self, store: Store) -> None:
        run = a_run()
        store.submit([run])
        running, leased = claimed(store, run)
        assert (store.run(run.id), store.entry("plan", run.id)) == (running, leased)
        assert running.rev == run.rev + 1
        assert (leased.owner, leased.attempt) == ("token-0", 1)

    def test_a_change_is_refused_when_the_run_has_moved(self, store: Store) -> None:
        run = a_run()
        store.submit([run])
        late = claim(run, the_entry(store, run), owner="late", version="v1", now=NOW)
        running, leased = claimed(store, run)
        assert not store.apply(late)
        assert (store.run(run.id), store.entry("plan", run.id)) == (running, leased)

    def test_a_change_is_refused_when_the_entry_has_moved(self, store: Store) -> None:
        run = a_run()
        store.submit([run])
        running, leased = claimed(store, run)
        late = release(running, leased, now=NOW)
        renewed = store.heartbeat(leased, visible_at=NOW + 99, progress=Progress(0.5, "half"))
        assert not store.apply(late)
        assert (store.run(run.id), store.entry("plan", run.id)) == (running, renewed)

    def test_several_changes_are_applied_all_or_none(self, store: Store) -> None:
        first, second = a_run(), a_run()
        store.submit([first, second])
        running, _ = claimed(store, first)
        done = succeed(running, result=1, now=NOW)
        taken = claim(second, the_entry(store, second), owner="token-0", version="v1", now=NOW)
        stale = replace(taken, before=replace(second, rev=7))
        assert not store.apply(done, stale)
        assert store.run(first.id) == running
        assert store.apply(done, taken)
        assert (store.run(first.id), store.run(second.id)) == (done.recorded, taken.recorded)

    def test_a_finished_run_has_its_result_and_no_entry(self, store: Store) -> None:
        run = a_run()
        store.submit([run])
        running, _ = claimed(store, run)
        result = {"table": [1, 2.5, None, "ü"], "deep": {"a": [True]}}
        assert store.apply(succeed(running, result=result, now=NOW))
        finished = store.run(run.id)
        assert finished is not None
        assert finished.result == result
        assert store.entries("plan") == []

    def test_a_retry_is_due_after_its_back_off(self, store: Store) -> None:
        run = a_run()
        store.submit([run])
        running, leased = claimed(store, run)
        failure = Failure("exception", "No.")
        assert store.apply(fail(running, leased, failure=failure, now=NOW, retries=1, delay_s=10))
        assert store.due("plan", NOW + 9) == []
        assert store.next_due_at("plan", NOW) == NOW + 10
        assert [entry.run_id for entry in store.due("plan", NOW + 10)] == [run.id]

    def test_only_changes_that_make_an_entry_due_wake_the_pool(self, store: Store) -> None:
        run = a_run()
        assert store.pool("plan").wake == 0
        store.submit([run])
        assert store.pool("plan").wake == 1
        running, leased = claimed(store, run)
        assert store.pool("plan").wake == 1
        assert store.apply(release(running, leased, now=NOW))
        assert store.pool("plan").wake == 2
        again, _ = claimed(store, run)
        assert store.apply(succeed(again, result=1, now=NOW))
        assert store.pool("plan").wake == 2

    def test_a_repeated_submission_does_not_wake(self, store: Store) -> None:
        run = a_run(idempotency_key="key")
        store.submit([run])
        store.submit([run])
        assert store.pool("plan").wake == 1

    def test_a_refused_change_does_not_wake(self, store: Store) -> None:
        run = a_run()
        store.submit([run])
        running, leased = claimed(store, run)
        assert store.heartbeat(leased, visible_at=NOW + 99, progress=Progress())
        assert not store.apply(release(running, leased, now=NOW))
        assert store.pool("plan").wake == 1

    def test_who_sees_an_entry_due_sees_the_pool_woken(self, store: Store) -> None:
        """Or a worker that is leaving reads the old wake, looks before the entry is there, and frees its slot."""
        for number in range(1, 4):
            with ThreadPoolExecutor(1) as pool:
                submitted = pool.submit(store.submit, [a_run()])
                deadline = time.monotonic() + 20
                while len(store.due("plan", NOW, limit=9)) < number:
                    assert time.monotonic() < deadline
                assert store.pool("plan").wake == number
                submitted.result()

    def test_of_many_claims_at_once_one_is_applied(self, store: Store) -> None:
        run = a_run()
        store.submit([run])
        entry = the_entry(store, run)

        def attempt(owner: int) -> bool:
            return store.apply(claim(run, entry, owner=str(owner), version="v1", now=NOW))

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(attempt, range(8))) == 1


class ClaimBatchContract:
    """What a worker does with very short runs: many ends and claims in one transaction."""

    def test_many_runs_are_claimed_at_once_in_order(self, store: Store) -> None:
        runs = store.submit([a_run() for _ in range(MOST_AHEAD + 1)])
        batch = _full_batch(store)
        batch.settle(claims=True, busy=False, now=NOW)
        assert [run.id for run, _ in batch.ahead] == [run.id for run in runs[:MOST_AHEAD]]
        for run, entry in batch.ahead:
            assert (store.run(run.id), store.entry("plan", run.id)) == (run, entry)
            assert (run.status, run.owner, entry.owner) == (Status.RUNNING, "token-0", "token-0")

    def test_as_many_ends_as_there_may_be_are_recorded_with_as_many_claims(self, store: Store) -> None:
        runs = store.submit([a_run() for _ in range(2 * MOST_AHEAD)])
        batch = _full_batch(store)
        batch.settle(claims=True, busy=False, now=NOW)
        _end_all(batch)
        batch.settle(claims=True, busy=False, now=NOW)
        assert batch.ends == []
        assert [run.id for run, _ in batch.ahead] == [run.id for run in runs[MOST_AHEAD:]]
        first, last = store.run(runs[0].id), store.run(runs[MOST_AHEAD - 1].id)
        assert first and last
        assert (first.result, last.result) == (first.id, last.id)
        _end_all(batch)
        batch.settle(claims=False, busy=False, now=NOW)
        assert store.entries("plan") == []

    def test_what_was_claimed_ahead_is_due_again_when_it_goes_back(self, store: Store) -> None:
        runs = store.submit([a_run() for _ in range(3)])
        batch = _full_batch(store)
        batch.settle(claims=True, busy=False, now=NOW)
        batch.return_ahead(NOW)
        assert batch.is_empty
        assert [entry.run_id for entry in store.due("plan", NOW, 9)] == [run.id for run in runs]
        assert store.leased("plan") == []


def _full_batch(store: Store) -> ClaimBatch:
    return ClaimBatch(store, "plan", owner="token-0", version="v1", mean_s=AHEAD_S / (2 * MOST_AHEAD))


def _end_all(batch: ClaimBatch) -> None:
    while found := batch.next():
        run, entry = found
        batch.put(End(run, entry, lambda run, _: succeed(run, result=run.id, now=NOW)), batch.mean_s)


# --- exact values -----------------------------------------------------------------------------------------------------
# The part of the store's contract about values: what is read back is what was put, or it was refused.

EXACT: list[Any] = [
    "",
    "ünïcode 日本 🎭 \x00\t\n",
    "half a pair: \ud83d",
    0.1 + 0.2,
    1e308,
    5e-324,
    -1.7976931348623157e308,
    3.0,
    2**53 + 1,
    -(2**63),
    10**40,
    True,
    False,
    [],
    {},
    [None, [], {}, "", 0, 0.0, False],
    {"": {"": ""}, "ключ": [1.5, -2, None], "a.b#c:d": {"N": "1"}},
]


def _with_types(value: Any) -> Any:
    """Return a value that differs where `==` does not see it: 1, 1.0 and True."""
    if isinstance(value, dict):
        return {key: _with_types(inner) for key, inner in value.items()}
    return [_with_types(inner) for inner in value] if isinstance(value, list) else (type(value), value)


class ExactContract:
    """Numbers, texts and sizes."""

    @pytest.mark.parametrize("value", EXACT, ids=ascii)
    def test_a_value_is_read_back_exactly(self, store: Store, value: Any) -> None:
        run = a_run(inputs={"value": value})
        store.submit([run])
        running, _ = claimed(store, run)
        assert store.apply(succeed(running, result=value, now=NOW))
        store.state_set("key", value)
        store.put_document("kind", "key", value)
        finished = store.run(run.id)
        assert finished is not None
        read = [finished.inputs["value"], finished.result, store.state_get("key"), store.document("kind", "key")]
        assert _with_types(read) == [_with_types(value)] * 4

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_what_json_cannot_carry_is_refused_in_a_sentence(self, store: Store, value: float) -> None:
        run = a_run()
        store.submit([run])
        running, _ = claimed(store, run)
        with pytest.raises(UsageError, match="JSON"):
            store.submit([a_run(inputs={"x": [value]})])
        with pytest.raises(UsageError, match="JSON"):
            store.apply(succeed(running, result=value, now=NOW))
        with pytest.raises(UsageError, match="JSON"):
            store.state_set("key", {"x": value})
        with pytest.raises(UsageError, match="JSON"):
            store.put_document("kind", "key", value)
        assert (store.run(run.id), store.state_get("key"), store.documents("kind")) == (running, None, {})
        assert len(store.entries("plan")) == 1

    def test_a_large_value_is_stored(self, store: Store) -> None:
        text = "ü" * 190_000
        store.state_set("key", text)
        store.put_document("kind", "key", text)
        run = a_run(inputs=text)
        store.submit([run])
        stored = store.run(run.id)
        assert stored is not None
        assert (stored.inputs, store.state_get("key"), store.document("kind", "key")) == (text, text, text)

    def test_keys_and_names_are_any_text(self, store: Store) -> None:
        names = ["", "a#b", "a", "#", "ü🎭", "with space\n", "half \ud83d", "l" * 500]
        for name in names:
            store.state_set(name, name)
            store.put_document("kind", name, name)
            store.put_feedback(Feedback("run", name.replace("\ud83d", "?"), 1, comment=name))
        assert [store.state_get(name) for name in names] == names
        assert [store.document("kind", name) for name in names] == names
        assert sorted(feedback.comment for feedback in store.feedback("run")) == sorted(names)

    def test_users_of_any_name_have_their_own_runs(self, store: Store) -> None:
        users = ["", "a#b", "a", "U#a", "ü🎭", "l" * 500]
        runs = [a_run(user, idempotency_key=user + "key", id=new_run_id()) for user in users]
        assert store.submit(runs) == runs
        assert store.submit([replace(run, id=new_run_id()) for run in runs]) == runs
        assert [store.unfinished(user) for user in users] == [1] * len(users)

    def test_times_and_progress_are_exact(self, store: Store) -> None:
        run = a_run(created_at=NOW + 0.1234567, id=new_run_id(NOW))
        store.submit([run])
        running, leased = claimed(store, run, now=NOW + 1 / 3)
        assert (store.run(run.id), store.entry("plan", run.id)) == (running, leased)
        renewed = store.heartbeat(leased, visible_at=NOW + 200 / 3, progress=Progress(1 / 3, "a\tthird 🎭"))
        assert renewed is not None
        assert (renewed.visible_at, renewed.progress) == (NOW + 200 / 3, Progress(1 / 3, "a\tthird 🎭"))
        assert store.entry("plan", run.id) == renewed
        failure = Failure("exception", "Nö.", hint="", traceback="line\n" * 2000)
        change = fail(running, renewed, failure=failure, now=NOW, retries=0, delay_s=0)
        assert store.apply(change)
        assert store.run(run.id) == change.recorded

    def test_counting_is_exact(self, store: Store) -> None:
        store.state_set("key", 10**37 - 1)
        assert store.state_increment("key", 10**37 - 1) == 2 * 10**37 - 2
        store.state_set("key", 10**40)
        assert store.state_increment("key", -1) == 10**40 - 1
        store.state_set("key", 0.1)
        assert store.state_increment("key", 0.2) == 0.1 + 0.2
        store.state_set("key", 1)
        assert store.state_increment("key", 0.5) == 1.5
        total = store.state_increment("key", 0.5)
        assert (total, type(total)) == (2.0, float)
        assert type(store.state_increment("key", 1)) is float
        store.state_set("key", None)
        assert store.state_increment("key", 5) == 5


# --- sample runs and claims -------------------------------------------------------------------------------------------
# Runs, slots and claims that the store's contract and other tests begin with.

NOW = 1_800_000_000.0


def a_run(user: str = "ana", predictor: str = "plan", **changes: Any) -> Run:
    """Return a queued run that no store knows."""
    run = Run(new_run_id(), predictor, "batch", user, Status.QUEUED, {"n": 1, "text": "ä\ud83d"}, created_at=NOW)
    return replace(run, **changes)


def a_slot(number: int = 0, holder: str = "token-0", predictor: str = "plan") -> Slot:
    """Return a slot to take."""
    return Slot(predictor, number, holder, version="hash", taken_at=NOW)


def the_entry(store: Store, run: Run) -> Entry:
    """Return the queue entry of an unfinished run."""
    entry = store.entry(run.predictor, run.id)
    assert entry is not None
    return entry


def claimed(store: Store, run: Run, owner: str = "token-0", now: float = NOW) -> tuple[Run, Entry]:
    """Claim this run, whatever stands before it."""
    current = store.run(run.id)
    assert current is not None
    change = claim(current, the_entry(store, run), owner=owner, version="v1", now=now)
    assert store.apply(change)
    assert change.recorded_entry is not None
    return change.recorded, change.recorded_entry


def claim_next(
    store: Store, owner: str = "token-0", now: float = NOW, *, predictor: str = "plan", version: str = "v1"
) -> Claim | None:
    """Claim the first due run in fair order, as an idle worker does; None when nothing is due."""
    batch = ClaimBatch(store, predictor, owner=owner, version=version)
    batch.settle(claims=True, busy=False, now=now)
    return batch.next()
