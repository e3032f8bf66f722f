"""With no worker running: submit → the user's function entered, against a fresh Python that claims from SQLite.

Both are timed from before the submit, through a durable insert and the start of a process, to the time that the user's
function writes down. The floor's process does nothing but claim the row in one transaction, read its JSON and go on.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _batch_app import App, environment

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
import json, sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
number, inputs = db.execute(
    "UPDATE jobs SET state = 'running' WHERE id = (SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 1) "
    "RETURNING id, inputs").fetchone()
db.execute("COMMIT")
json.loads(inputs)
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
            _start(app, 0)  # compiles what is compiled once
            for number in range(ROUNDS):
                floors.append(floor() * 1000)
                ours.append(_start(app, number) * 1000)
        finally:
            app.close()
    floor_ms, matinee_ms = statistics.median(floors), statistics.median(ours)
    return {
        "submit_to_entered_ms": round(matinee_ms, 1),
        "fastest_ms": round(min(ours), 1),
        "floor_ms": round(floor_ms, 1),
        "floor_fastest_ms": round(min(floors), 1),
        "ratio": round(matinee_ms / floor_ms, 2),
        "target_ratio": TARGET,
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
    database.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, state TEXT, inputs TEXT, entered REAL)")

    def once() -> float:
        began = time.time()
        database.execute("INSERT INTO jobs (state, inputs) VALUES ('queued', '{}')")
        subprocess.run([sys.executable, "-c", CLAIM, str(path)], check=True, env=environment())
        ((entered,),) = database.execute("SELECT entered FROM jobs ORDER BY id DESC LIMIT 1")
        return float(entered) - began

    return once


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
