"""The table's format, and items that cannot be read: one hides itself, not the others."""

from __future__ import annotations

import pytest

from matinee import store_format
from matinee.backends.aws.store import DynamoStore
from matinee.errors import BackendError
from matinee.manifest import Release
from matinee.ports import RunQuery
from matinee.runs import Feedback
from matinee.store_format import FORMAT
from matinee.testing.store_contract_runs import NOW, a_run, a_slot

FORMAT_KEY = {"pk": {"S": "RELEASE"}, "sk": {"S": "FORMAT"}}


@pytest.fixture(autouse=True)
def nothing_reported_yet(monkeypatch):
    """Damage is reported once a process: each test is the first to meet it."""
    monkeypatch.setattr(store_format, "reported_damage", set())


@pytest.fixture
def table(session):
    """The table as any other program may change it."""
    client, name = session.client("dynamodb"), session.settings.table

    class Items:
        def get(self, **key):
            return client.get_item(TableName=name, Key=key).get("Item")

        def put(self, item):
            client.put_item(TableName=name, Item=item)

        def change(self, partition, sort, attribute, value):
            client.update_item(
                TableName=name,
                Key={"pk": {"S": partition}, "sk": {"S": sort}},
                UpdateExpression="SET #a = :v",
                ExpressionAttributeNames={"#a": attribute},
                ExpressionAttributeValues={":v": value},
            )

    return Items()


@pytest.fixture
def another(session):
    """The same table seen by another process."""
    return lambda: DynamoStore(session)


# --- format -----------------------------------------------------------------------------------------------------------


def test_a_release_gives_the_table_the_number_of_its_format(store, table):
    assert table.get(**FORMAT_KEY) is None
    store.put_release(Release("app", "App", 1, NOW))
    assert table.get(**FORMAT_KEY)["format"] == {"N": str(FORMAT)}


def test_a_table_of_the_first_format_is_read_and_gets_its_number_with_the_next_release(store, another, table):
    """The items are those that the first format's code put; it kept no number."""
    run = "06gc8m3fx00000000000000001"
    table.put(
        {
            "pk": {"S": f"RUN#{run}"},
            "sk": {"S": "RUN"},
            "id": {"S": run},
            "run_status": {"S": "succeeded"},
            "rev": {"N": "2"},
            "body": {"S": '{"predictor":"plan","kind":"batch","user":"ana","created_at":1790000001.0,"attempt":1}'},
            "predictor": {"S": "plan"},
            "inputs": {"S": '{"city":"Zürich"}'},
            "result": {"S": "[1,2.5]"},
            "list_user": {"S": "U#ana"},
            "list_predictor": {"S": "P#plan"},
        }
    )
    store.put_release(Release("app", "App", 1, NOW))
    (found,) = another().runs(RunQuery(user="ana"))
    assert (found.inputs, found.result, found.attempt, found.rev) == ({"city": "Zürich"}, [1, 2.5], 1, 2)


def test_a_newer_format_is_refused_in_words_and_left_alone(store, another, table):
    store.put_release(Release("app", "App", 1, NOW))
    table.put({**FORMAT_KEY, "format": {"N": str(FORMAT + 1)}})
    older = another()
    for verb in (older.release, lambda: older.put_release(Release("app", "App", 2, NOW))):
        with pytest.raises(BackendError, match=rf"was written by a newer Matinee \(format {FORMAT + 1}") as refused:
            verb()
        assert refused.value.hint == "Update Matinee: pip install -U matinee."
    assert table.get(**FORMAT_KEY)["format"] == {"N": str(FORMAT + 1)}
    assert store.release().number == 1


# --- damaged items ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("body", {"S": '{"kind":'}),
        ("body", {"S": "[]"}),
        ("body", {"N": "7"}),
        ("inputs", {"S": "no JSON"}),
        ("result", {"S": "no JSON"}),
        ("run_status", {"S": "asleep"}),
        ("rev", {"S": "one"}),
    ],
)
def test_a_damaged_run_hides_itself_alone(store, another, table, caplog, attribute, value):
    runs = store.submit([a_run(), a_run(), a_run()])
    table.change(f"RUN#{runs[1].id}", "RUN", attribute, value)
    reader = another()
    assert [run.id for run in reader.runs(RunQuery(user="ana"))] == [runs[2].id, runs[0].id]
    assert [run.id for run in reader.runs(RunQuery(limit=2))] == [runs[2].id, runs[0].id], "a page is full"
    assert reader.run(runs[1].id) is None
    assert caplog.text.count(f"The item RUN#{runs[1].id} RUN cannot be read and is left out") == 1


def test_a_damaged_run_gives_its_idempotency_key_up(store, another, table):
    (bad,) = store.submit([a_run(idempotency_key="nightly")])
    table.change(f"RUN#{bad.id}", "RUN", "body", {"S": "x"})
    (new,) = another().submit([a_run(idempotency_key="nightly")])
    assert new.id != bad.id
    assert [run.id for run in another().submit([a_run(idempotency_key="nightly")])] == [new.id]


def test_a_damaged_entry_slot_feedback_or_document_hides_itself_alone(store, another, table, caplog):
    first, second = store.submit([a_run(), a_run()])
    entry = store.entry("plan", first.id)
    table.change("Q#plan", f"1#{entry.fair_share_rank:012d}#{first.id}", "progress", {"S": "half"})
    store.take_slot(a_slot(0))
    store.take_slot(a_slot(1, "token-1"))
    table.change("POOL#plan", "SLOT#000000", "taken_at", {"S": "yesterday"})
    for number, user in enumerate(("ana", "bo")):
        store.put_feedback(Feedback(first.id, user, 1, updated_at=NOW + number))
        store.put_document("user", user, {"name": user})
    table.change(f"RUN#{first.id}", "FEEDBACK#ana", "body", {"S": "{"})
    table.change("DOC#user", "K#ana", "value", {"S": "{"})
    reader = another()
    assert [one.run_id for one in reader.entries("plan")] == [second.id]
    assert [one.run_id for one in reader.due("plan", NOW)] == [second.id]
    assert reader.entry("plan", first.id) is None
    assert [slot.number for slot in reader.pool("plan").slots] == [1]
    assert [said.user for said in reader.feedback(first.id)] == ["bo"]
    assert [said.user for said in reader.feedback_since(NOW, limit=1)] == ["bo"], "an empty page would be the end"
    assert reader.documents("user") == {"bo": {"name": "bo"}}
    assert reader.document("user", "ana") is None
    assert caplog.text.count("cannot be read and is left out") == 4


def test_a_damaged_shared_value_is_an_error_and_never_counted_from_anew(store, table):
    store.state_set("names", ["a"])
    table.change("STATE#names", "STATE", "value", {"S": "["})
    for verb in (lambda: store.state_get("names"), lambda: store.state_increment("names", 1)):
        with pytest.raises(BackendError, match="STATE#names STATE is damaged"):
            verb()


def test_a_damaged_release_is_none_and_a_new_one_takes_its_place(store, another, table, caplog):
    store.put_release(Release("app", "App", 1, NOW))
    digest = table.get(pk={"S": "RELEASE"}, sk={"S": "HEAD"})["digest"]["S"]
    table.change("RELEASE", f"BODY#{digest}#0", "part", {"B": b"no zlib"})
    assert another().release() is None
    assert f"The release {digest} cannot be read" in caplog.text
    store.put_release(Release("app", "App", 2, NOW))
    assert another().release().number == 2
