"""What keeps an app alive in the background: nothing ends it, nothing floods it, and it ends in time."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from matinee.backends.local.logs import FolderLogs
from matinee.client.background import MAX_SHOWN_LINES, MAX_WAITING_LINES, HostedLogs, Loop
from matinee.client.host import LocalHost
from matinee.errors import BackendError
from matinee.project.load import load
from matinee.testing.harness import wait_until

FLOOD = 15_000


class Steps:
    """A step that does what each of `outcomes` says in turn, and then counts on."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.count = 0

    def __call__(self):
        self.count += 1
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        return 0.01


@pytest.fixture
def running(monkeypatch):
    monkeypatch.setattr("matinee.client.background.ERROR_PAUSE_S", 0.01)
    loops = []

    def start(step):
        loops.append(Loop("test", step))
        loops[-1].start()
        return loops[-1]

    yield start
    for loop in loops:
        loop.stop()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), BackendError("No store."), KeyError("x")])
def test_a_loop_goes_on_after_whatever_its_step_raises(running, error):
    steps = Steps(error)
    running(steps)
    wait_until(lambda: steps.count > 3, what="further steps")


def test_what_fails_again_and_again_is_said_once_until_it_has_worked(running, caplog):
    steps = Steps(*[OSError("full")] * 5, None, OSError("full"))
    with caplog.at_level(logging.WARNING):
        running(steps)
        wait_until(lambda: steps.count > 8, what="further steps")
    assert [record.getMessage() for record in caplog.records] == [
        "The thread of test has failed and goes on: OSError: full"
    ] * 2


def test_the_end_does_not_wait_for_a_step_that_hangs(running):
    hanging = threading.Event()
    loop = running(lambda: float(hanging.wait(60)))
    began = time.monotonic()
    loop.stop(0.1)
    assert time.monotonic() - began < 5
    hanging.set()


def test_a_step_of_the_end_that_fails_keeps_no_other_from_its_end(greeting_app):
    class Stuck:
        def stop(self):
            raise OSError("stuck")

    host = LocalHost(load(greeting_app))
    host.delivering.stop()
    host.delivering = Stuck()
    with pytest.raises(OSError, match="stuck"):
        host.stop()
    with pytest.raises(BackendError, match="is not running"):
        host.service.remove_function("greet")


# --- a flood of lines -------------------------------------------------------------------------------------------


class Watcher:
    """Takes the lines that are shown; `gate` holds it up as a slow terminal does."""

    def __init__(self):
        self.lines = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, component, line):
        self.gate.wait(60)
        self.lines.append((component, line))

    def of(self, component):
        return [line for name, line in self.lines if name == component]


@pytest.fixture
def watcher():
    return Watcher()


@pytest.fixture
def folder_logs(tmp_path):
    return FolderLogs(tmp_path / "logs")


@pytest.fixture
def hosted(folder_logs, watcher):
    hosted = HostedLogs(folder_logs, watcher)
    yield hosted
    watcher.gate.set()
    hosted.stop()


def test_lines_that_come_faster_than_they_can_be_written_are_counted(hosted, watcher, folder_logs):
    watcher.gate.clear()
    hosted.take("chatty", "R0", "held up")
    wait_until(lambda: folder_logs.read("R0"), what="the writer to be held up")
    for number in range(FLOOD):
        hosted.take("chatty", "R1", f"line {number}")
    hosted.take("calm", "R2", "one line")
    watcher.gate.set()
    wait_until(lambda: "left out" in "".join(line.message for line in folder_logs.read("R1")[-1:]), what="the count")
    found = folder_logs.read("R1")
    assert [line.message for line in found[:-1]] == [f"line {number}" for number in range(MAX_WAITING_LINES)]
    assert (
        found[-1].message
        == f"{FLOOD - MAX_WAITING_LINES:,} lines were left out: they came faster than they could be written."
    )
    assert [line.message for line in wait_until(lambda: folder_logs.read("R2"))] == ["one line"]


def test_only_some_lines_of_a_flood_are_shown_and_it_is_said_where_the_others_are(hosted, watcher, folder_logs):
    watcher.gate.clear()
    hosted.take("chatty", "R0", "held up")
    wait_until(lambda: folder_logs.read("R0"), what="the writer to be held up")
    for number in range(MAX_SHOWN_LINES + 7):
        hosted.take("chatty", "R1", f"line {number}")
    watcher.gate.set()
    shown = wait_until(lambda: watcher.of("chatty")[1:] if len(watcher.of("chatty")) > MAX_SHOWN_LINES + 1 else None)
    assert shown[-1] == "7 more lines are not shown here: `matinee runs logs` has them."
    assert len(folder_logs.read("R1")) == MAX_SHOWN_LINES + 7, "written first, then shown"


def test_a_long_line_takes_no_more_memory_than_a_log_keeps_of_it(hosted, folder_logs):
    hosted.take("chatty", "R1", "x" * 1_000_000 + "the end")
    (line,) = wait_until(lambda: folder_logs.read("R1"))
    assert len(line.message) < 5_000
    assert line.message.endswith("the end")


def test_the_end_writes_what_has_come(folder_logs, watcher):
    hosted = HostedLogs(folder_logs, watcher)
    for number in range(100):
        hosted.take("calm", "R1", f"line {number}")
    hosted.stop()
    assert len(folder_logs.read("R1")) == 100
