"""A row that cannot be read hides itself and leaves a line in the log; everything else is there."""

from __future__ import annotations

import sqlite3

import pytest

from matinee.backends.local.store import SqliteStore
from matinee.errors import BackendError, LimitError
from matinee.manifest import Release
from matinee.ports import RunQuery
from matinee.runs import Feedback, Status
from matinee.testing.store_contract_runs import NOW, a_run

DAMAGE = {
    "no JSON": ("body", '{"kind":'),
    "an empty text": ("body", ""),
    "another shape": ("body", "[1, 2]"),
    "bytes": ("body", b"\xff\xfe"),
    "a missing field": ("body", "{}"),
    "a text for a time": ("body", '{"kind":"batch","created_at":"yesterday"}'),
    "an unknown kind": ("body", '{"kind":"dream","created_at":1}'),
    "a failure without words": ("body", '{"kind":"batch","created_at":1,"failure":{"kind":"crash"}}'),
    "inputs that are no JSON": ("inputs", "{'a': 1}"),
    "a result that is no JSON": ("result", "nan?"),
    "a state there is not": ("status", "asleep"),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture
def store(path):
    return SqliteStore(path)


def damage(path, sql, *values):
    with sqlite3.connect(path) as connection:
        assert connection.execute(sql, values).rowcount == 1
    connection.close()


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_run_hides_itself_alone(store, path, caplog, how):
    column, value = DAMAGE[how]
    first, bad, last = store.submit([a_run(), a_run(), a_run()])
    damage(path, f"UPDATE runs SET {column} = ? WHERE id = ?", value, bad.id)
    for query in (RunQuery(), RunQuery(user="ana"), RunQuery(predictor="plan", include_nested=True)):
        assert [run.id for run in store.runs(query)] == [last.id, first.id]
    assert store.run(bad.id) is None
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith(f"Run {bad.id} cannot be read and is left out: "), "said once, however often it is looked at"


def test_a_page_is_full_though_rows_of_it_are_damaged(store, path):
    """A short page is the last one: else what is older than a damaged row would be gone."""
    runs = store.submit([a_run() for _ in range(30)])
    for run in runs[10:25]:
        damage(path, "UPDATE runs SET body = 'x' WHERE id = ?", run.id)
    page = store.runs(RunQuery(limit=8))
    assert [run.id for run in page] == [run.id for run in [*reversed(runs[25:]), *reversed(runs[7:10])]]
    rest = store.runs(RunQuery(limit=8, before=page[-1].id))
    assert [run.id for run in rest] == [run.id for run in reversed(runs[:7])]


def test_a_damaged_run_gives_its_idempotency_key_up(store, path):
    (bad,) = store.submit([a_run(idempotency_key="nightly")])
    damage(path, "UPDATE runs SET body = '' WHERE id = ?", bad.id)
    (new,) = store.submit([a_run(idempotency_key="nightly")])
    assert new.id != bad.id
    assert store.submit([a_run(idempotency_key="nightly")]) == [new]


def test_a_damaged_feedback_hides_itself_alone(store, path, caplog):
    for number, user in enumerate(("ana", "bo", "cy")):
        store.put_feedback(Feedback("run", user, 1, updated_at=NOW + number))
    damage(path, "UPDATE feedback SET body = '{' WHERE user = 'bo'")
    assert [said.user for said in store.feedback("run")] == ["ana", "cy"]
    assert [said.user for said in store.feedback_since(NOW)] == ["ana", "cy"]
    assert [said.user for said in store.feedback_since(NOW + 1, limit=1)] == ["cy"], "an empty page would be the end"
    assert "What bo said of run run cannot be read" in caplog.text


def test_a_damaged_document_hides_itself_alone(store, path, caplog):
    for key in ("ana", "bo"):
        store.put_document("user", key, {"name": key})
    damage(path, "UPDATE documents SET value = '{' WHERE key = 'bo'")
    assert store.documents("user") == {"ana": {"name": "ana"}}
    assert store.document("user", "bo") is None
    assert "The user 'bo' cannot be read" in caplog.text


def test_a_damaged_shared_value_is_an_error_and_never_counted_from_anew(store, path):
    store.state_set("count", 41)
    damage(path, "UPDATE documents SET value = '4x' WHERE key = 'count'")
    for verb in (lambda: store.state_get("count"), lambda: store.state_increment("count", 1)):
        with pytest.raises(BackendError, match=r"state\['count'\] is damaged"):
            verb()
    store.state_set("count", 41)
    assert store.state_increment("count", 1) == 42


def test_a_damaged_release_is_none_and_a_new_one_takes_its_place(store, path, caplog):
    store.put_release(Release("app", "App", 1, NOW))
    damage(path, "UPDATE release SET body = '{}'")
    assert store.release() is None
    assert "The release cannot be read" in caplog.text
    store.put_release(Release("app", "App", 2, NOW))
    assert store.release().number == 2


# --- what is too large on AWS is too large here -----------------------------------------------------------------------


def test_values_are_refused_where_dynamodb_refuses_them(store):
    store.state_set("big", "x" * 409_000)
    for verb in (
        lambda: store.state_set("big", "x" * 500_000),
        lambda: store.state_set("umlauts", "ä" * 205_000),
        lambda: store.state_swap("new", None, "x" * 500_000),
        lambda: store.put_document("user", "ana", "x" * 500_000),
        lambda: store.put_feedback(Feedback("run", "ana", 1, comment="x" * 500_000)),
        lambda: store.submit([a_run(inputs="x" * 500_000)]),
        lambda: store.record(a_run(status=Status.SUCCEEDED, result="x" * 500_000)),
    ):
        with pytest.raises(LimitError, match=r"KB; at most 400 KB can be kept"):
            verb()
    with pytest.raises(LimitError, match="longer than 2042 bytes"):
        store.state_set("k" * 3000, 1)
    assert len(store.state_get("big")) == 409_000
    assert store.runs(RunQuery()) == []
