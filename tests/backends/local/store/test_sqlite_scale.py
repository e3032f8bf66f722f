"""A hundred thousand runs: every page of History is read by an index, in steps counted by SQLite itself."""

from __future__ import annotations

import json
import sqlite3

import pytest

from matinee.backends.local.store import SqliteStore, _list_statement
from matinee.ports import RunQuery
from matinee.runs import Status, first_run_id

RUNS = 100_000
START = 1_700_000_000.0
UNFINISHED = frozenset({Status.QUEUED, Status.RUNNING})
STEPS = 100  # of SQLite's machine, between two counts; a million take some 30 ms
BODY = {"kind": "realtime", "created_at": START, "version": "v1", "attempt": 1, "failure": None}

pytestmark = pytest.mark.slow


def status_of(number: int) -> str:
    return "failed" if number % 10 == 0 else "succeeded"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "state.db"
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    body = json.dumps(BODY)
    connection.executemany(
        "INSERT INTO runs VALUES (?, ?, ?, ?, '', '', 1, ?, '1', ?)",
        (
            (first_run_id(START + i), f"p{i % 3}", f"user-{i % 7}", status_of(i), '{"text":"hello"}', body)
            for i in range(RUNS)
        ),
    )
    connection.commit()
    connection.close()
    return path


@pytest.mark.parametrize(
    ("query", "found", "most_steps"),
    [
        ({}, 50, 2_000),
        ({"before": first_run_id(START + RUNS / 2)}, 50, 2_000),
        ({"user": "user-3"}, 50, 2_000),
        ({"user": "user-3", "predictor": "p1"}, 50, 3_000),
        ({"predictor": "p1"}, 50, 2_000),
        ({"user": "user-3", "since": START, "until": START + 60}, 9, 2_000),
        ({"user": "user-3", "statuses": frozenset({Status.SUCCEEDED})}, 50, 3_000),
        ({"user": "user-3", "statuses": frozenset({Status.FAILED})}, 50, 10_000),
        ({"statuses": UNFINISHED}, 0, 2_000),
        ({"user": "user-3", "predictor": "p1", "statuses": UNFINISHED}, 0, 2_000),
        ({"user": "nobody"}, 0, 2_000),
        ({"user": "nobody", "statuses": frozenset({Status.FAILED})}, 0, 100_000),
    ],
)
def test_a_page_of_runs_takes_few_steps_however_long_history_is(path, query, found, most_steps):
    connection = sqlite3.connect(path)
    steps = []
    connection.set_progress_handler(lambda: steps.append(STEPS) or 0, STEPS)
    rows = connection.execute(*_list_statement(RunQuery(**query))).fetchall()
    assert len(rows) == found
    assert sum(steps) <= most_steps
    connection.close()


def test_a_page_is_what_was_asked_for(path):
    store = SqliteStore(path)
    page = store.runs(RunQuery(user="user-3", since=START + 1000, limit=5))
    assert [run.id for run in page] == sorted((run.id for run in page), reverse=True)
    assert {run.user for run in page} == {"user-3"}
    following = store.runs(RunQuery(user="user-3", before=page[-1].id, limit=5))
    assert following[0].id < page[-1].id
    store.close()
