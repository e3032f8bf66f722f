"""Predict 20,000 rows as one run, against a plain loop over the same rows in one process.

Ours: a worker takes a table kept in Files and leaves the results there, durably, chunk by chunk; timed from the first
row's call to the recorded end. The floor reads the same CSV, converts and checks each row, calls the same function
through the same `execute` and writes a CSV: all but the run (no store, no worker, no progress, no limit per row).
Beside them `function_alone`: csv.DictReader and the bare function.
"""

from __future__ import annotations

import csv
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import matinee
from matinee.rows.inputs import Cells
from matinee.runtime.execute import execute, load_component
from matinee.values.describe import describe

ROWS = 20_000
ROUNDS = 3
TARGET = 2.0
SOURCE = '''
import time
from dataclasses import dataclass
from typing import Literal
from matinee import realtime

@dataclass
class Scored:
    label: str
    score: float
    at: float

@realtime(memory_mb=256)
def score(name: str, age: int = 30, tone: Literal["kind", "curt"] = "kind") -> Scored:
    """Score a person."""
    return Scored(f"{tone}:{name}", age / 100, time.time())
'''


def measure() -> dict[str, Any]:
    """Return rows per second, the median of interleaved rounds."""
    ours, floors, bare, ends = [], [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder)
        function = load_component(str(folder / "score.py"))["score"]
        with matinee.connect(folder) as app:
            for _ in range(ROUNDS):
                floors.append(ROWS / _loop(folder, function))
                bare.append(ROWS / _bare(folder, function))
                took, whole = _ours(app, folder)
                ours.append(ROWS / took)
                ends.append(ROWS / whole)
    rate, floor = statistics.median(ours), statistics.median(floors)
    return {
        "rows": ROWS,
        "rows_per_s": round(rate),
        "check_submit_run_save_rows_per_s": round(statistics.median(ends)),
        "floor_loop_rows_per_s": round(floor),
        "function_alone_rows_per_s": round(statistics.median(bare)),
        "ratio": round(floor / rate, 2),
        "target_ratio": TARGET,
    }


def _write(folder: Path) -> None:
    (folder / "score.py").write_text(SOURCE)
    (folder / "matinee.toml").write_text('name = "bench"\ncomponents = ["score.py"]\n')
    with (folder / "people.csv").open("w") as out:
        out.write("id,name,age,tone\n")
        out.writelines(f"{n},person {n},{n % 90},{('kind', 'curt')[n % 2]}\n" for n in range(ROWS))


def _ours(app: Any, folder: Path) -> tuple[float, float]:
    """Return the seconds of the rows themselves, and of all that a person waits for."""
    began = time.monotonic()
    handle = app.score.submit_rows(folder / "people.csv")
    result = handle.result()
    result.save(folder / "ours.csv")
    whole = time.monotonic() - began
    assert (len(result), result.failed) == (ROWS, 0)
    first = next(iter(result))["result"]["at"]
    return handle.run.finished_at - first, whole


def _loop(folder: Path, function: Any) -> float:
    parameters, result = describe(function)
    manifest = {"name": "score", "parameters": parameters, "result": result}
    began = time.monotonic()
    with (folder / "people.csv").open(newline="") as source, (folder / "loop.csv").open("w", newline="") as target:
        rows, writer = csv.reader(source), csv.writer(target)
        header = next(rows)
        cells = Cells(parameters, header, {name: name for name in parameters["properties"]})
        for row in rows:
            answer = execute(function, manifest, cells.inputs(row), None)
            writer.writerow([*row, *answer.values()])
    return time.monotonic() - began


def _bare(folder: Path, function: Any) -> float:
    began = time.monotonic()
    with (folder / "people.csv").open(newline="") as source, (folder / "bare.csv").open("w", newline="") as target:
        writer = csv.writer(target)
        for row in csv.DictReader(source):
            answer = function(row["name"], int(row["age"]), row["tone"])
            writer.writerow([*row.values(), answer.label, answer.score, answer.at])
    return time.monotonic() - began


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(), indent=2) + "\n")
