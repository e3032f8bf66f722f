"""The run a worker has in hand, and when something is to be done about it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matinee.runs import LEASE_S, Entry, Progress, Run

if TYPE_CHECKING:
    from matinee.runtime.supervisor_slot import Predictor

BEAT_S = LEASE_S / 3
PROGRESS_S = 0.5  # progress is written at most this often
LOOK_S = 0.5  # how often a cancel is looked for
MEMORY_S = 0.1  # how often the memory is looked at
ROW_GRACE_S = 10.0  # a run of many rows ends a row that takes too long itself; what does not end is killed then
START_LIMIT_S = 600.0  # importing the component may take this long
RETRY_S = 1.0  # after the store failed


@dataclass
class Job:
    """One attempt at one run. Times are of the monotonic clock, `started_at` and `lease_until` of the epoch."""

    run: Run
    entry: Entry
    predictor: Predictor
    claimed_at: float
    started_at: float
    cold_start: bool = False
    lease_until: float = 0.0
    progress: Progress = field(default_factory=Progress)
    entered_at: float | None = None  # when the child was ready and had the run
    beaten_at: float = 0.0
    beat_at: float = 0.0
    look_at: float = 0.0
    memory_at: float = 0.0
    peak_bytes: int = 0
    rows: tuple[int, int] | None = None  # of a run of many rows: those being predicted, as told last
    rows_told_at: float = 0.0
    stored_at_first: int | None = None
    has_stored: bool = False  # whether this attempt has stored results of rows that another need not predict

    def __post_init__(self) -> None:
        self.lease_until = self.started_at + LEASE_S
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
        return self.rows_told_at + self.predictor.timeout_s + ROW_GRACE_S

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
            self.rows, self.rows_told_at = (first, last), time.monotonic()
            self.has_stored = self.stored_at_first is not None and stored > self.stored_at_first
            self.stored_at_first = self.stored_at_first or stored
        self.beat_at = min(self.beat_at, self.beaten_at + PROGRESS_S)

    def holds(self, entry: Entry | None) -> bool:
        """Whether the queue entry still says that this attempt has the run."""
        return entry is not None and (entry.owner, entry.attempt) == (self.entry.owner, self.entry.attempt)
