"""A running app for a test: `matinee dev` as its own process, found, waited for and ended exactly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from matinee.backends.local.dev_record import DevRecord, running_dev
from matinee.project.load import load

T = TypeVar("T")


def wait_until(condition: Callable[[], T], *, timeout_s: float = 20.0, what: str = "the condition") -> T:
    """Return the first true value of `condition`; AssertionError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s:g} s"
        time.sleep(0.02)
    return value


@dataclass
class Dev:
    """A running `matinee dev`. `url` is the UI's, "" without one; `output` collects what it printed."""

    process: subprocess.Popen[bytes]
    record: DevRecord
    output: Path

    @property
    def url(self) -> str:
        """The UI's address."""
        return self.record.url

    @property
    def text(self) -> str:
        """What it has printed."""
        return self.output.read_text(errors="replace")

    def signal(self, number: int) -> int:
        """Send a signal to the process alone and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)


@contextmanager
def running_app(app: Path, *options: str, timeout_s: float = 120.0) -> Iterator[Dev]:
    """Run `matinee dev` on an app until the block ends; `options` go to the command, as in `--no-ui`."""
    project = load(app)
    project.data.mkdir(parents=True, exist_ok=True)
    output = project.data / "dev.log"
    command = [sys.executable, "-m", "matinee.cli.main", "dev", "--app", str(app), *options]
    with output.open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until(
            lambda: process.poll() is not None or "Ready" in output.read_text(errors="replace"),
            timeout_s=timeout_s,
            what="`matinee dev`",
        )
        record = running_dev(project.data)
        assert record, f"`matinee dev` ended with {process.poll()}: {output.read_text(errors='replace')}"
        yield Dev(process, record, output)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
