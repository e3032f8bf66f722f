"""With no worker running: submit → the user's function entered, against a fresh Python that claims from SQLite.

Both are timed from before the submit, through a durable insert and the start of a process, to the time the started
process writes down. The floor does nothing but import sqlite3 and claim the row in one transaction.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from batch_app import App

ROUNDS = 15
TARGET = 2.0
SOURCE = """
import time
from matinee import batch

@batch
def work(n: int) -> float:
    return time.time()
"""
CLAIM = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
number, = db.execute("UPDATE jobs SET state = 'running' WHERE id = (SELECT id FROM jobs WHERE state = 'queued' "
                     "ORDER BY id LIMIT 1) RETURNING id").fetchone()
db.execute("COMMIT")
entered = time.time()
db.execute("UPDATE jobs SET state = 'done', entered = ? WHERE id = ?", (entered, number))
"""


def measure() -> dict[str, Any]:
    """Return medians in milliseconds, interleaved so that a noisy moment meets both."""
    with tempfile.TemporaryDirectory() as folder:
        app = App(Path(folder), SOURCE)
        floor = _floor(Path(folder) / "floor.db")
        floors, ours = [], []
        try:
            for number in range(ROUNDS):
                floors.append(floor() * 1000)
                ours.append(_start(app, number) * 1000)
        finally:
            app.close()
    floor_ms, matinee_ms = statistics.median(floors), statistics.median(ours)
    return {
        "name": "batch_start",
        "matinee_ms": round(matinee_ms, 1),
        "floor_ms": round(floor_ms, 1),
        "ratio": round(matinee_ms / floor_ms, 2),
        "target": f"<= {TARGET}",
        "met": matinee_ms <= TARGET * floor_ms,
    }


def _start(app: App, number: int) -> float:
    app.wait_idle()
    began = time.time()
    (run,) = app.submit([number])
    app.dispatch()
    return float(app.result(run.id)) - began


def _floor(path: Path) -> Callable[[], float]:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, state TEXT, entered REAL)")

    def once() -> float:
        began = time.time()
        database.execute("INSERT INTO jobs (state) VALUES ('queued')")
        subprocess.run([sys.executable, "-c", CLAIM, str(path)], check=True, env=dict(os.environ))
        ((entered,),) = database.execute("SELECT entered FROM jobs ORDER BY id DESC LIMIT 1")
        return float(entered) - began

    return once


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
