"""What becomes of runs in a real worker: success, progress, logs, failures, retries, limits."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from matinee.backends.local.files import FolderFiles
from matinee.ports import LogLine
from matinee.queue.dispatch import cancel
from matinee.runs import Run, Status

from .conftest import Rig, alive, wait_until

MakeRig = Callable[..., Rig]


def test_a_run_succeeds_with_its_result(rig: MakeRig) -> None:
    made = rig("@batch\ndef work(n: int) -> Any:\n    return {'twice': 2 * n}\n")
    run = made.run(21)
    assert (run.status, run.result, run.attempt, run.version) == (Status.SUCCEEDED, {"twice": 42}, 1, "v1")
    assert run.cold_start
    assert made.store.entries("work") == []


def test_a_worker_keeps_its_process_and_module_over_runs_and_ends_when_nothing_is_due(rig: MakeRig) -> None:
    made = rig("LOADED = time.time_ns()\n@batch\ndef work(n: int) -> Any:\n    return [os.getpid(), LOADED]\n")
    finished = [made.finished(run) for run in made.submit(*range(20))]
    assert len({tuple(run.result) for run in finished}) == 1
    assert [run.cold_start for run in finished] == [True] + [False] * 19
    (slot,) = made.tokens.values()
    wait_until(lambda: made.ended == [slot], what="the worker's end")
    assert made.store.pool("work").slots == ()
    assert made.status(slot).reason == "The worker ended by itself."
    assert not alive(finished[0].result[0])


def test_progress_and_logs_are_seen_while_it_runs(rig: MakeRig) -> None:
    made = rig("""
        @batch
        def work(n: int) -> Any:
            progress(0.25, "quarter")
            print("printed")
            logging.getLogger("mine").warning("careful %d", n)
            print("to stderr", file=sys.stderr)
            os.write(1, b"below python\\n")
            subprocess.run(["echo", "from a program"])
            while not Path("go").exists():
                time.sleep(0.01)
            print("no newline", end="")
            return n
    """)
    (run,) = made.submit(5)

    def progress_message() -> str:
        entry = made.store.entry("work", run.id)
        return entry.progress.message if entry else ""

    wait_until(lambda: progress_message() == "quarter")
    seen = wait_until(lambda: (lines := made.messages(run)) and len(lines) == 5 and lines)
    assert [m for m in seen if m in ("printed", "careful 5", "to stderr")] == ["printed", "careful 5", "to stderr"]
    assert {"below python", "from a program"} < set(seen)
    (made.folder / "go").touch()
    assert made.finished(run).result == 5
    lines = made.logs.read(run.id)
    assert lines[-1].message == "no newline"
    assert {line.level for line in lines if line.message == "careful 5"} == {"WARNING"}
    assert {line.component for line in lines} == {"work"}
    assert [line.message for line in made.logs.read_component("work")[0]] == [line.message for line in lines]


def test_an_exception_is_told_in_words_with_the_users_own_traceback(rig: MakeRig) -> None:
    made = rig("@batch\ndef work(n: int) -> Any:\n    raise ValueError('no such model')\n")
    failure = made.run(1).failure
    assert failure and failure.kind == "exception"
    assert "no such model" in failure.message
    assert "work.py" in failure.traceback
    assert "matinee" not in failure.traceback


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("return object()", "invalid_result", "does not fit"),
        ("raise InputError('n', 'must be even')", "invalid_input", "n: must be even"),
        ("sys.exit(3)", "exception", "SystemExit"),
        ("os._exit(7)", "crash", "exit code 7"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crash", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "crash", "SIGKILL"),
    ],
)
def test_every_way_to_fail_has_its_kind_and_words(rig: MakeRig, body: str, kind: str, words: str) -> None:
    made = rig(f"@batch\ndef work(n: int) -> Any:\n    {body} if n else None\n    return n\n")
    if body.startswith(("return", "raise")):
        made.write(f"@batch\ndef work(n: int) -> Any:\n    if n:\n        {body}\n    return n\n")
    bad, good = made.submit(1, 0)
    run = made.finished(bad)
    assert run.status is Status.FAILED
    assert run.failure and (run.failure.kind, run.failures) == (kind, 1)
    assert words in run.failure.message
    assert made.finished(good).result == 0


def test_a_component_that_cannot_be_imported_fails_its_runs_with_the_reason(rig: MakeRig) -> None:
    made = rig("raise RuntimeError('no weights')\n@batch\ndef work(n: int) -> Any:\n    return n\n")
    for run in made.submit(1, 2, 3):
        failure = made.finished(run).failure
        assert failure and failure.kind == "start"
        assert "no weights" in failure.message


def test_a_component_that_crashes_at_import_says_so(rig: MakeRig) -> None:
    made = rig("os._exit(9)\n@batch\ndef work(n: int) -> Any:\n    return n\n")
    failure = made.run(1).failure
    assert failure and failure.kind == "crash"
    assert "exit code 9 while being imported" in failure.message


def test_a_failed_run_is_tried_again_after_a_pause_until_it_succeeds(rig: MakeRig) -> None:
    made = rig(
        "@batch\ndef work(n: int) -> Any:\n    assert context().attempt >= n\n    return context().attempt\n", retries=2
    )
    began = time.time()
    run = made.run(2)
    assert (run.status, run.result, run.failures, run.losses) == (Status.SUCCEEDED, 2, 1, 0)
    assert time.time() - began >= 1.0
    assert run.failure is None


def test_retries_are_spent(rig: MakeRig) -> None:
    made = rig("@batch\ndef work(n: int) -> Any:\n    os._exit(1)\n", retries=1)
    run = made.run(1)
    assert (run.status, run.attempt, run.failures) == (Status.FAILED, 2, 2)
    wait_until(lambda: ended(made, run), what="the line that says so, which a metric is made of on AWS")
    assert run.failure is not None
    assert [line.message for line in ended(made, run)] == [f"The run has failed: {run.failure.message}"]


def ended(made: Rig, run: Run) -> list[LogLine]:
    return [line for line in made.logs.read(run.id) if line.fields.get("event") == "run_failed"]


def test_a_run_over_its_time_is_ended_with_all_it_started(rig: MakeRig) -> None:
    made = rig(
        """
        @batch
        def work(n: int) -> Any:
            if n:
                Path("pid").write_text(str(subprocess.Popen(["sleep", "60"], start_new_session=True).pid))
                time.sleep(60)
            return n
        """,
        timeout_s=0.6,
    )
    slow, good = made.submit(1, 0)
    run = made.finished(slow)
    assert run.failure and run.failure.kind == "timeout"
    assert "0.6 s" in run.failure.message
    assert "timeout_s" in run.failure.hint
    assert not alive(int((made.folder / "pid").read_text()))
    assert made.finished(good).status is Status.SUCCEEDED


def test_a_run_over_its_memory_is_ended(rig: MakeRig) -> None:
    made = rig(
        """
        @batch
        def work(n: int) -> Any:
            if n == 1:
                held = bytearray(os.urandom(1 << 20)) * 200
                time.sleep(60)
            if n == 2:
                subprocess.run([sys.executable, "-c", "import time; held = b'x' * (200 << 20); time.sleep(60)"])
            return n
        """,
        memory_mb=100,
    )
    one, two, good = made.submit(1, 2, 0)
    for heavy in (one, two):
        failure = made.finished(heavy).failure
        assert failure and failure.kind == "out_of_memory"
        assert "of its 100 MB" in failure.message
        assert "memory_mb" in failure.hint
    assert made.finished(good).status is Status.SUCCEEDED


def test_memory_shared_by_forked_processes_counts_once(rig: MakeRig) -> None:
    made = rig(
        """
        HELD = bytearray(os.urandom(1 << 20)) * 80
        @batch
        def work(n: int) -> Any:
            pids = [os.fork() for _ in range(1)]
            if 0 in pids:
                time.sleep(0.6)
                os._exit(0)
            os.waitpid(pids[0], 0)
            return len(HELD)
        """,
        memory_mb=150,
    )
    assert made.run(1).status is Status.SUCCEEDED


def test_large_results_and_inputs_travel_through_files(rig: MakeRig) -> None:
    made = rig("@batch\ndef work(n: int) -> Any:\n    return 'x' * n\n")
    run = made.run(500_000)
    assert run.result == {"$payload": f"results/{run.id}/1.json"}
    assert len(FolderFiles(made.data / "files").read(f"results/{run.id}/1.json")) == 500_002


def test_a_result_that_cannot_be_stored_fails_the_run(rig: MakeRig) -> None:
    made = rig("@batch\ndef work(n: int) -> Any:\n    return 'x' * n\n")
    (made.data / "files").write_text("in the way")
    run = made.run(500_000)
    assert run.status is Status.FAILED
    assert run.failure and "not possible to store the result" in run.failure.message


def test_a_queued_run_is_cancelled_at_once_and_a_running_one_within_a_second(rig: MakeRig) -> None:
    made = rig("@batch\ndef work(n: int) -> Any:\n    Path('began').touch()\n    time.sleep(60 * n)\n    return n\n")
    running, queued, last = made.submit(1, 1, 0)
    wait_until((made.folder / "began").exists)
    assert cancel(made.store, queued.id, time.time()).status is Status.CANCELLED
    began = time.monotonic()
    assert cancel(made.store, running.id, time.time()).cancel_requested
    assert made.finished(running).status is Status.CANCELLED
    assert time.monotonic() - began < 1.5
    assert made.finished(last).status is Status.SUCCEEDED
    assert made.now(queued).attempt == 0


def test_the_run_knows_who_it_is(rig: MakeRig) -> None:
    made = rig(
        """
        @batch
        def work(n: int) -> Any:
            now = context()
            return [now.run_id, now.user, now.version, now.attempt, now.predictor, now.deadline_s - time.time()]
        """
    )
    run = made.run(1)
    *who, left_s = run.result
    assert who == [run.id, "ann", "v1", 1, "work"]
    assert 29 < left_s <= 30


def test_kill_9_of_the_child_is_a_crash_that_spends_a_retry(rig: MakeRig) -> None:
    made = rig(
        """
        @batch
        def work(n: int) -> Any:
            Path(f"pid{context().attempt}").write_text(str(os.getpid()))
            time.sleep(60 if context().attempt == 1 else 0)
            return n
        """,
        retries=1,
    )
    (run,) = made.submit(3)
    pid = wait_until(lambda: _number(made, "pid1"))
    os.kill(pid, signal.SIGKILL)
    done = made.finished(run)
    assert (done.result, done.attempt, done.failures, done.losses) == (3, 2, 1, 0)
    assert len(made.tokens) == 1


def _number(made: Rig, name: str) -> Any:
    path = made.folder / name
    return int(path.read_text() or 0) if path.exists() else 0


def test_a_second_run_has_its_own_time_and_is_not_taken_for_an_import(rig: MakeRig) -> None:
    made = rig("@batch\ndef work(n: int) -> Any:\n    time.sleep(60 * n)\n    return n\n", timeout_s=0.6)
    quick, slow = made.submit(0, 1)
    assert made.finished(quick).result == 0
    failure = made.finished(slow, timeout_s=10).failure
    assert failure and failure.kind == "timeout"
    assert "took longer than its limit of 0.6 s" in failure.message


def test_a_crash_of_a_second_run_is_said_to_be_one_of_running(rig: MakeRig) -> None:
    made = rig("@batch\ndef work(n: int) -> Any:\n    os._exit(7) if n else None\n    return n\n")
    quick, crashing = made.submit(0, 1)
    assert made.finished(quick).result == 0
    failure = made.finished(crashing).failure
    assert failure and "exit code 7 while running" in failure.message


def test_a_child_that_dies_of_a_run_it_has_reported_costs_the_next_run_nothing(rig: MakeRig) -> None:
    made = rig("""
        write = os.write

        def write_and_die(fd: int, data: bytes) -> int:
            written = write(fd, data)
            if data.startswith(b'["result","last words"'):
                os._exit(7)
            return written

        os.write = write_and_die

        @batch
        def work(n: int) -> Any:
            return "last words" if n else [os.getpid(), context().attempt]
    """)
    runs = [made.finished(run) for run in made.submit(*[0] * 20, 1, *[0] * 5, 1, 1, *[0] * 20)]
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    assert {(run.failures, run.losses) for run in runs} == {(0, 0)}
