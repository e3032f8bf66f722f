"""Counts of runs that can be added up: a cell per day, predictor and version. Pure, and bounded however many runs.

Durations are kept in buckets that grow by 4 %, so a quantile is at most 2 % off and a cell a few hundred numbers.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from matinee.ports import Store
from matinee.runs import Feedback, Run, Status

GROWTH = 1.04
SHORTEST_S = 1e-4
MOST_PEOPLE = 10_000  # names kept per cell; beyond that people are no longer told apart


class Place(NamedTuple):
    """Which cell a run belongs to. `day` is a proleptic ordinal in this machine's time zone."""

    day: int
    predictor: str
    kind: str
    version: str


@dataclass
class Cause:
    """Why runs failed: how often, and the newest of them."""

    count: int = 0
    run_id: str = ""
    message: str = ""

    def add(self, other: Cause) -> None:
        """Count the other's runs too."""
        self.count += other.count
        if other.run_id > self.run_id:
            self.run_id, self.message = other.run_id, other.message


@dataclass
class Cell:
    """Finished runs of people (`runs`), and what machines did for them (`executions`: calls of other runs included)."""

    runs: int = 0
    cancelled: int = 0
    people: set[str] = field(default_factory=set)
    durations: Counter[int] = field(default_factory=Counter)  # of succeeded runs, by bucket
    causes: dict[str, Cause] = field(default_factory=dict)
    executions: int = 0
    seconds: float = 0.0

    def add(self, other: Cell) -> None:
        """Count the other's runs too."""
        self.runs += other.runs
        self.cancelled += other.cancelled
        self.people |= other.people
        self.durations += other.durations
        self.executions += other.executions
        self.seconds += other.seconds
        for kind, cause in other.causes.items():
            self.causes.setdefault(kind, Cause()).add(cause)

    @property
    def failed(self) -> int:
        """How many failed."""
        return sum(cause.count for cause in self.causes.values())

    def count(self, run: Run) -> None:
        """Count a finished run."""
        took_s = run.duration_s or 0.0
        self.executions += 1
        self.seconds += max(0.0, took_s)
        if run.parent:
            return
        self.runs += 1
        if len(self.people) < MOST_PEOPLE:
            self.people.add(run.user)
        if run.status is Status.SUCCEEDED:
            self.durations[bucket(took_s)] += 1
        elif run.status is Status.CANCELLED:
            self.cancelled += 1
        else:
            failure = run.failure
            cause = Cause(1, run.id, failure.message if failure else "")
            self.causes.setdefault(failure.kind if failure else "lost", Cause()).add(cause)


def place_of(run: Run) -> Place:
    """Return the cell a run belongs to: by the day it was made."""
    return Place(day_of(run.created_at), run.predictor, run.kind, run.version)


def day_of(at: float) -> int:
    """Return the day of a time (epoch seconds) as an ordinal, in this machine's time zone."""
    return date.fromtimestamp(at).toordinal()


def bucket(seconds: float) -> int:
    """Return the number of the bucket of a duration."""
    return math.ceil(math.log(max(seconds, SHORTEST_S) / SHORTEST_S) / math.log(GROWTH))


def quantile_s(durations: Counter[int], q: float) -> float | None:
    """Return the nearest-rank quantile in seconds, at most 2 % off; None of nothing."""
    total = durations.total()
    if not total:
        return None
    rank, seen = max(1, math.ceil(q * total)), 0
    for number in sorted(durations):
        seen += durations[number]
        if seen >= rank:
            return float(SHORTEST_S * GROWTH ** (number - 0.5))  # the middle of the bucket
    raise AssertionError("a rank is at most the total")


def merged(cells: Iterable[Cell]) -> Cell:
    """Return all of them as one."""
    whole = Cell()
    for cell in cells:
        whole.add(cell)
    return whole


# --- counts of feedback -----------------------------------------------------------------------------------------------
# What people said of runs, by predictor and version: read in the order it was said, each run looked up once.

KEPT = 50_000  # the newest, per process
OVERLAP_S = 60.0  # clocks differ: what was said in the last minute is read again


@dataclass(frozen=True)
class Opinion:
    """What one person said of one run, with what is needed of the run. `day` is an ordinal."""

    run_id: str
    user: str
    score: float | None  # 0 (worst) to 1 (best), whatever the scale
    comment: str
    is_corrected: bool
    predictor: str
    version: str
    day: int


class Opinions:
    """The opinions of all people, the newest of each on each run."""

    def __init__(self, store: Store, *, page: int = 1000) -> None:
        self._store = store
        self._page = page
        self._known: dict[tuple[str, str], Opinion] = {}
        self._last: Feedback | None = None  # read so far
        self._newest = self._opened_at = float("-inf")
        self.known_until = float("-inf")  # epoch seconds: all that was said before has been read

    def refresh(self, since: float, deadline: float, now: float) -> None:
        """Read what was said since the last look (at first: since `since`), as seen at `now`.

        Stops at `deadline` (monotonic seconds), but reads a page at least: the rest is left to the next look.
        """
        self._opened_at = now if self._last is None else self._opened_at
        start = max(since, self._newest - OVERLAP_S)
        while True:
            page = self._store.feedback_since(start, after=self._last, limit=self._page)
            for feedback in page:
                self._hear(feedback)
            self._last = page[-1] if len(page) == self._page else None
            if self._last is None:
                self.known_until = self._opened_at
            if self._last is None or time.monotonic() >= deadline:
                return

    def of(self, days: Iterable[int]) -> list[Opinion]:
        """Return the opinions on runs made on these days."""
        asked_days = set(days)
        return [opinion for opinion in self._known.values() if opinion.day in asked_days]

    def _hear(self, feedback: Feedback) -> None:
        self._newest = max(self._newest, feedback.updated_at)
        key = (feedback.run_id, feedback.user)
        known = self._known.pop(key, None)  # so that the order of the dict is that of the last change
        run = None if known else self._store.run(feedback.run_id)
        of = known or run
        if of is None:
            return
        day = known.day if known else day_of(run.created_at) if run else 0
        self._known[key] = Opinion(
            *key, feedback.score, feedback.comment, feedback.corrected is not None, of.predictor, of.version, day
        )
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
