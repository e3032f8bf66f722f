"""Runs of many rows by real workers: results, failures row by row, crash and resume, cancel, bounded memory."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import matinee
from matinee.client.connect import App
from matinee.rows import storage
from matinee.runs import Run
from matinee.testing.harness import wait_until

SOURCE = """
    import os, time
    from dataclasses import dataclass
    from matinee import context, realtime, InputError

    LEAK = []

    @dataclass
    class Seen:
        twice: int
        pid: int

    @realtime(memory_mb=200, timeout_s=0.5)
    def see(n: int, act: str = "") -> Seen:
        with open("NOTES/calls.txt", "a") as calls:
            calls.write(f"{n}\\n")
        if act == "raise":
            raise ValueError("I do not like this row")
        if act == "refuse":
            raise InputError("n", "is out of stock")
        if act == "exit":
            raise SystemExit(3)
        if act == "sleep":
            time.sleep(30)
        if act == "swallow":
            try:
                time.sleep(30)
            except Exception:
                pass
        if act == "wrong":
            return Seen("text", 1)
        if act == "crash":
            os._exit(7)
        if act == "eat":
            held = bytearray(os.urandom(1 << 20)) * 400
            time.sleep(5)
        if act == "leak":
            LEAK.append(bytearray(os.urandom(1)) * 60_000)
        if act.startswith("pause"):
            time.sleep(float(act[5:]))
        return Seen(2 * n, os.getpid())
"""


@pytest.fixture
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where predictors write what the tests read: a worker runs in a snapshot of the app's folder, not in it."""
    return tmp_path_factory.mktemp("notes")


@pytest.fixture
def app(write_app: Callable[..., Path], notes: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    folder = write_app(see=SOURCE.replace("NOTES", str(notes)))
    monkeypatch.chdir(folder)
    with matinee.connect(folder) as found:
        yield found


def table(*acts: str) -> bytes:
    return "\n".join(["n,act", *(f"{n},{act}" for n, act in enumerate(acts, 1))]).encode()


def lines(app: App, run: Run) -> list[dict[str, Any]]:
    pieces = app.client.rows_result(app.client.run(run.id), "jsonl")
    return [json.loads(line) for line in b"".join(pieces).splitlines()]


def calls(notes: Path) -> Counter[int]:
    file = notes / "calls.txt"
    return Counter(map(int, file.read_text().split() if file.exists() else ()))


def message(app: App, run: Run) -> str:
    entry = app.client.entry(app.client.run(run.id))
    return entry.progress.message if entry else ""


def test_a_row_that_fails_is_a_row_with_an_error(app: App) -> None:
    acts = ["", "raise", "refuse", "exit", "sleep", "swallow", "wrong", ""]
    result = app.see.predict_rows(table(*acts) + b"\nx,\n")
    errors = [row["error"] for row in result]
    assert errors[0] is None
    assert "I do not like this row" in errors[1]
    assert errors[2] == "n: is out of stock"
    assert "SystemExit" in errors[3]
    assert errors[4] == errors[5] == "see took longer than its limit of 0.5 s."
    assert "does not fit its return annotation" in errors[6]
    assert errors[8] == "n: must be a whole number"
    rows = list(result)
    assert rows[7]["result"]["twice"] == 16
    assert len({row["result"]["pid"] for row in rows if row["result"]}) == 1, "one process, its module loaded once"
    assert (len(result), result.failed) == (9, 7)
    log = "\n".join(line.message for line in app.runs()[0].logs())
    assert "Row 2: see raised ValueError" in log
    assert "see.py" in log


def test_the_run_stands_in_history_with_its_progress(app: App) -> None:
    handle = app.see.submit_rows(table("raise", *["pause0.1"] * 40))
    told = wait_until(lambda: "failed" in message(app, handle.run) and message(app, handle.run))
    assert told.endswith(" of 41 rows, 1 failed")
    (found,) = app.runs("see")
    assert (found.run.kind, found.run.predictor) == ("batch", "see")
    assert 0 < (handle.progress.fraction or 0) < 1
    assert handle.result(timeout_s=60).failed == 1


def test_the_result_is_saved_as_the_name_says(app: App) -> None:
    result = app.see.predict_rows(table("", "raise"), {"n": "n"})
    (head, first, _) = csv.reader(io.StringIO(result.save("out.csv").read_text("utf-8-sig")))
    assert (head, first[:3]) == (["n", "act", "twice", "pid", "error"], ["1", "", "2"])
    assert result.to_pandas()["twice"].tolist()[0] == 2
    assert len(result.save("out.jsonl").read_text().splitlines()) == 2


def test_a_killed_worker_loses_only_the_unfinished_chunk(app: App, notes: Path) -> None:
    run = app.see.submit_rows(table(*["pause0.001"] * 2000)).run
    files, key = app.client.backend.files, storage.results_key(run.id)
    wait_until(lambda: storage.chain_chunks(files, key), what="the first chunk")
    done = storage.chain_chunks(files, key)
    before = calls(notes)
    wait_until(lambda: calls(notes).total() > before.total() + 50, what="rows of the next chunk")
    os.kill(worker_pid(), signal.SIGKILL)
    finished = app.client.wait(run.id, timeout_s=60)
    assert (finished.status, finished.attempt, finished.losses) == ("succeeded", 2, 1)
    assert [row["result"]["twice"] for row in lines(app, run)] == [2 * n for n in range(1, 2001)]
    again = {n for n, count in calls(notes).items() if count > 1}
    assert set(calls(notes)) == set(range(1, 2001))
    assert again, "the unfinished chunk was predicted again"
    assert min(again) >= done[-1].next, "no row of a finished chunk was"
    assert len(again) <= storage.MAX_ROWS
    assert {chunk.attempt for chunk in storage.chain_chunks(files, key)} == {1, 2}


def worker_pid() -> int:
    (record,) = [path for path in Path(".matinee/workers").glob("*.json") if is_alive(pid_of(path))]
    return pid_of(record)


def pid_of(record: Path) -> int:
    return int(json.loads(record.read_text())["pid"])


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("act", "kind", "words"), [("crash", "crash", "exit code 7"), ("eat", "out_of_memory", "memory")]
)
def test_what_ends_the_process_names_the_rows(app: App, act: str, kind: str, words: str) -> None:
    run = app.see.submit_rows(table(*["pause0.02"] * 30, act, *[""] * 9)).run
    finished = app.client.wait(run.id, timeout_s=60)
    assert finished.failure
    assert finished.failure.kind == kind
    assert words in finished.failure.message
    first, last = rows_named(finished.failure.message)
    assert first <= 31 <= last <= 40
    assert lines(app, run)[-1]["error"] == "not predicted: the run failed before"


