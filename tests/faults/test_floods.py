"""A predictor that writes more than anybody can read: the app goes on, and ends when it is asked to."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

import matinee
from matinee.testing.harness import running_app, wait_until

pytestmark = pytest.mark.slow

LINES = 15_000
CHATTY = f"""
    from matinee import realtime

    @realtime(timeout_s=60)
    def chatter(for_ever: bool = False) -> int:
        for number in range({LINES}):
            print(f"line {{number}}", "x" * 200)
        while for_ever:
            print("more", "x" * 1000)
        return {LINES}
"""
CALM = """
    from matinee import realtime

    @realtime
    def calm(n: int) -> int:
        return n
"""


def peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def accounted_for(run) -> int:
    """How many lines are in the run's log or in the counts of those that were left out."""
    texts = [line.message for line in run.logs()]
    left_out = sum(int(text.split()[0].replace(",", "")) for text in texts if "lines were left out" in text)
    return sum(text.startswith("line ") for text in texts) + left_out


def test_a_predictor_that_floods_its_log_delays_no_other_and_ends_with_ctrl_c(write_app):
    folder = write_app(chatter=CHATTY, calm=CALM)
    with running_app(folder, "--no-ui") as dev, matinee.connect(folder) as app:
        assert app.calm(n=1) == 1
        assert app.chatter() == LINES
        wait_until(lambda: "are not shown here" in dev.text, what="the count of lines that are not shown")
        (run,) = app.runs("chatter")
        wait_until(lambda: accounted_for(run) == LINES, what="every line, or its count")
        background = app.client.backend.invoker
        background.poke("chatter", b'{"for_ever": true}')
        wait_until(lambda: "more x" in dev.text, what="the flood")
        took = []
        for n in range(20):
            began = time.monotonic()
            assert app.calm(n=n) == n
            took.append(time.monotonic() - began)
        assert sorted(took)[10] < 1, "milliseconds on an idle machine"
        assert peak_mb(dev.process.pid) < 300
        began = time.monotonic()
        dev.signal(signal.SIGINT)
        assert time.monotonic() - began < 5, "a second on an idle machine"
