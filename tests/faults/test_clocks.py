"""Two real workers whose clocks differ by two minutes: nobody takes a run from the other."""

from __future__ import annotations

import pytest

from matinee.runs import Status

from .conftest import wait_until

WORK = """
    import os, time
    from matinee import batch

    @batch
    def work(n: int) -> float:
        open(f"began-{os.getppid()}", "a").close()
        while len([name for name in os.listdir(".") if name.startswith("began-")]) < 2:
            time.sleep(0.01)
        time.sleep(0.3)
        return time.time()
"""


@pytest.mark.parametrize("clocks_s", [(-120.0, 0.0), (0.0, 120.0)], ids=["one is behind", "one is ahead"])
def test_workers_whose_clocks_differ_by_two_minutes_take_nothing_from_each_other(make_stage, dynamodb, clocks_s):
    stage = make_stage(dynamodb, WORK, max_workers=2)
    stage.clocks_s = list(clocks_s)
    submitted = stage.submit(*range(8))
    runs = [stage.finished(run, 60.0) for run in submitted]
    assert {(run.status, run.attempt, run.losses) for run in runs} == {(Status.SUCCEEDED, 1, 0)}
    assert len({run.owner for run in runs}) == 2, "both have worked"
    finished_at = [run.finished_at for run in runs]
    assert max(finished_at) - min(finished_at) > 100, "and their clocks did differ"
    wait_until(lambda: not stage.seen.pool("work").slots, 20.0, "the end of the workers")
