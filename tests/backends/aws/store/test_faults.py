"""Conflicts, throttles and lost answers between the Store and DynamoDB."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from matinee.backends.aws import store_table
from matinee.errors import BackendError
from matinee.retry import Backoff
from matinee.runs import Progress, succeed
from matinee.testing.store_contract_runs import NOW, a_run, a_slot, claimed, the_entry
from support.wire import Wire


@pytest.fixture
def wire(session):
    wire = Wire(session.client("dynamodb"))
    yield wire
    wire.off()


@pytest.fixture
def wire_once(session):
    """The client whose calls are sent once."""
    wire = Wire(session.client("dynamodb", retry=False))
    yield wire
    wire.off()


CONFLICT = {"CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}]}


def tokens(wire):
    return {sent.body["ClientRequestToken"] for sent in wire.sent if sent.operation == "TransactWriteItems"}


@pytest.mark.parametrize("reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_correction_12_a_cancelled_transaction_is_tried_again_under_its_token(store, wire, reason):
    run = a_run()
    store.submit([run])
    wire.sent.clear()
    wire.refuse("TransactWriteItems", "TransactionCanceledException", times=3, CancellationReasons=[{"Code": reason}])
    running, _ = claimed(store, run)
    assert store.run(run.id) == running
    assert wire.operations["TransactWriteItems"] == 4
    assert len(tokens(wire)) == 1


def test_correction_12_a_conflict_of_a_single_write_is_tried_again(store, wire):
    wire.refuse("UpdateItem", "TransactionConflictException", times=2)
    store.note("plan", "No capacity.")
    assert store.pool("plan").note == "No capacity."


def test_a_transaction_in_progress_is_waited_for(store, wire):
    wire.refuse("TransactWriteItems", "TransactionInProgressException", times=2)
    run = a_run()
    assert store.submit([run]) == [run]


def test_throttles_are_waited_out(store, wire):
    wire.refuse("", "ThrottlingException", times=2)
    run = a_run()
    store.submit([run])
    wire.refuse("", "ProvisionedThroughputExceededException", times=2)
    assert store.run(run.id) == run


@pytest.mark.parametrize("how", ["lose_answers", "cut"])
class TestLostAnswers:
    """Applied, but the answer lost; or not even sent: the caller sees no difference."""

    @pytest.fixture
    def broken(self, wire, how):
        return getattr(wire, how)

    def test_of_a_submit(self, store, broken):
        run = a_run(idempotency_key="key")
        broken("TransactWriteItems", times=2)
        assert store.submit([run]) == [run]
        assert [entry.run_id for entry in store.entries("plan")] == [run.id]
        assert store.pool("plan").wake == 1

    def test_of_a_claim_and_a_finish(self, store, broken):
        run = a_run()
        store.submit([run])
        broken("TransactWriteItems")
        running, _ = claimed(store, run)
        assert store.run(run.id) == running
        broken("TransactWriteItems")
        done = succeed(running, result=1, now=NOW)
        assert store.apply(done)
        assert (store.run(run.id), store.entries("plan")) == (done.recorded, [])

    def test_of_a_record(self, store, broken):
        run = a_run(kind="realtime")
        broken("PutItem")
        store.record(run)
        assert store.run(run.id) == run

    def test_of_a_slot_taken_renewed_and_freed(self, store, broken):
        slot = a_slot()
        broken("PutItem", times=2)
        assert store.take_slot(slot)
        broken("UpdateItem")
        assert store.update_slot(replace(slot, handle="task/1", renewed_at=NOW))
        broken("TransactWriteItems")
        assert store.free_slot(slot, wake=0)
        assert store.pool("plan").slots == ()

    def test_of_a_heartbeat(self, store, broken):
        run = a_run()
        store.submit([run])
        _, leased = claimed(store, run)
        broken("UpdateItem")
        renewed = store.heartbeat(leased, visible_at=NOW + 200, progress=Progress(0.5))
        assert renewed == the_entry(store, run)

    def test_of_a_swap(self, store, broken):
        broken("TransactWriteItems")
        assert store.state_swap("key", None, 1)
        broken("TransactWriteItems")
        assert store.swap_document("kind", "key", None, {"a": 1})
        assert (store.state_get("key"), store.document("kind", "key")) == (1, {"a": 1})


def test_a_count_is_never_sent_twice_and_its_name_says_whether_it_arrived(store, wire_once):
    wire_once.lose_answers("UpdateItem")
    assert store.state_increment("key", 5) == 5
    assert store.state_get("key") == 5
    assert wire_once.operations["UpdateItem"] == 1


def test_a_count_of_which_nothing_can_be_known_is_said(store, wire_once):
    wire_once.cut("UpdateItem")
    with pytest.raises(BackendError, match="may have been counted or not"):
        store.state_increment("key", 5)


def test_a_throttled_count_is_tried_again(store, wire_once):
    wire_once.refuse("UpdateItem", "ThrottlingException", times=2)
    assert store.state_increment("key", 5) == 5


def test_what_stays_in_conflict_is_said_in_a_sentence_and_logged_once(store, wire, monkeypatch, caplog):
    monkeypatch.setattr(store_table, "_BACKOFF", Backoff(base_s=0.001, cap_s=0.001, total_s=0.005))
    wire.refuse("TransactWriteItems", "TransactionCanceledException", times=1000, **CONFLICT)
    with pytest.raises(BackendError, match="too busy"):
        store.submit([a_run()])
    (line,) = [json.loads(record.message) for record in caplog.records if record.name == "matinee.aws"]
    assert (line["event"], line["action"]) == ("aws_call_failed", "dynamodb:TransactWriteItems")
    assert line["code"] == "TransactionCanceledException"
