"""A run of many rows, in the child: row after row is predicted, and chunks of results are put into Files.

A result chunk that is put is done: another attempt goes on after it. A row that fails is a row with an error.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from matinee.errors import InputError, Interruption, MatineeError
from matinee.log_lines import cut, error_text
from matinee.rows import storage
from matinee.rows.inputs import MARK

if TYPE_CHECKING:
    from matinee.ports import Files

Json = Any
Predict = Callable[[int, Json], Json]  # the row's number and inputs → its result
Retry = Callable[[str, Callable[[], Any]], Any]  # what it does, the step: tries again, then fails in words

PROGRESS_S = 0.25  # how often progress is reported
FLUSH_S = 5.0  # results are put at least this often, so that a crash costs little
MAX_LOGGED_FAILURES = 20  # of the rows that fail, so many are described in the run's log
MAX_ERROR_CHARS = 500


class Reports(Protocol):
    """Where a run's progress and log lines go: the supervisor's end of the child."""

    def send(self, kind: str, value: Json) -> None:
        """Send one report whole."""

    def log(self, level: str, text: str) -> None:
        """Send log lines."""


class RowsRun:
    """One attempt at one run of many rows."""

    def __init__(
        self, run: dict[str, Any], manifest: dict[str, Json], files: Files, link: Reports, *, retry: Retry
    ) -> None:
        self._run_id: str = run["run"]
        self._timeout_s: float = run["timeout_s"]
        self._name: str = manifest["name"]
        self._files = files
        self._link = link
        self._retry = retry
        self._upload = retry("read the rows", lambda: storage.load_upload(files, run["inputs"][MARK]["key"]))
        self._cells = self._upload.cells(manifest["parameters"])
        self._key = storage.results_key(self._run_id)
        done = retry("read the results so far", lambda: storage.chain_chunks(files, self._key))
        self._failed = sum(chunk.failed for chunk in done)
        first = done[-1].next if done else 1
        self._writer = storage.Writer(files, self._key, first=first, attempt=run["attempt"])
        self._report_at = self._flush_at = 0.0

    def work(self, predict: Predict) -> Json:
        """Predict the rows that are not done; return what stands in the run's result."""
        writer, first = self._writer, self._writer.first
        chunks = self._retry("read the rows", lambda: storage.chain_chunks(self._files, self._upload.key, start=first))
        if first > 1:
            self._link.log("INFO", f"Going on with row {first:,}: the rows before it are done.")
        self._flush_at = time.monotonic() + FLUSH_S
        with Limit(self._timeout_s) as limit:
            for number, cells in enumerate(storage.read_rows(self._read, chunks, start=first), first):
                self._flush_and_report()
                result, error = self._outcome(number, cells, predict, limit)
                self._failed += bool(error)
                self._add(result, error)
        self._retry("store the results", writer.flush)
        self._report()
        return {MARK: {"key": self._key, "total": self._upload.total, "failed": self._failed}}

    def _read(self, key: str) -> bytes:
        data: bytes = self._retry("read the rows", lambda: self._files.read(key))
        return data

    def _outcome(self, number: int, cells: Json, predict: Predict, limit: Limit) -> tuple[Json, str]:
        try:
            inputs = self._cells.inputs(cells)
            return limit.call(lambda: predict(number, inputs)), ""
        except RowTimeout:
            error, trace = f"{self._name} took longer than its limit of {self._timeout_s:g} s.", ""
        except InputError as problem:
            return None, cut(problem.message, MAX_ERROR_CHARS)
        except MatineeError as failure:
            error, trace = failure.message, getattr(failure, "traceback", "")
        except Exception as failure:  # whatever it is, it is this row's
            error, trace = error_text(failure), ""
        if self._failed < MAX_LOGGED_FAILURES:
            self._link.log("ERROR", f"Row {number:,}: {error}\n{trace}".rstrip())
        return None, cut(error, MAX_ERROR_CHARS)

    def _add(self, result: Json, error: str) -> None:
        try:
            self._writer.add([result, error], failed=bool(error))
        except ValueError:
            self._failed += 1
            self._writer.add([None, "The result is not a JSON value."], failed=True)

    def _flush_and_report(self) -> None:
        """Between two rows: put a chunk and report how far it is, when it is time."""
        now = time.monotonic()
        if self._writer.is_full or now >= self._flush_at:
            self._retry("store the results", self._writer.flush)
            self._flush_at, self._report_at = now + FLUSH_S, 0.0
        if now >= self._report_at:
            self._report_at = now + PROGRESS_S
            self._report()

    def _report(self) -> None:
        total, done = self._upload.total, self._writer.next - 1
        last = min(total, self._writer.first + storage.MAX_ROWS - 1)
        failed = f", {self._failed:,} failed" if self._failed else ""
        message = f"{done:,} of {total:,} rows{failed}"
        self._link.send("progress", [done / max(1, total), message, self._writer.first, min(total, done + 1), last])


class RowTimeout(Interruption):
    """A row took too long."""


class Limit:
    """Ends a call after `timeout_s` by SIGALRM. Native code that does not return is the supervisor's to end."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._is_armed = False
        self._before: Any = None

    def __enter__(self) -> Limit:
        self._before = signal.signal(signal.SIGALRM, self._ring)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    def call(self, function: Callable[[], Json]) -> Json:
        """Call it; RowTimeout when it takes longer."""
        self._is_armed = True
        signal.setitimer(signal.ITIMER_REAL, self._timeout_s)
        try:
            return function()
        finally:
            self._is_armed = False  # first: an alarm that comes now finds nobody
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, *_: object) -> None:
        if self._is_armed:
            raise RowTimeout
