"""What every Store does. Inherit `StoreContract` in a test module and give it a fixture `store`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from matinee.errors import ConflictError
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources, Trouble
from matinee.ports import RunQuery, Store
from matinee.runs import (
    Change,
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
    request_cancel,
    succeed,
)

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
    assert change.kept is not None
    return change.recorded, change.kept


class _Runs:
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

    def test_nested_runs_are_listed_only_when_asked_for(self, store: Store) -> None:
        top, nested = a_run(), a_run(parent="another")
        store.submit([top, nested])
        assert [run.id for run in store.runs(RunQuery())] == [top.id]
        assert {run.id for run in store.runs(RunQuery(include_nested=True))} == {top.id, nested.id}


class _Changes:
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

    def test_of_many_claims_at_once_one_is_applied(self, store: Store) -> None:
        run = a_run()
        store.submit([run])
        entry = the_entry(store, run)

        def attempt(owner: int) -> bool:
            return store.apply(claim(run, entry, owner=str(owner), version="v1", now=NOW))

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(attempt, range(8))) == 1


class _Queue:
    def test_one_users_thousand_runs_do_not_stand_before_anothers_first(self, store: Store) -> None:
        store.submit([a_run("ana") for _ in range(1000)])
        first, second = store.due("plan", NOW, limit=2)
        for entry in (first, second):
            run = store.run(entry.run_id)
            assert run is not None
            claimed(store, run)
        bo = a_run("bo")
        store.submit([bo])
        assert bo.id in [entry.run_id for entry in store.due("plan", NOW, limit=2)]

    def test_users_take_turns(self, store: Store) -> None:
        store.submit([a_run("ana") for _ in range(3)])
        store.submit([a_run("bo") for _ in range(3)])
        users = [entry.user for entry in store.entries("plan")]
        assert users == ["ana", "bo"] * 3

    def test_a_users_own_runs_are_served_in_order(self, store: Store) -> None:
        runs = [a_run() for _ in range(5)]
        store.submit(runs[:2])
        store.submit(runs[2:])
        assert [entry.run_id for entry in store.due("plan", NOW, limit=9)] == [run.id for run in runs]

    def test_a_leased_entry_is_due_again_when_its_lease_has_expired(self, store: Store) -> None:
        run = a_run()
        store.submit([run])
        _, leased = claimed(store, run)
        assert store.due("plan", NOW) == []
        assert store.leased("plan") == [leased]
        assert [entry.run_id for entry in store.due("plan", NOW + 3600)] == [run.id]
        assert store.leased("plan") == [leased]

    def test_predictors_do_not_see_each_others_entries(self, store: Store) -> None:
        store.submit([a_run(predictor="plan")])
        assert store.due("evaluate", NOW) == store.entries("evaluate") == store.leased("evaluate") == []
        assert store.next_due_at("evaluate", 0.0) is None
        assert store.pool("evaluate").wake == 0

    def test_a_heartbeat_renews_lease_and_progress(self, store: Store) -> None:
        run = a_run()
        store.submit([run])
        _, leased = claimed(store, run)
        renewed = store.heartbeat(leased, visible_at=NOW + 200, progress=Progress(0.25, "a quarter"))
        assert renewed is not None
        assert renewed == store.entry("plan", run.id)
        assert (renewed.visible_at, renewed.progress) == (NOW + 200, Progress(0.25, "a quarter"))
        assert store.heartbeat(leased, visible_at=NOW + 300, progress=Progress()) is not None, "by owner, not by rev"

    def test_a_heartbeat_hears_of_a_cancel_request(self, store: Store) -> None:
        run = a_run()
        store.submit([run])
        running, leased = claimed(store, run)
        assert store.apply(request_cancel(running, leased, now=NOW))
        renewed = store.heartbeat(leased, visible_at=NOW + 60, progress=Progress())
        assert renewed is not None
        assert renewed.cancel_requested

    @pytest.mark.parametrize("other", [{"owner": "another"}, {"attempt": 2}])
    def test_a_heartbeat_of_another_owner_or_attempt_is_refused(self, store: Store, other: dict[str, Any]) -> None:
        run = a_run()
        store.submit([run])
        _, leased = claimed(store, run)
        assert store.heartbeat(replace(leased, **other), visible_at=NOW + 60, progress=Progress()) is None
        assert store.entry("plan", run.id) == leased

    def test_a_heartbeat_of_a_finished_run_is_refused(self, store: Store) -> None:
        run = a_run()
        store.submit([run])
        running, leased = claimed(store, run)
        assert store.apply(succeed(running, result=1, now=NOW))
        assert store.heartbeat(leased, visible_at=NOW + 60, progress=Progress()) is None


class _Pool:
    def test_a_slot_is_taken_once(self, store: Store) -> None:
        assert store.take_slot(a_slot(holder="mine"))
        assert not store.take_slot(a_slot(holder="late"))
        assert store.take_slot(a_slot(1, holder="other"))
        assert [slot.token for slot in store.pool("plan").slots] == ["mine", "other"]

    def test_a_slot_keeps_its_handle_and_latest_renewal(self, store: Store) -> None:
        slot = a_slot()
        store.take_slot(slot)
        assert store.update_slot(replace(slot, handle="task/1"))
        assert store.update_slot(replace(slot, renewed_at=NOW + 5))
        assert store.update_slot(replace(slot, renewed_at=NOW + 3))
        assert store.pool("plan").slots == (replace(slot, handle="task/1", renewed_at=NOW + 5),)

    def test_only_the_holder_updates_or_frees_a_slot(self, store: Store) -> None:
        slot, stranger = a_slot(), a_slot(holder="stranger")
        store.take_slot(slot)
        assert not store.update_slot(stranger)
        assert not store.free_slot(stranger)
        assert store.free_slot(slot)
        assert not store.free_slot(slot)
        assert store.pool("plan").slots == ()

    def test_a_slot_is_not_freed_when_the_pool_was_woken(self, store: Store) -> None:
        slot = a_slot()
        store.take_slot(slot)
        wake = store.pool("plan").wake
        store.submit([a_run()])
        assert not store.free_slot(slot, wake=wake)
        assert store.free_slot(slot, wake=wake + 1)

    def test_a_slot_of_a_pool_never_woken_is_freed(self, store: Store) -> None:
        slot = a_slot()
        store.take_slot(slot)
        assert store.free_slot(slot, wake=0)

    def test_a_note_stays_until_replaced(self, store: Store) -> None:
        store.note("plan", "No capacity.")
        store.submit([a_run()])
        assert store.pool("plan").note == "No capacity."
        store.note("plan", "")
        assert store.pool("plan").note == ""

    def test_pools_with_entries_or_slots_are_listed(self, store: Store) -> None:
        assert store.pools() == []
        run = a_run(predictor="plan")
        store.submit([run])
        store.take_slot(a_slot(predictor="evaluate"))
        assert store.pools() == ["evaluate", "plan"]
        running, _ = claimed(store, run)
        assert store.apply(succeed(running, result=1, now=NOW))
        assert store.pools() == ["evaluate"]


class _Shared:
    def test_feedback_is_kept_one_per_user(self, store: Store) -> None:
        ana = Feedback("run", "ana", 1, "good", corrected={"a": 1}, updated_at=NOW)
        store.put_feedback(replace(ana, rating=-1))
        store.put_feedback(ana)
        bo = Feedback("run", "bo", None, updated_at=NOW)
        store.put_feedback(bo)
        assert sorted(store.feedback("run"), key=lambda one: one.user) == [ana, bo]
        assert store.feedback("other") == []

    def test_state_is_set_read_and_removed(self, store: Store) -> None:
        assert store.state_get("key") is None
        store.state_set("key", {"a": [1, None, "ü"]})
        assert store.state_get("key") == {"a": [1, None, "ü"]}
        store.state_set("key", None)
        assert store.state_get("key") is None

    def test_state_counts_and_integers_stay_integers(self, store: Store) -> None:
        assert store.state_increment("count", 2) == 2
        assert isinstance(store.state_increment("count", 1), int)
        assert store.state_increment("count", 0.5) == 3.5

    def test_state_loses_no_count_to_concurrency(self, store: Store) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: store.state_increment("count", 1), range(200)))
        assert store.state_get("count") == 200

    @pytest.mark.parametrize("value", ["text", True, [1]])
    def test_state_that_is_no_number_cannot_be_counted(self, store: Store, value: Any) -> None:
        store.state_set("key", value)
        with pytest.raises(ConflictError, match="not a number"):
            store.state_increment("key", 1)
        assert store.state_get("key") == value

    def test_state_is_swapped_only_from_what_was_seen(self, store: Store) -> None:
        assert store.state_swap("key", None, {"n": 1})
        assert not store.state_swap("key", None, {"n": 2})
        assert not store.state_swap("key", {"n": 0}, {"n": 2})
        assert store.state_swap("key", {"n": 1}, None)
        assert store.state_get("key") is None

    def test_the_release_is_what_was_put_last(self, store: Store) -> None:
        assert store.release() is None
        predictor = PredictorManifest(
            "plan",
            "batch",
            "plan",
            "Plan.",
            {"type": "object"},
            {},
            Resources(secrets=("KEY",)),
            ({"n": 1},),
            ("other",),
        )
        broken = ComponentManifest("broken", "h2", trouble=Trouble("No.", file="broken.py", line=3))
        first = Release("app", "App", 1, NOW, (ComponentManifest("plan", "h1", "v1", (predictor,)), broken))
        store.put_release(first)
        assert store.release() == first
        second = replace(first, number=2, details={"theme": "dark"})
        store.put_release(second)
        assert store.release() == second


class StoreContract(_Runs, _Changes, _Queue, _Pool, _Shared):
    """The whole contract."""


__all__ = ["NOW", "Change", "StoreContract", "a_run", "a_slot", "claimed", "the_entry"]
