"""What the Store on DynamoDB does beside the contract."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace

import pytest

from matinee.backends.aws.store import DynamoStore
from matinee.errors import BackendError, LimitError
from matinee.manifest import ComponentManifest, Release
from matinee.runs import Feedback, request_cancel, succeed
from matinee.testing.store_contract_runs import NOW, a_run, a_slot, claimed, the_entry
from support.wire import Meter, Wire


@pytest.fixture
def wire(session):
    wire = Wire(session.client("dynamodb"))
    yield wire
    wire.off()


@pytest.fixture
def other(session):
    """The same table seen by another process: nothing is remembered."""
    return DynamoStore(session)


class TestQueue:
    def test_queue_and_pool_are_read_strongly_consistent_and_never_from_an_index(self, store, other, wire):
        run = a_run()
        store.submit([run])
        store.take_slot(a_slot())
        claimed(store, run)
        wire.sent.clear()
        other.due("plan", NOW)
        other.entries("plan")
        other.leased("plan")
        other.next_due_at("plan", NOW)
        other.entry("plan", run.id)
        other.pool("plan")
        other.pools()
        other.run(run.id)
        assert len(wire.sent) >= 8
        for sent in wire.sent:
            assert "IndexName" not in sent.body
            assert sent.body["ConsistentRead"] is True

    def test_an_entry_is_found_by_a_process_that_never_saw_it(self, store, other):
        run = a_run()
        store.submit([run])
        assert other.entry("plan", run.id) == the_entry(store, run)
        _, leased = claimed(store, run)
        assert other.entry("plan", run.id) == leased
        again = DynamoStore(other._session)
        assert again.apply(succeed(again.run(run.id), result=1, now=NOW))
        assert again.entry("plan", run.id) is None
        assert again.entries("plan") == []

    def test_runs_in_back_off_do_not_hide_what_waits(self, store):
        runs = [a_run() for _ in range(60)]
        store.submit(runs)
        for run in runs[:50]:
            claimed(store, run)
        assert [entry.run_id for entry in store.due("plan", NOW, limit=3)] == [run.id for run in runs[50:53]]
        assert len(store.entries("plan")) == 60
        assert len(store.leased("plan")) == 50

    def test_a_user_who_cancelled_a_thousand_runs_stands_in_line_as_anybody(self, store, monkeypatch):
        mistaken = [a_run("ana") for _ in range(20)]
        store.submit(mistaken)
        for run in mistaken:
            assert store.apply(request_cancel(run, the_entry(store, run), now=NOW))
        store.submit([a_run("bo") for _ in range(5)])
        monkeypatch.setattr("matinee.backends.aws.store_runs.time.time", lambda: time.monotonic() + 2**31)
        mine = a_run("ana")
        store.submit([mine])
        assert [entry.user for entry in store.entries("plan")][:2] == ["bo", "ana"]


class TestSubmission:
    def test_correction_12_a_hundred_runs_are_three_transactions(self, store, wire):
        runs = [a_run() for _ in range(120)]
        assert store.submit(runs) == runs
        sizes = [len(s.body["TransactItems"]) for s in wire.sent if s.operation == "TransactWriteItems"]
        assert sizes == [100, 100, 46]
        assert [entry.run_id for entry in store.entries("plan")] == [run.id for run in runs]

    def test_large_runs_are_packed_by_their_bytes(self, store, wire):
        runs = [a_run(inputs="x" * 300_000) for _ in range(9)]
        store.submit(runs)
        assert wire.operations["TransactWriteItems"] == 2
        assert len(store.entries("plan")) == 9

    def test_a_submission_that_breaks_off_is_taken_back(self, store, wire):
        first, then = [a_run(idempotency_key=f"{n}") for n in range(30)], [a_run() for _ in range(60)]
        waiting = a_run()
        store.submit([waiting])
        wire.refuse("TransactWriteItems", "AccessDeniedException", after=2)
        with pytest.raises(BackendError, match="not allowed"):
            store.submit([*first, *then])
        assert [entry.run_id for entry in store.entries("plan")] == [waiting.id]
        assert store.unfinished("ana") == 1
        assert store.submit([*first, *then]) == [*first, *then]
        assert len(store.entries("plan")) == 91

    def test_what_a_worker_has_claimed_is_not_taken_back_but_said(self, store, other, wire):
        runs = [a_run() for _ in range(80)]
        wire.first("BatchGetItem", lambda: claimed(other, runs[7]), after=1)
        wire.refuse("TransactWriteItems", "AccessDeniedException", after=2)
        with pytest.raises(BackendError, match="1 of its 80 runs are in the queue"):
            store.submit(runs)
        assert [entry.run_id for entry in store.entries("plan")] == [runs[7].id]

    def test_known_runs_among_new_ones_are_left_as_they_are(self, store):
        known = [a_run(idempotency_key=f"{n}") for n in range(40)]
        store.submit(known)
        again = [a_run(idempotency_key=f"{n}") for n in range(60)]
        assert store.submit(again) == [*known, *again[40:]]
        assert len(store.entries("plan")) == 60

    def test_two_submitters_of_one_user_give_turns_in_order(self, store, other, wire):
        first, second = a_run(), a_run()
        wire.first("TransactWriteItems", lambda: other.submit([second]))
        store.submit([first])
        assert sorted(entry.fair_share_rank for entry in store.entries("plan")) == [1, 2]

    def test_an_idempotency_key_expires_some_day(self, store, wire):
        store.submit([a_run(idempotency_key="key")])
        (once,) = [
            put["Put"]["Item"]
            for put in wire.sent[-1].body["TransactItems"]
            if "Put" in put and put["Put"]["Item"]["pk"]["S"].startswith("ONCE#")
        ]
        assert time.time() + 29 * 86400 < int(once["expires_at"]["N"]) < time.time() + 31 * 86400


class TestLimits:
    def test_what_is_too_large_is_refused_before_anything_is_done(self, store, wire):
        text = "x" * 420_000
        with pytest.raises(LimitError, match="has 410 KB; at most 400 KB can be kept"):
            store.state_set("key", text)
        with pytest.raises(LimitError, match="The user 'ana' has"):
            store.put_document("user", "ana", text)
        with pytest.raises(LimitError, match=r"Run .* has"):
            store.submit([*(a_run() for _ in range(60)), a_run(inputs=text)])
        with pytest.raises(LimitError, match="The feedback"):
            store.put_feedback(Feedback("run", "ana", 1, comment=text))
        with pytest.raises(LimitError, match="longer than"):
            store.state_get("k" * 3000)
        assert wire.operations.total() <= 1

    def test_a_result_that_is_too_large_leaves_the_run_running(self, store):
        run = a_run()
        store.submit([run])
        running, leased = claimed(store, run)
        with pytest.raises(LimitError):
            store.apply(succeed(running, result="x" * 420_000, now=NOW))
        assert (store.run(run.id), store.entry("plan", run.id)) == (running, leased)

    def test_a_release_may_be_larger_than_an_item(self, store, other):
        noise = random.Random(1).randbytes(700_000).hex()
        release = Release("app", "App", 1, NOW, (ComponentManifest("plan", "h1"),), details={"noise": noise})
        store.put_release(release)
        assert other.release() == release


class TestRelease:
    def test_an_unchanged_release_is_one_small_read(self, store, other, wire):
        store.put_release(Release("app", "App", 1, NOW))
        assert other.release() == store.release()
        wire.sent.clear()
        assert other.release() is other.release()
        assert wire.operations == {"GetItem": 2}

    def test_a_release_replaced_between_head_and_body_is_read_again(self, store, other, wire):
        first, second = Release("app", "App", 1, NOW), Release("app", "App", 2, NOW)
        store.put_release(first)
        reader = DynamoStore(other._session)
        wire.first("GetItem", lambda: store.put_release(second), after=2)  # format, head
        assert reader.release() == second


class TestState:
    def test_a_function_needs_get_put_and_update_of_state_partitions_alone(self, store, session, wire):
        once = Wire(session.client("dynamodb", retry=False))
        store.state_set("key", 1)
        store.state_increment("key", 2)
        store.state_increment("key", 0.5)
        store.state_swap("key", 3.5, {"a": 1})
        store.state_set("key", None)
        store.state_get("key")
        once.off()
        for sent in [*wire.sent, *once.sent]:
            assert sent.operation in ("GetItem", "PutItem", "UpdateItem", "TransactWriteItems")
            parts = sent.body.get("TransactItems", [{"One": sent.body}])
            for verb, part in (pair for write in parts for pair in write.items()):
                assert verb in ("One", "Put", "Update")
                assert (part.get("Key") or part["Item"])["pk"]["S"] == "STATE#key"

    def test_a_removed_value_leaves_an_item_that_expires_and_a_new_one_does_not(self, store, session, wire):
        store.state_set("key", None)
        assert "expires_at" in wire.sent[-1].body["Item"]
        assert store.state_increment("key", 1) == 1
        item = session.client("dynamodb").get_item(
            TableName=session.settings.table, Key={"pk": {"S": "STATE#key"}, "sk": {"S": "STATE"}}
        )["Item"]
        assert "expires_at" not in item

    def test_adding_to_a_whole_number_is_one_call(self, store, session, wire):
        once = Wire(session.client("dynamodb", retry=False))
        store.state_increment("key", 1)
        store.state_increment("key", 1)
        once.off()
        assert (once.operations, wire.operations) == ({"UpdateItem": 2}, {})


class TestWriteUnits:
    """What a call costs does not grow with the run: `ReturnConsumedCapacity` asks DynamoDB itself."""

    @pytest.fixture
    def units(self, session):
        meter = Meter(session.client("dynamodb"))
        yield meter.units
        meter.off()

    def test_a_heartbeat_is_one_unit_however_large_the_run(self, store, units):
        run = a_run(inputs="x" * 200_000)
        store.submit([run])
        _, leased = claimed(store, run)
        units.clear()
        assert store.heartbeat(leased, visible_at=NOW + 60, progress=replace(leased.progress, fraction=0.5))
        assert units == [1.0]

    def test_claim_and_finish_cost_the_same_however_long_the_queue_is(self, store, units):
        def cost():
            units.clear()
            (entry,) = store.due("plan", NOW)
            run = store.run(entry.run_id)
            running, _ = claimed(store, run)
            store.apply(succeed(running, result=1, now=NOW))
            return sum(units)

        store.submit([a_run() for _ in range(30)])
        short = cost()
        store.submit([a_run() for _ in range(600)])
        assert cost() <= short + 1
        print(f"claim and finish: {short} capacity units")


def test_a_failed_call_is_one_json_line_and_a_sentence_that_names_the_permission(store, wire, caplog):
    said = (
        "User: arn:aws:sts::123456789012:assumed-role/ui/x is not authorized to perform: dynamodb:GetItem on resource: "
        "arn:aws:dynamodb:eu-central-1:123456789012:table/app because no identity-based policy allows it"
    )
    wire.refuse("GetItem", "AccessDeniedException", message=said)
    with pytest.raises(BackendError) as raised:
        store.state_get("key")
    assert "dynamodb:GetItem is not allowed" in raised.value.message
    assert raised.value.hint == ("Allow dynamodb:GetItem on arn:aws:dynamodb:eu-central-1:123456789012:table/app.")
    (record,) = caplog.records
    line = json.loads(record.getMessage())
    assert line == record.aws
    assert (line["action"], line["code"], line["status"]) == ("dynamodb:GetItem", "AccessDeniedException", 400)


def test_a_missing_table_is_said(session):
    store = DynamoStore(session)
    store._table.name = "matinee-not-there"
    with pytest.raises(BackendError, match="The table matinee-not-there does not exist"):
        store.pool("plan")
