"""The log lines of the run in hand, written in batches."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a worker must start fast
    from matinee.backends.factory import LogWriter
    from matinee.ports import LogLine
    from matinee.runs import Run

LAST_WORDS = 20


class RunLog:
    """Collects lines of a component's runs; `run_id` is the run they belong to, "" between runs."""

    def __init__(self, writer: LogWriter, component: str) -> None:
        self.run_id = ""
        self._writer = writer
        self._component = component
        self._lines: list[LogLine] = []

    def add(self, at: float, level: str, message: str) -> None:
        """Take one line; `at` in epoch seconds."""
        from matinee.ports import LogLine

        self._lines.append(LogLine(at, level, message, self._component, self.run_id))

    def note(self, messages: Iterable[str]) -> None:
        """Take lines that come without time and level."""
        for message in messages:
            self.add(time.time(), "INFO", message)

    def end(self, run: Run | None) -> None:
        """Say it if a run has failed for good; on AWS the stack makes a metric of this line."""
        if run is None or run.status != "failed" or run.failure is None:
            return
        from matinee.ports import LogLine

        said, fields = f"The run has failed: {run.failure.message}", {"event": "run_failed"}
        self._lines.append(LogLine(time.time(), "ERROR", said, self._component, run.id, fields))
        self.write()

    def last_words(self) -> str:
        """Return the last lines not yet written: what a process said before it ended."""
        return "\n".join(line.message for line in self._lines[-LAST_WORDS:])

    def write(self) -> None:
        """Write what was taken, if the disk takes it: a run is worth more than its log."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        try:
            self._writer.write(lines)
        except OSError as error:
            print(f"Log lines were lost: {error}", file=sys.stderr)  # noqa: T201 (the worker's own log)
