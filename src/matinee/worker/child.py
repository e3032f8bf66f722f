"""The process that runs user code for a batch worker: `python -m matinee.worker.child COMMANDS REPORTS LIFE`.

It imports the component once and keeps it over runs. The arguments are the numbers of three inherited pipes:
commands and reports are JSON lines; life closes when the supervisor is gone, and ends this process group.
"""

from __future__ import annotations

import faulthandler
import fcntl
import io
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from matinee.backends.factory import open_files
from matinee.errors import BackendError, ComponentError, InputError, MatineeError, PredictionError
from matinee.log_lines import cut, error_text
from matinee.own_paths import name_own_files
from matinee.predictors.context import Context, bind
from matinee.retry import Backoff, retry
from matinee.runtime.execute import RuntimeBinding, execute, load_component
from matinee.settings import Settings
from matinee.values import blobs

if TYPE_CHECKING:
    from matinee.ports import Files


def main(commands: int, reports: int, life: int) -> None:
    """Serve runs until the supervisor closes the commands."""
    for fd in (commands, reports, life):
        os.set_inheritable(fd, False)
    end_with(life)

    link = Link(reports)
    streams = capture(link)

    runner = Runner.start(link, streams)
    if runner is None:
        return
    with os.fdopen(commands, "rb") as lines:
        for line in lines:
            runner.serve(line)


def end_with(life: int) -> None:
    """Have this process group killed when the other end of the pipe `life` closes.

    On Linux by the kernel itself (the pipe's hang-up is a signal, here SIGKILL), so that it works whatever user code
    does; elsewhere by a thread.
    """
    if not hasattr(fcntl, "F_SETSIG"):
        threading.Thread(target=_end_at_hangup, args=(life,), daemon=True).start()
        return
    fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    try:
        if not os.read(life, 1):  # it ended before we came here
            _end_at_hangup(life)
    except BlockingIOError:
        pass  # it lives


def _end_at_hangup(life: int, *_: Any) -> None:
    os.read(life, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)


# --- executing runs ---------------------------------------------------------------------------------------------
# Inputs in, result or failure out.

Json = Any
INLINE_BYTES = 3500  # results above go to Files; below PIPE_BUF with what is around it, so reports never mix
MAX_TEXT_CHARS = 1000
MAX_TRACEBACK_CHARS = 2000


class Runner:
    """A loaded predictor and what it takes to run it."""

    def __init__(self, link: Link, streams: list[LogStream], settings: Settings, function: Callable[..., Any]) -> None:
        self._link = link
        self._streams = streams
        self._settings = settings
        self._function = function
        self._manifest = _manifest(settings)
        self._files = open_files(settings)

    @classmethod
    def start(cls, link: Link, streams: list[LogStream]) -> Runner | None:
        """Import the component and report it; None when it cannot be imported, which is reported too."""
        faulthandler.enable(2)  # where native code crashed: into the log
        settings = Settings.from_environment()
        try:
            runner = cls(link, streams, settings, load_component(str(settings.source))[settings.predictor])
        except BaseException as error:  # whatever user code does at import stands on the run
            link.send("broken", _report_of_start_failure(settings, error))
            return None
        link.send("ready", os.getpid())
        return runner

    def serve(self, command: bytes) -> None:
        """Run one run and report how it ended."""
        run = json.loads(command)
        bind(RuntimeBinding(self._settings, self._context(run), report=self._report))
        try:
            kind, value = "result", self._execute(run)
        except BaseException as error:  # SystemExit too: a predictor cannot end its worker
            kind, value = "error", _report_of_failure(error)
        finally:
            bind(None)
        for stream in self._streams:
            stream.finish_line()
        self._link.send(kind, value)

    def _execute(self, run: dict[str, Any]) -> Json:
        inputs = retry_or_fail("read the inputs", lambda: blobs.load_payload(self._files, run["inputs"]))
        if self._manifest["kind"] == "realtime":  # what comes to its queue are runs of many rows
            return self._execute_rows({**run, "inputs": inputs})
        result = execute(self._function, self._manifest, inputs, RetryingFiles(self._files))
        key = f"results/{run['run']}/{run['attempt']}.json"
        return blobs.store_large(RetryingFiles(self._files), key, result, INLINE_BYTES)

    def _execute_rows(self, run: dict[str, Any]) -> Json:
        from matinee.worker.many_rows import RowsRun

        def predict(number: int, inputs: Json) -> Json:
            bind(RuntimeBinding(self._settings, self._context(run)))
            prefix = f"results/{run['run']}/files/{number}"
            return execute(self._function, self._manifest, inputs, RetryingFiles(self._files), prefix=prefix)

        return RowsRun(run, self._manifest, self._files, self._link, retry=retry_or_fail).work(predict)

    def _context(self, run: dict[str, Any]) -> Context:
        deadline_s = time.time() + run["timeout_s"]
        return Context(
            run["run"], run["user"], run["version"], run["attempt"], deadline_s, predictor=self._settings.predictor
        )

    def _report(self, fraction: float | None, message: str) -> None:
        self._link.send("progress", [fraction, cut(message, MAX_TEXT_CHARS)])


