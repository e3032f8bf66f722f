"""A hundred thousand runs are read once, a slice at a time; later looks read what is new."""

from __future__ import annotations

import json
import sqlite3
import time

import pytest

from matinee.backends.local.store import SqliteStore
from matinee.client.insights import DAY_S, PAGE, Insights
from matinee.runs import Run, Status, first_run_id

RUNS = 100_000
NOW = 1_780_000_000.0
EVERY_S = 20.0  # a run each: 23 days
SLICE_S = 0.2

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "state.db"
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.executemany(
            "INSERT INTO runs VALUES (?, ?, ?, 'succeeded', '', '', 1, ?, '1', ?)",
            (
                (first_run_id(at := NOW - i * EVERY_S), f"p{i % 3}", f"user-{i % 70}", '{"text":"hello"}', body(at))
                for i in range(RUNS)
            ),
        )
    return SqliteStore(path)


def body(at: float) -> str:
    times = {"created_at": at, "started_at": at, "finished_at": at + 0.05}
    return json.dumps({"kind": "realtime", "version": "v1", "attempt": 1, "failure": None, **times})


def test_all_are_counted_in_slices_and_afterwards_only_what_is_new(store):
    now = [NOW + 1]
    insights = Insights(store, clock=lambda: now[0])
    looks = [0.0]
    while not insights.refresh(NOW - 60 * DAY_S, late_s=60, budget_s=SLICE_S):
        looks.append(insights.pages_read)
        assert len(looks) < RUNS / PAGE
    assert sum(cell.runs for cell in insights._cells.values()) == RUNS
    assert insights.pages_read <= RUNS / PAGE + 1 + len(looks)  # each look also asks for what is new
    assert len(insights._cells) < 100
    assert len(insights._recent) < 100

    store.record(Run(first_run_id(NOW + 2), "p0", "realtime", "eve", Status.SUCCEEDED, {}, NOW + 2))
    now[0] = NOW + 10
    before, started = insights.pages_read, time.process_time()
    assert insights.refresh(NOW - 60 * DAY_S, late_s=60, budget_s=SLICE_S)
    assert insights.pages_read == before + 1
    assert time.process_time() - started < 0.05
    assert sum(cell.runs for cell in insights._cells.values()) == RUNS + 1