def test_a_process_that_ends_after_finished_chunks_is_followed_by_another(app: App, notes: Path) -> None:
    handle = app.see.submit_rows(table(*["leak"] * 5000))
    result = handle.result(timeout_s=60)
    assert (len(result), result.failed, handle.run.failures) == (5000, 0, 0)
    assert handle.run.attempt > 1
    assert max(calls(notes).values()) <= handle.run.attempt
    log = "\n".join(line.message for line in handle.logs())
    assert "of its 200 MB of memory, at one of the rows" in log
    assert "Going on with row" in log


def rows_named(text: str) -> tuple[int, int]:
    """`…, at one of the rows 12,001 to 13,000.`"""
    words = text.rpartition("rows ")[2].rstrip(".").replace(",", "")
    first, _, last = words.partition(" to ")
    return int(first), int(last)


def test_a_cancelled_run_stops_and_keeps_what_it_has(app: App, notes: Path) -> None:
    acts = [""] * 1500 + ["pause0.2"] * 500
    run = app.see.submit_rows(table(*acts)).run
    wait_until(lambda: calls(notes).total() > 1500)
    app.client.cancel(run.id)
    finished = app.client.wait(run.id, timeout_s=20)
    assert finished.status == "cancelled"
    rows = lines(app, run)
    assert len(rows) == 2000
    assert rows[999]["result"] is not None
    assert rows[-1]["error"] == "not predicted: the run was cancelled"
    assert app.see(n=4).twice == 8, "the predictor goes on"


MEASURE = """
    import json, time
    from pathlib import Path
    import matinee
    from matinee.client.rows import RowsResult

    def peak_mb():
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    with matinee.connect() as app:
        app.small.predict_rows("small.csv").save("small-out.csv")
        before = peak_mb()
        began = time.monotonic()
        handle = app.small.submit_rows("large.csv")
        submitted = time.monotonic()
        result = handle.result()
        ran = time.monotonic()
        result.save("out.csv")
        figures = {"grown_mb": peak_mb() - before, "check_and_submit_s": submitted - began, "run_s": ran - submitted,
                   "save_s": time.monotonic() - ran, "rows": len(result), "failed": result.failed,
                   "worker_kb": [int(p.read_text()) for p in sorted(Path("NOTES").glob("peak-*"))]}
    print(json.dumps(figures))
"""
SMALL = """
    from matinee import realtime

    @realtime(memory_mb=256)
    def small(n: int, note: str = "") -> int:
        if n in (1000, 99_999):
            peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
            open(f"NOTES/peak-{n:06d}", "w").write(peak.split()[1])
        return n + 1
"""


@pytest.mark.slow
def test_a_hundred_thousand_rows_take_no_more_memory_than_a_few(write_app: Callable[..., Path], notes: Path) -> None:
    folder = write_app(small=SMALL.replace("NOTES", str(notes)))
    for name, count in (("small.csv", 2000), ("large.csv", 100_000)):
        with (folder / name).open("w") as out:
            out.write("n,note\n")
            out.writelines(f"{n},{'some words to make the row longer ' * 4}{n}\n" for n in range(count))
    script = folder / "measure.py"
    script.write_text(textwrap.dedent(MEASURE).replace("NOTES", str(notes)))
    done = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    print(figures)
    assert (figures["rows"], figures["failed"]) == (100_000, 0)
    assert (folder / "out.csv").stat().st_size > 14_000_000
    assert figures["grown_mb"] < 25, "check, submit and save"
    first, last = figures["worker_kb"]
    assert last - first < 15_000, "the worker's child"
