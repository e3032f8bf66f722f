"""The output of a process on AWS as JSON lines, which CloudWatch searches.

`JsonLines` is for the UI and the dispatcher, `RequestLines` for a realtime predictor: its lines name their run.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from _thread import RLock  # `threading` may not be loaded; what is collected meanwhile may print, too
from threading import Lock
from types import TracebackType
from typing import Any

from matinee import log_lines
from matinee.settings import COMPONENT


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
                line, self._partial = self._partial.rstrip("\n"), ""
                if line:
                    self._stream.write(_line(self._level, line))
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
    sys.excepthook = _write_traceback


def _write_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write("".join(traceback.format_exception(kind, error, trace)))


def _line(level: str, message: str) -> str:
    if message.startswith("{") and message.endswith("}") and "\n" not in message:
        return message + "\n"
    return log_lines.to_json(time.time(), level, message)


# --- a realtime predictor ---------------------------------------------------------------------------------------
# What it prints and logs, as JSON lines that name its run: what `runs logs` finds. CloudWatch keeps a function's output
# line by line; `backends.aws.logs` searches it by `run_id`. Imported on AWS alone, before the component; nothing is
# loaded here that the runtime client has not loaded.


class RequestLines:
    """A text stream in the place of `stream`: lines written during a request are JSON, all others are left alone."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._partial = ""
        self._lock = RLock()
        self._run_id = ""

    def begin(self, run_id: str) -> None:
        """Everything from now on is of this run."""
        self._run_id = run_id

    def end(self) -> None:
        """The request is answered: write what has no end of line yet."""
        with self._lock:
            self._write_rest()
            self._run_id = ""

    def write(self, text: str) -> int:
        """Take text; whole lines are passed on at once."""
        if not self._run_id:
            self._stream.write(text)
            return len(text)
        with self._lock:
            *lines, self._partial = (self._partial + text).split("\n")
            for line in lines:
                if line:
                    self._write_line("INFO", line)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Take texts."""
        for line in lines:
            self.write(line)

    def log(self, level: str, message: str) -> None:
        """Write one line of several words or lines, at its level."""
        with self._lock:
            self._write_rest()
            self._write_line(level, message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _write_rest(self) -> None:
        rest, self._partial = self._partial, ""
        if rest:
            self._write_line("INFO", rest)

    def _write_line(self, level: str, message: str) -> None:
        self._stream.write(log_lines.to_json(time.time(), level, message, component=_COMPONENT, run_id=self._run_id))


class _LogHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _out.log(record.levelname, self.format(record))


def begin(run_id: str) -> None:
    """Have what is written from now on name this run."""
    _out.begin(run_id)
    _err.begin(run_id)


def end() -> None:
    """Have what is written from now on name no run."""
    _out.end()
    _err.end()


def error(kind: str, message: str, trace: str) -> None:
    """Write why the run failed; the runtime client's own words name no run."""
    _out.log("ERROR", f"{kind}: {message}" + (f"\n{trace}" if trace else ""))


_COMPONENT = os.environ.get(COMPONENT, "")
_out, _err = RequestLines(sys.stdout), RequestLines(sys.stderr)


def install_realtime_log() -> None:
    """Take the place of this process's output and of the runtime client's log handlers."""
    sys.stdout, sys.stderr = _out, _err
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if type(handler).__module__.startswith("awslambdaric.") or type(handler) is logging.StreamHandler:
            root.removeHandler(handler)  # it would write past us
    root.addHandler(_LogHandler())
    if "AWS_LAMBDA_LOG_LEVEL" not in os.environ:
        root.setLevel("INFO")  # as locally: what `logging.info` says is shown
