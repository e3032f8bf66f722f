"""The clock of the machine is set while runs are worked on: no duration and no pause changes by it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from matinee.queue.dispatch import end_overlong_back_offs
from matinee.runs import Status

from .conftest import Rig

MakeRig = Callable[..., Rig]
HOUR_S = 3600.0
CLOCK = """
import os, time
real = time.time
time.time = lambda: real() + (float(os.environ["JUMP_S"]) if os.path.exists("clock-is-set") else 0.0)
"""
SETS_THE_CLOCK = """
    @batch
    def work(n: int) -> Any:
        Path("clock-is-set").touch()
        time.sleep(0.3)
        if n:
            raise ValueError("not yet")
        return n
"""


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Callable[[float], None]:
    """Return a function that says by how much the workers' clock moves, once a run has set it."""
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(CLOCK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "clock"), prepend=os.pathsep)
    return lambda jump_s: monkeypatch.setenv("JUMP_S", str(jump_s))


@pytest.mark.parametrize("jump_s", [-HOUR_S, HOUR_S], ids=["set back", "set forward"])
def test_a_run_lasts_as_long_as_it_lasts(rig: MakeRig, set_clock: Callable[[float], None], jump_s: float) -> None:
    set_clock(jump_s)
    done = rig(SETS_THE_CLOCK).run(0)
    assert done.status is Status.SUCCEEDED
    assert done.finished_at is not None
    assert abs(done.finished_at - time.time() - jump_s) < 60, "the clock was set indeed"
    assert done.duration_s is not None
    assert 0.3 <= done.duration_s < 20


def test_a_back_off_is_not_longer_than_declared_when_the_clock_is_set_back(
    rig: MakeRig, set_clock: Callable[[float], None]
) -> None:
    set_clock(HOUR_S)  # the attempt fails by a clock that is ahead, and then the clock is right again
    made = rig(SETS_THE_CLOCK, retries=1)
    (run,) = made.submit(1)
    waiting = made.when(run, lambda now: now.failures == 1 and now.status is Status.QUEUED)
    entry = made.store.entry("work", waiting.id)
    assert entry is not None
    assert entry.visible_at > time.time() + HOUR_S - 60
    end_overlong_back_offs(made.store, "work", time.time(), skew_s=1.0)
    assert made.finished(run).attempt == 2
