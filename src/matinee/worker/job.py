"""The run a worker is working on, and when something is to be done about it."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matinee.runs import LEASE_S, Entry, Failure, Json, Progress, Run

if TYPE_CHECKING:
    from matinee.worker.slot import Predictor
BEAT_S = LEASE_S / 3
PROGRESS_S = 0.5  # progress is written at most this often
LOOK_S = 0.5  # how often a cancel is looked for
MEMORY_S = 0.1  # how often the memory is looked at
ROW_GRACE_S = 10.0  # a run of many rows ends a row that takes too long itself; what does not end is killed then
START_LIMIT_S = 600.0  # importing the component may take this long
RETRY_S = 1.0  # after the store failed


@dataclass
class Job:
    """One attempt at one run. Times are of the monotonic clock, so that nobody's setting of the clock changes them."""

    run: Run
    entry: Entry
    predictor: Predictor
    claimed_at: float
    cold_start: bool = False
    lease_until: float = 0.0
    progress: Progress = field(default_factory=Progress)
    entered_at: float | None = None  # when the child was ready and had the run
    beaten_at: float = 0.0
    beat_at: float = 0.0
    look_at: float = 0.0
    memory_at: float = 0.0
    peak_bytes: int = 0
    rows: tuple[int, int] | None = None  # of a run of many rows: those being predicted, as reported last
    rows_reported_at: float = 0.0
    stored_at_first: int | None = None
    has_stored: bool = False  # whether this attempt has stored results of rows that another need not predict

    def __post_init__(self) -> None:
        self.lease_until = self.claimed_at + LEASE_S
        self.beaten_at = self.claimed_at
        self.beat_at = self.claimed_at + BEAT_S
        self.look_at = self.claimed_at + LOOK_S
        self.memory_at = self.claimed_at + MEMORY_S

    @property
    def ends_at(self) -> float:
        """When the attempt has taken too long: the import its own limit, the predictor `timeout_s`."""
        if self.entered_at is None:
            return self.claimed_at + START_LIMIT_S
        if self.rows is None:
            return self.entered_at + self.predictor.timeout_s
        return self.rows_reported_at + self.predictor.timeout_s + ROW_GRACE_S

    @property
    def next_at(self) -> float:
        """When the next thing is to be done."""
        return min(self.beat_at, self.look_at, self.memory_at, self.ends_at)

    def report(self, progress: Progress, *rows: int) -> None:
        """Note the progress; it is written with a heartbeat soon, not at once.

        `rows`, of a run of many: the first without a stored result, and the first and last of those being predicted;
        `timeout_s` is then each one's, not the run's.
        """
        self.progress = progress
        if rows:
            stored, first, last = rows
            self.rows, self.rows_reported_at = (first, last), time.monotonic()
            self.has_stored = self.stored_at_first is not None and stored > self.stored_at_first
            self.stored_at_first = self.stored_at_first or stored
        self.beat_at = min(self.beat_at, self.beaten_at + PROGRESS_S)

    def holds(self, entry: Entry | None) -> bool:
        """Whether the queue entry still says that this attempt has the run."""
        return entry is not None and (entry.owner, entry.attempt) == (self.entry.owner, self.entry.attempt)


# --- failures of an attempt -------------------------------------------------------------------------------------
# Every way in which an attempt can fail outside the predictor's own exceptions, in plain words.

_OF_THE_PROCESS = ("crash", "out_of_memory", "timeout")  # after which many rows go on in a new process
_KILLED = -signal.SIGKILL
_NEAR = 0.8  # of the memory: killed by the system at this size means that memory ran out


def timed_out(predictor: Predictor) -> Failure:
    """The run took longer than it may."""
    limit = f"{predictor.timeout_s:g} s"
    return Failure(
        "timeout",
        f"{predictor.name} took longer than its limit of {limit}.",
        hint=f"Raise timeout_s (now {limit}) of {predictor.name}, or give it less to do.",
    )


def start_timed_out(predictor: Predictor, limit_s: float) -> Failure:
    """Importing the component never came to an end."""
    return Failure(
        "start",
        f"Importing {predictor.component} took longer than {limit_s:g} s.",
        hint="What a component does at module level (downloading or loading a model) must end sooner.",
    )


def out_of_memory(predictor: Predictor, used_bytes: int) -> Failure:
    """The run used more memory than it may."""
    limit = predictor.memory_mb
    used = f"used {used_bytes / 2**20:.0f} MB of its {limit} MB" if used_bytes else f"ran out of its {limit} MB"
    return Failure(
        "out_of_memory",
        f"{predictor.name} {used} of memory.",
        hint=f"Raise memory_mb (now {limit}) of {predictor.name}, or work on less at a time.",
    )


def crashed(
    predictor: Predictor, exit_code: int, *, peak_bytes: int, had_no_memory: bool, last_lines: str, ready: bool
) -> Failure:
    """The process that ran the predictor ended in the middle of it."""
    is_near = peak_bytes >= _NEAR * predictor.memory_mb * 2**20
    if exit_code == _KILLED and (had_no_memory or is_near):
        return out_of_memory(predictor, peak_bytes if is_near else 0)  # what grows fast is seen while it is small
    how = f"was ended by {_signal_name(-exit_code)}" if exit_code < 0 else f"ended with exit code {exit_code}"
    doing = "running" if ready else "being imported"
    return Failure(
        "crash",
        f"The process of {predictor.name} {how} while {doing}.",
        hint="Look at the run's log: native code (a segmentation fault), os._exit or the system ended it.",
        traceback=last_lines,
    )


def name_rows(failure: Failure, job: Job | None) -> tuple[Failure, bool]:
    """Say which of many rows were being predicted, and whether to go on after those whose results are stored.

    A process that ended before it had stored any would end there again: then the run fails. A single run's failure
    stays as it is.
    """
    if job is None or job.rows is None:
        return failure, False
    first, last = job.rows
    where = f"row {first:,}" if first == last else f"one of the rows {first:,} to {last:,}"
    hint = f"{failure.hint} The rows before have their results."
    message = f"{failure.message.rstrip('.')}, at {where}."
    with_rows = Failure(failure.kind, message, hint=hint.strip(), traceback=failure.traceback)
    return with_rows, job.has_stored and failure.kind in _OF_THE_PROCESS


def failure_of_report(report: Json) -> Failure:
    """Return the failure that the child reported."""
    return Failure(
        str(report.get("kind") or "exception"),
        str(report.get("message") or "The predictor failed without a message."),
        str(report.get("hint") or ""),
        str(report.get("traceback") or ""),
    )


def _signal_name(number: int) -> str:
    try:
        return f"signal {signal.Signals(number).name}"
    except ValueError:
        return f"signal {number}"
