"""What the child tells its supervisor: one JSON line per report, `[kind, value]`, over a pipe of its own."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import time
from typing import Any

Json = Any

MAX_LOG_CHARS = 3000  # of one report: whole lines below PIPE_BUF never mix, also when user code forks


class Link:
    """Sends reports; from any thread."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._renew_lock)

    def send(self, kind: str, value: Json) -> None:
        """Send one report whole; blocks while the supervisor has not taken earlier ones."""
        data = json.dumps([kind, value], ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._fd, data) :]

    def log(self, level: str, text: str) -> None:
        """Send log lines; one that is too long goes in parts."""
        now = time.time()
        for line in text.splitlines() or [""]:
            for start in range(0, max(1, len(line)), MAX_LOG_CHARS):
                self.send("log", [now, level, line[start : start + MAX_LOG_CHARS]])

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()


class LogStream(io.RawIOBase):
    """A standard stream whose lines become log lines. A line redrawn with carriage returns counts as it was last."""

    def __init__(self, link: Link, fd: int) -> None:
        super().__init__()
        self._link = link
        self._fd = fd
        self._half = b""

    def writable(self) -> bool:
        """Say yes."""
        return True

    def fileno(self) -> int:
        """Return the descriptor below, whose output is captured as well."""
        return self._fd

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        """Take bytes; every whole line is sent."""
        taken = bytes(data)
        *lines, half = (self._half + taken).split(b"\n")
        self._half = half.rpartition(b"\r")[2] if not half.endswith(b"\r") else half
        for line in lines:
            self._link.log("INFO", line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace"))
        return len(taken)

    def finish_line(self) -> None:
        """Send a line that has no end yet."""
        if self._half.strip():
            self.write(b"\n")


class LogHandler(logging.Handler):
    """Standard `logging` as log lines with their level."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record, with its traceback if it has one."""
        try:
            self._link.log(record.levelname, self.format(record))
        except Exception:  # a bad format string must not fail the run: logging's own rule
            self.handleError(record)


def capture(link: Link) -> list[LogStream]:
    """Make what user code prints and logs the log of its run; return the streams."""
    streams = [LogStream(link, 1), LogStream(link, 2)]
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(stream, encoding="utf-8", errors="replace", write_through=True)  # type: ignore[type-var]
        for stream in streams
    )
    root = logging.getLogger()
    root.addHandler(LogHandler(link))
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    return streams
