"""What is SQLite's own: one file shared by threads and processes, killed, forked, damaged, full."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from matinee.backends.local.database import Database
from matinee.backends.local.store import SqliteStore, _list_statement
from matinee.errors import BackendError
from matinee.ports import RunQuery
from matinee.queue.claims import finish
from matinee.runs import Status, succeed
from matinee.testing.store_contract_runs import NOW, a_run, claim_next


def test_a_new_file_is_in_wal_mode_and_durable(tmp_path):
    SqliteStore(tmp_path / "state.db").close()
    connection = sqlite3.connect(tmp_path / "state.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with Database(str(tmp_path / "state.db")).write() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL: a commit waits for the disk"


@pytest.mark.parametrize("content", [b"no database at all, but text", b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "state.db"
    path.write_bytes(content)
    with pytest.raises(BackendError, match=r"state\.db is damaged .* Move it aside"):
        SqliteStore(path)
    assert path.read_bytes() == content


def test_a_file_damaged_inside_is_said_to_be(tmp_path):
    path = tmp_path / "state.db"
    store = SqliteStore(path)
    store.submit([a_run() for _ in range(500)])
    store.close()
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\xff" * (len(content) - 4096 * 2)
    path.write_bytes(content)
    with pytest.raises(BackendError, match="Move it aside"):
        SqliteStore(path).runs(RunQuery())


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    with pytest.raises(BackendError, match="not one of Matinee's"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_newer_format_is_refused(tmp_path):
    path = tmp_path / "state.db"
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(BackendError, match="newer Matinee"):
        SqliteStore(path)


def test_a_folder_in_the_files_place_or_a_file_in_the_folders_is_said_in_a_sentence(tmp_path):
    (tmp_path / "state.db").mkdir()
    with pytest.raises(BackendError, match="cannot be opened"):
        SqliteStore(tmp_path / "state.db")
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match="cannot be made"):
        SqliteStore(tmp_path / "file" / "state.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_said_in_a_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(BackendError):
        SqliteStore(tmp_path / "state.db")


def test_a_disk_that_takes_no_more_loses_nothing_that_was_there(tmp_path):
    store = SqliteStore(tmp_path / "state.db")
    (kept,) = store.submit([a_run()])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
        with pytest.raises(BackendError, match=r"state\.db (cannot grow|could not be read or written)"):
            store.submit([a_run() for _ in range(5000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [run.id for run in store.runs(RunQuery())] == [kept.id]
    store.submit([a_run()])
    assert len(store.entries("plan")) == 2


def test_a_child_process_may_use_the_store_it_inherited(tmp_path):
    store = SqliteStore(tmp_path / "state.db")
    store.submit([a_run()])
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store.submit([a_run()])
            store.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    store.submit([a_run()])
    assert len(store.entries("plan")) == 3


KILLED = """
import os, sys
from matinee.backends.local.store import SqliteStore
from matinee.testing.store_contract_runs import a_run
store = SqliteStore(sys.argv[1])
while True:
    runs = store.submit([a_run() for _ in range(20)])
    os.write(1, f"{runs[-1].id}\\n".encode())
"""


def test_what_was_answered_survives_a_kill_and_nothing_is_half_there(tmp_path):
    path = tmp_path / "state.db"
    process = subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True)
    answered = [process.stdout.readline().strip() for _ in range(30)]
    process.kill()
    process.wait()
    process.stdout.close()
    store = SqliteStore(path)
    entries = store.entries("plan", 100_000)
    assert set(answered) <= {entry.run_id for entry in entries}
    assert len(entries) % 20 == 0


CLAIMING = """
import sys, threading, time
from matinee.backends.local.store import SqliteStore
from matinee.testing.store_contract_runs import claim_next
store, claimed = SqliteStore(sys.argv[1]), []
def work(owner):
    while held := claim_next(store, owner, time.time()):
        claimed.append(held[0].id)
