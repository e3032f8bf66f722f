"""Drain 2,000 trivial batch runs with one worker, against huey on SQLite with one worker and equal durability.

Equal durability: huey's results are stored and its commits are synchronous (`fsync=True`), as a finish is here. Both
are timed from the first function entered to the last one recorded, so that the start of the processes counts for
neither. Beside them a floor: one durable commit per job on a bare SQLite file, nothing else done. huey lives in a
throw-away environment that uv makes.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _batch_app import App, environment

RUNS = 2000
ROUNDS = 3
TARGET = 2.0
HUEY = "huey==2.5.3"
SOURCE = """
import time
from matinee import batch

@batch
def work(n: int) -> float:
    return time.time()
"""
PEER = """
import sys, time
from huey import SqliteHuey
huey = SqliteHuey(filename=sys.argv[1], fsync=True, results=True)

@huey.task()
def work(n):
    return time.time()

if __name__ == "__main__":
    waiting = [work(n) for n in range(int(sys.argv[2]))]
    consumer = huey.create_consumer(workers=1, worker_type="thread", periodic=False, initial_delay=0.001, backoff=1.0,
                                    check_worker_health=False)
    consumer.start()
    while huey.result_count() < len(waiting):
        time.sleep(0.02)  # seldom: the look costs the consumer time
    done = time.time()
    print(done - min(result.get() for result in waiting))
    consumer.stop()
"""


def measure() -> dict[str, Any]:
    """Return runs per second, the median of interleaved rounds."""
    ours, peers, floors = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        python = _peer_python(Path(folder))
        for number in range(ROUNDS):
            place = Path(folder) / str(number)
            place.mkdir()
            floors.append(RUNS / _floor(place))
            peers.append(RUNS / _peer(python, place))
            ours.append(RUNS / _ours(place))
    rate, peer, floor = map(statistics.median, (ours, peers, floors))
    return {
        "runs": RUNS,
        "runs_per_s": round(rate),
        "huey_per_s": round(peer),
        "durable_commits_per_s": round(floor),
        "ratio": round(rate / peer, 2),
        "target_ratio": TARGET,
        "target_is": "at least",
    }


def _ours(folder: Path) -> float:
    app = App(folder, SOURCE)
    try:
        submitted = app.submit(range(RUNS))
        app.dispatch()
        app.wait_idle()
        runs = [app.store.run(run.id) for run in submitted]
        assert all(run and run.result for run in runs)
        return max(run.finished_at for run in runs if run and run.finished_at) - min(
            float(run.result) for run in runs if run
        )
    finally:
        app.close()


def _peer(python: Path, folder: Path) -> float:
    script = folder / "peer.py"
    script.write_text(PEER)
    command = [str(python), str(script), str(folder / "huey.db"), str(RUNS)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env=environment())
    return float(out.stdout.split()[-1])


def _peer_python(folder: Path) -> Path:
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([uv, "pip", "install", "-q", "--python", str(python), HUEY], check=True)
    return python


def _floor(folder: Path) -> float:
    database = sqlite3.connect(folder / "floor.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, state TEXT, result REAL)")
    with database:
        database.executemany("INSERT INTO jobs (state) VALUES (?)", [("queued",)] * RUNS)
    began = time.monotonic()
    for number in range(1, RUNS + 1):
        database.execute("BEGIN IMMEDIATE")
        database.execute("UPDATE jobs SET state = 'done', result = ? WHERE id = ?", (time.time(), number))
        database.execute("COMMIT")
    elapsed = time.monotonic() - began
    database.close()
    return elapsed


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
