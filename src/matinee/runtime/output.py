"""On AWS, what the UI and the dispatcher say: one JSON line an event, which CloudWatch searches."""

from __future__ import annotations

import sys
import time
import traceback
from threading import Lock
from types import TracebackType
from typing import Any

from matinee import log_lines


class JsonLines:
    """A text stream in the place of `stream`: what is written up to an end of line is one event.

    A traceback comes from `logging` in one piece, so it stays one. What is a JSON object already is left as it is.
    """

    def __init__(self, stream: Any, level: str) -> None:
        self._stream = stream
        self._level = level
        self._partial = ""
        self._lock = Lock()

    def write(self, text: str) -> int:
        """Take text; it is passed on when a line ends."""
        with self._lock:
            self._partial += text
            if self._partial.endswith("\n"):
                said, self._partial = self._partial.rstrip("\n"), ""
                if said:
                    self._stream.write(_line(self._level, said))
                    self._stream.flush()
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Take texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def install() -> None:
    """Take the place of this process's output."""
    sys.stdout, sys.stderr = JsonLines(sys.stdout, "INFO"), JsonLines(sys.stderr, "WARNING")
    sys.excepthook = _said


def _said(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write("".join(traceback.format_exception(kind, error, trace)))


def _line(level: str, message: str) -> str:
    if message.startswith("{") and message.endswith("}") and "\n" not in message:
        return message + "\n"
    return log_lines.to_json(time.time(), level, message)
