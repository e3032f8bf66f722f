"""How a worker lives and dies: signals, kills at any moment, releases; nothing lost, nothing twice, no orphans."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matinee.runs import Status

from .conftest import Rig, alive, kill, wait_until

MakeRig = Callable[..., Rig]

NOTES_ITS_PROCESS = """
    @batch
    def work(n: int) -> Any:
        with open("began", "a") as file:
            file.write(f"{n} {os.getpid()} {os.getppid()}\\n")
        time.sleep(n / 1000)
        return n
"""


def began(made: Rig) -> list[tuple[int, int, int]]:
    """Return number, child and supervisor of every attempt that entered the function."""
    path = made.folder / "began"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(n), int(child), int(parent)) for n, child, parent in map(str.split, lines)]


def test_sigterm_gives_the_run_back_without_spending_a_retry(rig: MakeRig) -> None:
    made = rig(NOTES_ITS_PROCESS)
    (run,) = made.submit(1500)
    (_, child, supervisor), *_ = wait_until(lambda: began(made))
    started = time.monotonic()
    os.kill(supervisor, signal.SIGTERM)
    wait_until(lambda: not alive(supervisor))
    assert time.monotonic() - started < 2
    wait_until(lambda: not alive(child))
    done = made.finished(run)
    assert (done.status, done.attempt, done.failures, done.losses) == (Status.SUCCEEDED, 2, 0, 0)
    first = next(iter(made.tokens.values()))
    assert made.status(first).reason == "The worker ended by itself."


def test_a_worker_that_ends_is_replaced_at_once_without_waiting_for_a_dispatch(rig: MakeRig) -> None:
    made = rig(NOTES_ITS_PROCESS)
    made.submit(300)
    (_, _, supervisor), *_ = wait_until(lambda: began(made))
    kill(supervisor)
    wait_until(lambda: len(began(made)) == 2, timeout_s=3)


def test_the_child_and_what_it_started_end_with_a_killed_supervisor(rig: MakeRig) -> None:
    made = rig("""
        @batch
        def work(n: int) -> Any:
            program = subprocess.Popen(["sleep", "60"])
            Path("pids.new").write_text(f"{os.getppid()} {os.getpid()} {program.pid}")
            Path("pids.new").rename("pids")
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
            sum(range(10**11))  # never lets another Python thread run
    """)
    made.submit(1)
    pids = [int(pid) for pid in wait_until(lambda: _text(made.folder / "pids")).split()]
    made._closed = True
    kill(pids[0])
    wait_until(lambda: not any(map(alive, pids)), timeout_s=3, what="the end of all")


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)", "time.sleep(60)", "pass"])
def test_what_has_left_its_session_ends_with_its_predictor(rig: MakeRig, end: str) -> None:
    made = rig(
        f"""
        @batch
        def work(n: int) -> Any:
            code = "import subprocess; print(subprocess.Popen(['sleep', '60'], start_new_session=True, stdout=-3).pid)"
            found = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
            Path("orphan").write_text(found.stdout)
            {end}
            return n
        """,
        timeout_s=2,
    )
    (run,) = made.submit(1)
    made.finished(run)
    orphan = int((made.folder / "orphan").read_text())
    wait_until(lambda: not alive(orphan), what="the end of the orphan")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_supervisors_killed_at_random_moments_lose_and_repeat_nothing(rig: MakeRig, seed: int) -> None:
    chance = random.Random(seed)
    made = rig(NOTES_ITS_PROCESS, max_workers=2)
    submitted = made.submit(*(chance.randrange(150) for _ in range(24)))
    kills = 0
    while kills < 12 and made.store.entries("work"):
        pids = wait_until(lambda: made.dispatch() or made.worker_pids() or not made.store.entries("work"))
        _pass(chance.random() * 0.25)
        if isinstance(pids, list):
            kill(chance.choice(pids))
            kills += 1
    assert kills >= 5
    finished = [made.finished(run) for run in submitted]
    for run in finished:
        if run.status is Status.SUCCEEDED:
            assert run.result == run.inputs["n"]
        else:  # the same run met three kills: given up, and said
            assert run.failure and run.failure.kind == "lost" and run.losses == 3
    assert sum(run.status is Status.SUCCEEDED for run in finished) >= 22
    assert made.store.entries("work") == []
    wait_until(lambda: not made.store.pool("work").slots)
    processes = {pid for attempt in began(made) for pid in attempt[1:]}
    wait_until(lambda: not any(map(alive, processes)), what="no orphan")


@pytest.mark.slow
def test_children_killed_at_random_moments_cost_a_retry_each_and_lose_nothing(rig: MakeRig) -> None:
    chance = random.Random(3)
    made = rig(NOTES_ITS_PROCESS, max_workers=2, retries=20)
    submitted = made.submit(*[50] * 12)
    for _ in range(6):
        wait_until(lambda: any(alive(child) for _, child, _ in began(made)))
        kill(chance.choice([child for _, child, _ in began(made) if alive(child)] or [0]))
        _pass(chance.random() * 0.1)
    assert [made.finished(run, timeout_s=60).result for run in submitted] == [50] * 12


def test_a_worker_of_an_old_release_finishes_its_run_and_leaves(rig: MakeRig) -> None:
    made = rig("""
        @batch
        def work(n: int) -> Any:
            Path("began").touch()
            while not Path("go").exists():
                time.sleep(0.01)
            return "old"
    """)
    old, new = made.submit(1, 2)
    wait_until((made.folder / "began").exists)
    made.write("@batch\ndef work(n: int) -> Any:\n    return 'new'\n")
    made.release("hash-2", "v2")
    (made.folder / "go").touch()
    assert [(run.result, run.version) for run in map(made.finished, (old, new))] == [("old", "v1"), ("new", "v2")]
    assert len(made.tokens) == 2


def test_a_worker_whose_slot_was_taken_away_ends_and_records_nothing(rig: MakeRig) -> None:
    made = rig("@batch\ndef work(n: int) -> Any:\n    return n\n")
    (run,) = made.submit(1)
    made.finished(run)
    slot = next(iter(made.tokens.values()))
    wait_until(lambda: made.ended)
    made.tokens.clear()
    (queued,) = _put_without_dispatch(made, 7)
    stray = type(slot)(slot.predictor, 0, "stray", slot.version, time.time())
    made.launcher.launch(stray)
    wait_until(lambda: made.status(stray).ended)
    assert (made.now(queued).status, made.now(queued).attempt) == (Status.QUEUED, 0)


def test_runs_that_come_while_a_worker_waits_for_a_back_off_are_not_kept_waiting(rig: MakeRig) -> None:
    made = rig(
        "@batch\ndef work(n: int) -> Any:\n    assert context().attempt == 2 or not n\n    return n\n", retries=1
    )
    (failing,) = made.submit(1)
    made.when(failing, lambda run: run.failures == 1)
    assert made.finished(made.submit(0)[0]).status is Status.SUCCEEDED
    assert made.now(failing).status is Status.QUEUED
    assert made.finished(failing).result == 1


def test_short_runs_never_wait_behind_a_long_one_while_a_slot_is_free(rig: MakeRig) -> None:
    made = rig(
        "@batch\ndef work(n: int) -> Any:\n    time.sleep(n)\n    return [os.getpid(), context().attempt]\n",
        max_workers=2,
    )
    submitted = made.submit(*[0] * 200, 4, *[0] * 40)
    long = submitted.pop(200)
    finished = [made.finished(run) for run in submitted]
    assert made.now(long).status is Status.RUNNING
    assert {(run.failures, run.losses) for run in finished} == {(0, 0)}
    assert all(run.duration_s < 1 for run in finished if run.duration_s)


def _put_without_dispatch(made: Rig, number: int) -> Any:
    closed, made._closed = made._closed, True
    try:
        return made.submit(number)
    finally:
        made._closed = closed


def _pass(seconds: float) -> None:
    """Let a random moment pass: nothing waits for it."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