threads = [threading.Thread(target=work, args=(f"{sys.argv[2]}-{n}",)) for n in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(*claimed)
"""


@pytest.mark.slow
def test_two_processes_of_eight_threads_never_claim_a_run_twice(tmp_path):
    store = SqliteStore(tmp_path / "state.db")
    runs = store.submit([a_run() for _ in range(10_000)])
    processes = [
        subprocess.Popen([sys.executable, "-c", CLAIMING, store.path, name], stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    shares = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert all(len(share) > 100 for share in shares), "neither process starves"
    assert sorted(shares[0] + shares[1]) == sorted(run.id for run in runs)


def test_threads_finish_what_they_claim_once(tmp_path):
    store = SqliteStore(tmp_path / "state.db")
    store.submit([a_run() for _ in range(300)])
    done = []

    def work(owner):
        while held := claim_next(store, owner, NOW):
            done.append(finish(store, held[0], lambda run, _: succeed(run, result=run.owner, now=NOW)))

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run.id for run in done if run.status is Status.SUCCEEDED}) == 300


def test_connections_are_shared_by_threads_that_come_and_go(tmp_path):
    store = SqliteStore(tmp_path / "state.db")
    for _ in range(50):
        thread = threading.Thread(target=store.pools)
        thread.start()
        thread.join()
    assert len(store._database._all) == 1


# --- every query by an index ------------------------------------------------------------------------------------

DUE = "SELECT * FROM queue WHERE predictor = 'p' AND visible_at <= 9 ORDER BY turn, run_id LIMIT 8"
LEASED = (
    "SELECT * FROM queue INDEXED BY queue_in_time WHERE predictor = 'p' AND attempt > 0 AND owner != '' "
    "ORDER BY turn, run_id"
)


def plan_of(store, sql, parameters=()):
    return " | ".join(row[3] for row in store._database.read(f"EXPLAIN QUERY PLAN {sql}", parameters))


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (RunQuery(), "runs_listed"),
        (RunQuery(before="x"), "runs_listed"),
        (RunQuery(user="ana"), "runs_of_user"),
        (RunQuery(user="ana", predictor="plan", before="x"), "runs_of_user"),
        (RunQuery(predictor="plan"), "runs_of_predictor"),
        (RunQuery(user="ana", statuses=frozenset({Status.FAILED})), "runs_not_succeeded"),
        (RunQuery(statuses=frozenset({Status.QUEUED, Status.RUNNING})), "queue_of_run"),
        (RunQuery(user="ana", statuses=frozenset({Status.SUCCEEDED})), "runs_of_user"),
        (RunQuery(include_nested=True), "sqlite_autoindex_runs_1"),
    ],
)
def test_runs_are_listed_from_an_index_without_sorting(tmp_path, query, index):
    plan = plan_of(SqliteStore(tmp_path / "state.db"), *_list_statement(query))
    assert index in plan
    assert "TEMP B-TREE" not in plan


def test_the_queue_is_read_from_its_indexes(tmp_path):
    store = SqliteStore(tmp_path / "state.db")
    assert plan_of(store, DUE) == "SEARCH queue USING PRIMARY KEY (predictor=?)"
    assert "queue_in_time (predictor=?)" in plan_of(store, LEASED)
    next_due = "SELECT min(visible_at) FROM queue WHERE predictor = 'p' AND attempt > 0 AND visible_at > 3"
    assert "queue_in_time (predictor=? AND visible_at>?)" in plan_of(store, next_due)
    last_turn = "SELECT max(turn) FROM queue WHERE predictor = 'p' AND user = 'ana'"
    assert "COVERING INDEX queue_of_user (predictor=? AND user=?)" in plan_of(store, last_turn)
    assert "queue_of_run (run_id=?)" in plan_of(store, "UPDATE queue SET rev = 1 WHERE run_id = 'r' AND rev = 0")
    once = "SELECT 1 FROM runs WHERE idempotency_key != '' AND user = 'a' AND predictor = 'p' AND idempotency_key = 'k'"
    assert "runs_once (user=? AND predictor=? AND idempotency_key=?)" in plan_of(store, once)
