"""What every Store does. Inherit `StoreContract` in a test module and give it a fixture `store`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from matinee.errors import ConflictError
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources, Trouble
from matinee.ports import Store
from matinee.runs import Feedback, Progress, request_cancel, succeed
from matinee.testing.store_contract_runs import (
    NOW,
    ChangesContract,
    ClaimBatchContract,
    ExactContract,
    RunsContract,
    a_run,
    a_slot,
    claimed,
)


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

    def test_a_users_unfinished_runs_are_counted_over_all_predictors(self, store: Store) -> None:
        store.submit([a_run("ana"), a_run("ana", "evaluate"), a_run("bo")])
        first, other = (entry.run_id for entry in (store.entries("plan")[0], store.entries("evaluate")[0]))
        run = store.run(first)
        assert run is not None
        claimed(store, run)
        assert (store.unfinished("ana"), store.unfinished("bo"), store.unfinished("eve")) == (2, 1, 0)
        waiting = store.run(other)
        assert waiting is not None
        store.apply(request_cancel(waiting, store.entry("evaluate", other), now=NOW))
        assert store.unfinished("ana") == 1

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
    def test_feedback_is_stored_once_per_user(self, store: Store) -> None:
        ana = Feedback("run", "ana", 1, "good", corrected={"a": 1}, updated_at=NOW)
        store.put_feedback(replace(ana, rating=-1))
        store.put_feedback(ana)
        bo = Feedback("run", "bo", None, updated_at=NOW)
        store.put_feedback(bo)
        assert sorted(store.feedback("run"), key=lambda one: one.user) == [ana, bo]
        assert store.feedback("other") == []

    def test_a_change_of_feedback_changes_only_what_it_names(self, store: Store) -> None:
        first = store.change_feedback("run", "ana", {"rating": -1, "comment": "wrong", "updated_at": 1.0})
        assert first == Feedback("run", "ana", -1, "wrong", updated_at=1.0)
        store.change_feedback("run", "ana", {"corrected": {"a": 1}, "updated_at": 2.0})
        changed = store.change_feedback("run", "ana", {"rating": 5, "scale": "stars", "updated_at": 3.0})
        assert changed == Feedback("run", "ana", 5, "wrong", {"a": 1}, 3.0, "stars")
        assert (store.feedback("run"), store.feedback_since(0.0)) == ([changed], [changed])
        store.change_feedback("run", "bo", {"comment": "", "updated_at": 4.0})
        assert store.feedback("run")[0] == changed

    def test_concurrent_changes_of_feedback_are_all_stored(self, store: Store) -> None:
        changes: list[dict[str, Any]] = [{"rating": 1}, {"comment": "fine"}, {"corrected": [7]}]
        with ThreadPoolExecutor(len(changes)) as pool:
            list(pool.map(lambda change: store.change_feedback("run", "ana", change), changes))
        assert store.feedback("run") == [Feedback("run", "ana", 1, "fine", [7])]

    def test_feedback_is_listed_in_the_order_it_came_page_by_page(self, store: Store) -> None:
        listed = [Feedback(f"run-{n}", "ana", 1, updated_at=100.0 + n // 2) for n in range(7)]
        for feedback in reversed(listed):
            store.put_feedback(feedback)
        assert store.feedback_since(0.0) == listed
        assert store.feedback_since(101.0) == listed[2:]
        first = store.feedback_since(101.0, limit=3)
        assert first + store.feedback_since(101.0, after=first[-1], limit=3) == listed[2:]
        changed = replace(listed[0], rating=-1, updated_at=200.0)
        store.put_feedback(changed)
        assert store.feedback_since(0.0) == [*listed[1:], changed]

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

    def test_documents_are_stored_by_kind_and_key(self, store: Store) -> None:
        store.put_document("user", "bo", {"role": "user"})
        store.put_document("user", "ana", {"role": "owner"})
        store.put_document("token", "bo", 1)
        assert store.documents("user") == {"ana": {"role": "owner"}, "bo": {"role": "user"}}
        store.put_document("user", "bo", None)
        assert (store.document("user", "bo"), store.document("token", "bo")) == (None, 1)

    def test_a_document_is_swapped_only_from_what_was_seen(self, store: Store) -> None:
        assert store.swap_document("notice", "run", None, {"tries": 0})
        assert not store.swap_document("notice", "run", None, {"tries": 1})
        assert store.swap_document("notice", "run", {"tries": 0}, None)
        assert store.documents("notice") == {}

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


class StoreContract(RunsContract, ChangesContract, ClaimBatchContract, ExactContract, _Queue, _Pool, _Shared):
    """The whole contract."""
