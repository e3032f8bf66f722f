"""Workers killed at random while AWS throttles, delays and loses answers: all runs finish, each is recorded once."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from matinee.ports import RunQuery
from matinee.runs import Status
from support.disturbance import Disturbance

from .conftest import Stage, wait_until

RUNS, WORKERS, KILL_S, LOOK_S = 1000, 4, 1.0, 5.0
FINISHED = 20  # runs between two kills at least: on a busy machine workers take seconds to start
WORK = """
    import time
    from matinee import batch, context

    @batch
    def work(n: int) -> list[int]:
        time.sleep(0.15 if n % 20 == 0 else n % 7 * 0.0005)
        with open("attempts", "a") as file:
            file.write(f"{n} {context().attempt}\\n")
        return [n, context().attempt]
"""


@pytest.fixture
def disturbed(dynamodb):
    with Disturbance(dynamodb, throttled=0.01, lost=0.005, late_s=(0.001, 0.008), seed=11) as disturbed:
        yield disturbed


@pytest.mark.slow
def test_a_thousand_runs_outlive_kills_throttles_and_lost_answers(disturbed, dynamodb, make_stage):
    chance, begun = random.Random(11), time.monotonic()
    stage: Stage = make_stage(dynamodb, WORK, through=disturbed.endpoint, max_workers=WORKERS)
    submitted = stage.submit(*range(RUNS))
    kills, kill_at, look_at, left_then = 0, begun, begun, RUNS
    while left := stage.seen.unfinished("ana"):
        assert time.monotonic() - begun < 240, f"{left} runs are left after {kills} kills\n{stage.words()[-3000:]}"
        if time.monotonic() >= kill_at and left_then - left >= FINISHED and stage.kill_one(chance):
            kills, left_then, kill_at = kills + 1, left, time.monotonic() + KILL_S * (0.5 + chance.random())
        if time.monotonic() >= look_at:
            stage.act({})  # AWS's backstop, more often
            look_at = time.monotonic() + LOOK_S
        time.sleep(0.1)
    took_s = time.monotonic() - begun
    wait_until(lambda: stage.act({}) or not stage.seen.pool("work").slots, 20.0, "the end of the workers")
    runs = stage.seen.runs(RunQuery(limit=RUNS + 1))
    entered = Counter(int(line.split()[0]) for line in (stage.folder / "attempts").read_text().splitlines())
    counts = Counter(str(run.status) for run in runs)
    print(
        f"{len(runs)} runs: {dict(counts)}, {sum(run.attempt for run in runs)} attempts, "
        f"{sum(run.losses for run in runs)} lost with their workers; {kills} kills, {len(stage.launched)} workers, "
        f"faults {dict(disturbed.counts)}; {took_s:.1f} s"
    )
    assert {run.id for run in runs} == {run.id for run in submitted}
    assert stage.seen.entries("work") == []
    for run in runs:
        n = run.inputs["n"]
        assert run.rev == 2 * run.attempt, "each attempt was begun once and ended once"
        if run.status is Status.SUCCEEDED:
            assert run.result == [n, run.attempt], "what is recorded is the last attempt's"
            assert run.losses < run.attempt
        else:  # it met three kills: given up, and said
            assert (run.failure.kind, run.losses) == ("lost", 3)
        assert 1 <= entered[n] <= run.attempt
    assert counts["succeeded"] >= RUNS - 5
