"""What components write while an app is hosted here: kept with its run, and told to whoever watches.

Realtime lines come from the Lambda service, which must not wait for a disk; batch workers write their component's file
themselves, so that is followed. One thread does both.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from matinee.backends.local.logs import FolderLogs
from matinee.own_paths import name_own_files
from matinee.ports import LogLine

LOOK_S = 0.2
_PLATFORM = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "INIT_")  # Lambda's lines, not the user's

Report = Callable[[str, str], None]  # component, line


class HostedLogs:
    """`take` is for the Lambda service; `follow` says which components' files to watch."""

    def __init__(self, logs: FolderLogs, report: Report) -> None:
        self._logs = logs
        self._report = report
        self._lines: queue.SimpleQueue[LogLine | None] = queue.SimpleQueue()
        self._offsets: dict[str, int] = {}
        self._thread = threading.Thread(target=self._loop, name="matinee-logs", daemon=True)
        self._thread.start()

    def take(self, function: str, run_id: str, line: str) -> None:
        """Take a line of a realtime predictor; returns at once."""
        if not line.startswith(_PLATFORM):
            own = name_own_files(line)
            self._lines.put(LogLine(time.time(), "INFO", own, component=function, run_id=run_id))

    def follow(self, components: Iterable[str]) -> None:
        """Follow these components' files from their present end on."""
        self._offsets = {name: self._offsets.get(name, self._logs.read_component(name)[1]) for name in components}

    def stop(self) -> None:
        """Keep and tell what has come, then end."""
        self._lines.put(None)
        self._thread.join()

    def _loop(self) -> None:
        going_on = True
        while going_on:
            going_on = self._take_lines()
            self._look()

    def _take_lines(self) -> bool:
        deadline = time.monotonic() + LOOK_S
        while (left := deadline - time.monotonic()) > 0:
            with suppress(queue.Empty):
                line = self._lines.get(timeout=left)
                if line is None:
                    return False
                self._report(line.component, line.message)
                with suppress(OSError):  # a full disk costs the line, not the prediction
                    self._logs.write([line], of_runs_only=True)
        return True

    def _look(self) -> None:
        for name, offset in list(self._offsets.items()):
            lines, self._offsets[name] = self._logs.read_component(name, offset)
            for line in lines:
                self._report(name, line.message)