def _manifest(settings: Settings) -> dict[str, Json]:
    component = json.loads(settings.manifest.read_bytes())
    found: dict[str, Json] = next(p for p in component["predictors"] if p["name"] == settings.predictor)
    return found


def _report_of_failure(error: BaseException) -> dict[str, str]:
    if isinstance(error, InputError):
        return _report_of("invalid_input", error.message, error.hint)
    if isinstance(error, PredictionError):
        return _report_of(error.kind, error.message, error.hint, error.traceback)
    if isinstance(error, MatineeError):
        return _report_of("exception", error.message, error.hint)
    kind = "out_of_memory" if isinstance(error, MemoryError) else "exception"
    return _report_of(kind, error_text(error, MAX_TEXT_CHARS), "", "".join(traceback.format_exception(error)))


def _report_of_start_failure(settings: Settings, error: BaseException) -> dict[str, str]:
    if isinstance(error, ComponentError):
        where = f" ({error.file}:{error.line})" if error.file else ""
        return _report_of("start", f"{error.message}{where}", error.hint)
    if isinstance(error, KeyError) and error.args == (settings.predictor,):
        return _report_of(
            "start", f"{settings.source} has no predictor {settings.predictor}.", "Release the app again."
        )
    text = f"{settings.component} cannot be imported: "
    text += error_text(error, MAX_TEXT_CHARS - len(text))
    return _report_of("start", text, "Mend the component and save it.", "".join(traceback.format_exception(error)))


def _report_of(kind: str, message: str, hint: str = "", trace: str = "") -> dict[str, str]:
    return {
        "kind": kind,
        "message": cut(name_own_files(message), MAX_TEXT_CHARS),
        "hint": cut(hint, MAX_TEXT_CHARS),
        "traceback": cut(name_own_files(trace), MAX_TRACEBACK_CHARS),
    }


# --- files that retry -------------------------------------------------------------------------------------------
# What fails is tried again, for hours of work may hang on one put. When it does not come right, the attempt fails and
# says why: a run never succeeds without its result.

BACKOFF = Backoff(base_s=0.2, cap_s=2.0, tries=5)  # on AWS each try is the SDK's five
T = TypeVar("T")


class RetryingFiles:
    """The part of Files by which results go and large inputs come; what fails is tried again."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def put(self, key: str, data: bytes, *, media_type: str = "application/octet-stream") -> int:
        """Store the bytes and return how many; PredictionError when it does not come right."""
        return retry_or_fail("store the result", lambda: self._files.put(key, data, media_type=media_type))

    def read(self, key: str) -> bytes:
        """Return the bytes; PredictionError when it does not come right."""
        return retry_or_fail("read the inputs", lambda: self._files.read(key))


def retry_or_fail(what: str, step: Callable[[], T]) -> T:
    """Do a step at Files, again while it fails; PredictionError with the reason when it does not come right."""
    try:
        return retry(step, on=(BackendError, OSError), backoff=BACKOFF)
    except (BackendError, OSError) as error:
        cause, hint = (error.message, error.hint) if isinstance(error, BackendError) else (str(error), "")
        raise PredictionError(
            f"It was not possible to {what}: {cause}",
            hint=hint or "Look at the free space and the rights of the app's files.",
        ) from error


# --- reports to the supervisor ----------------------------------------------------------------------------------
# What the supervisor gets to know: one JSON line per report, `[kind, value]`, over a pipe of its own.


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
        """Send log lines; of one that is too long, its end."""
        now = time.time()
        for line in text.splitlines() or [""]:
            self.send("log", [now, level, cut(line)])

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


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
