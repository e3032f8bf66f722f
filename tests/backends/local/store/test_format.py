"""The format of `state.db`: an older one is migrated with a copy beside it, a newer one is refused in words.

`format_1.sql` is a file of the first format as text, as the code of that time wrote it.
"""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from matinee.backends.local import database
from matinee.backends.local.store import SqliteStore
from matinee.errors import BackendError
from matinee.ports import RunQuery
from matinee.runs import Failure, Feedback, Progress, Slot, Status, new_run_id
from matinee.store_format import FORMAT

FORMAT_1 = (Path(__file__).parent / "format_1.sql").read_text("utf-8")
FIRST = "06gc8m3fx00000000000000001"
FAILED = "06gc8m3kt00000000000000002"
RUNNING = "06gc8m3qq00000000000000003"
CANCELLED = "06gc8m3vm00000000000000004"
QUEUED = "06gc8m3zh00000000000000005"
GREETED = "06gc8m43e00000000000000006"
NESTED = "06gc8m47b00000000000000007"


@pytest.fixture
def path(tmp_path):
    """A `state.db` of the first format."""
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(FORMAT_1)
    connection.close()
    return path


def format_of(path):
    connection = sqlite3.connect(path)
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return number


def test_everything_of_the_first_format_is_read(path):
    store = SqliteStore(path)
    runs = {run.id: run for run in store.runs(RunQuery(include_nested=True))}
    assert list(runs) == [NESTED, GREETED, QUEUED, CANCELLED, RUNNING, FAILED, FIRST]
    assert [runs[run_id].status.value for run_id in (FIRST, FAILED, RUNNING, CANCELLED, QUEUED)] == [
        *("succeeded", "failed", "running", "cancelled", "queued")
    ]
    first = runs[FIRST]
    assert (first.inputs, first.result) == ({"city": "Zürich", "n": 1}, {"rows": [1, 2.5, None, "é"]})
    assert (first.user, first.version, first.attempt, first.duration_s) == ("ana", "v3", 1, 2.0)
    assert runs[FAILED].failure == Failure("exception", "KeyError: 'x'", "Look.", "Traceback …")
    assert (runs[GREETED].kind, runs[GREETED].cold_start, runs[NESTED].parent) == ("realtime", True, FIRST)
    assert store.entry("plan", RUNNING).progress == Progress(0.5, "halfway")
    assert [entry.run_id for entry in store.entries("plan")] == [RUNNING, QUEUED]
    assert store.pool("plan").note == "The image is being pulled."
    assert store.pool("plan").slots == (Slot("plan", 0, "w1", "hash", 1790000009.0, "pid:1", 1790000016.0),)
    assert store.feedback(FIRST) == [
        Feedback(FIRST, "ana", 1, "good", None, 1790000020.0),
        Feedback(FIRST, "bo", 4, "", {"rows": []}, 1790000021.0, "stars"),
    ]
    assert [said.user for said in store.feedback_since(1790000020.5)] == ["bo"]
    assert (store.state_get("count"), store.state_get("names")) == (3, ["a", "ü"])
    assert store.document("share", FIRST) == {"by": "ana", "at": 1790000000.0}
    assert (store.release().number, store.release().predictor("plan").doc) == (7, "Plan.")


def test_an_idempotency_key_of_the_first_format_is_still_known(path):
    store = SqliteStore(path)
    known = store.run(FIRST)
    new = replace(known, id=new_run_id(), status=Status.QUEUED, result=None, attempt=0)
    assert store.submit([new]) == [known]


def test_a_copy_of_the_file_as_it_was_stands_beside_it(path):
    SqliteStore(path).close()
    copy = path.with_name("state.db.format-1")
    assert (format_of(path), format_of(copy)) == (FORMAT, 1)
    connection = sqlite3.connect(copy)
    assert [line for line in connection.iterdump() if "PRAGMA" not in line] == [
        line for line in dumped(FORMAT_1) if "PRAGMA" not in line
    ]
    connection.close()


def dumped(script):
    connection = sqlite3.connect(":memory:")
    connection.executescript(script)
    return list(connection.iterdump())


def test_a_migrated_file_has_the_tables_of_a_new_one(path, tmp_path):
    SqliteStore(path).close()
    SqliteStore(tmp_path / "new.db").close()
    columns = (
        "SELECT m.name, c.* FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1, 2"
    )
    indexes = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1"
    for query in (columns, indexes):
        old, new = (sqlite3.connect(name).execute(query).fetchall() for name in (path, tmp_path / "new.db"))
        assert old == new


def test_a_file_of_todays_format_is_not_copied(path):
    SqliteStore(path).close()
    copy = path.with_name("state.db.format-1")
    copy.unlink()
    SqliteStore(path).close()
    assert not copy.exists()


def test_a_migration_that_breaks_off_leaves_the_file_as_it_was(path, monkeypatch):
    def breaks(connection):
        connection.execute("DELETE FROM runs")
        raise OSError("the power is gone")

    monkeypatch.setitem(database._MIGRATIONS, 1, breaks)
    with pytest.raises(OSError, match="power"):
        SqliteStore(path)
    monkeypatch.undo()
    assert format_of(path) == 1
    assert SqliteStore(path).run(FIRST).status is Status.SUCCEEDED


def test_many_that_open_an_old_file_at_once_migrate_it_once(path):
    with ThreadPoolExecutor(8) as threads:
        stores = list(threads.map(lambda _: SqliteStore(path), range(8)))
    assert {store.run(FIRST).user for store in stores} == {"ana"}
    assert format_of(path.with_name("state.db.format-1")) == 1


def test_a_newer_format_is_refused_in_words_and_left_alone(path):
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()
    with pytest.raises(BackendError, match=rf"written by a newer Matinee \(format {FORMAT + 1}") as refused:
        SqliteStore(path)
    assert refused.value.hint == "Update Matinee: pip install -U matinee."
    assert format_of(path) == FORMAT + 1
