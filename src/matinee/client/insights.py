"""What the owner learns from history: read once per process, a page at a time, and only what is new at every look.

`Insights.refresh` reads runs made since the last look, runs that were unfinished then and are finished now, what people
said since, and, with the time that is left, older runs, newest first, back to the day asked for.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from matinee.client.core import Client
from matinee.client.insights_counts import Cell, Opinion, Opinions, Place, day_of, merged, place_of, quantile_s
from matinee.errors import AccessError
from matinee.manifest import Release
from matinee.ports import RunQuery, Store
from matinee.prices import Size, batch_usd, realtime_usd
from matinee.runs import Run, Status, first_run_id

PAGE = 1000
KEPT_DAYS = 400
DAY_S = 86400.0
FRESH_S = 5.0  # how old complete counts may be
MARGIN_S = 60.0  # clocks of the processes that make run ids differ
_UNFINISHED = frozenset({Status.QUEUED, Status.RUNNING})


@dataclass
class _Gap:
    """Runs not read yet: made since `since`, before the run `before` ("" = up to the newest)."""

    since: float
    before: str = ""


class Insights:
    """A process's counts of all runs. Thread-safe.

    A prediction is recorded when it has finished, under an id made when it started: the last seconds, as long as a
    prediction may take, are therefore read again at every look, and what was counted there is known by its id.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time, page: int = PAGE) -> None:
        self._store = store
        self._clock = clock
        self._page = page
        self._lock = threading.Lock()
        self._cells: dict[Place, Cell] = {}
        self._pending: set[str] = set()  # unfinished when they were met: as many as are in the queue
        self._recent: set[str] = set()  # met already, and may be met again
        self._met_again = ""  # ids from here on may be
        self._floor = float("-inf")  # runs made before this will not be read again
        self._back = _Gap(float("inf"))  # the way back to the oldest
        self._opened_at = self._known_until = float("-inf")
        self._new: _Gap | None = None  # since the last look
        self.opinions = Opinions(store, page=page)
        self.pages_read = 0

    def refresh(self, since: float, *, late_s: float = 900.0, budget_s: float = 0.5) -> bool:
        """Bring the counts up to now; return whether they are complete back to `since` (epoch seconds).

        `late_s` is how long after its start a prediction may be recorded. Takes about `budget_s` seconds, a page of
        each kind at least: the rest is left to the next look.
        """
        with self._lock:
            now = self._clock()
            deadline = time.monotonic() + budget_s
            oldest = now - KEPT_DAYS * DAY_S
            self._back.since = min(self._back.since, max(since, oldest))
            self._open(now, late_s)
            self._settle()
            self._read_new(deadline)
            self._read_back(deadline)
            self.opinions.refresh(oldest, deadline, now)
            self._forget(now)
            return self._is_back() and min(self._known_until, self.opinions.known_until) >= now - FRESH_S

    def report(self, first: date, last: date, client: Client) -> Report:
        """Return what is counted of the days from `first` to `last`, both included; AccessError for a mere user.

        Costs come from the present sizes of the predictors.
        """
        if not client.owner:
            raise AccessError("Only the owner of the app sees this.", hint="Sign in as an owner.")
        days = range(first.toordinal(), last.toordinal() + 1)
        with self._lock:
            cells = {place: cell for place, cell in self._cells.items() if place.day in days}
            return report_of(cells, self.opinions.of(days), days, client.release())

    def _open(self, now: float, late_s: float) -> None:
        """Open the gap since the last look, when the last one is closed; the first look has only the way back."""
        if self._new is not None:
            return
        self._opened_at = now
        last = self._floor
        self._floor = max(last, now - late_s - MARGIN_S)
        is_first = last == float("-inf")
        self._new = None if is_first else _Gap(last)
        self._known_until = now if is_first else self._known_until
        self._met_again = first_run_id(self._floor if is_first else last)

    def _read_new(self, deadline: float) -> None:
        while self._new is not None:
            if self._read(self._new):
                self._new = None
                self._known_until = self._opened_at
            if time.monotonic() >= deadline:
                return

    def _read_back(self, deadline: float) -> None:
        while not self._is_back():
            if self._read(self._back):
                self._back.before = first_run_id(self._back.since)
            if time.monotonic() >= deadline:
                return

    def _is_back(self) -> bool:
        return self._back.before != "" and self._back.before <= first_run_id(self._back.since)

    def _read(self, gap: _Gap) -> bool:
        """Read one page; return whether it was the last."""
        self.pages_read += 1
        query = RunQuery(since=gap.since, before=gap.before, include_nested=True, limit=self._page)
        page = self._store.runs(query)
        for run in page:
            self._meet(run)
        if page:
            gap.before = page[-1].id
        return len(page) < self._page

    def _meet(self, run: Run) -> None:
        if run.id in self._recent:
            return
        if run.id >= self._met_again:
            self._recent.add(run.id)
        if run.status.is_final:
            self._count(run)
        else:
            self._pending.add(run.id)

    def _count(self, run: Run) -> None:
        self._cells.setdefault(place_of(run), Cell()).count(run)

    def _settle(self) -> None:
        """Count what has finished: a run is read once, when it has left the list of the unfinished."""
        if not self._pending:
            return
        for run_id in self._pending - self._unfinished():
            run = self._store.run(run_id)
            if run is not None and not run.status.is_final:
                continue
            self._pending.discard(run_id)
            if run is not None:
                self._count(run)

    def _unfinished(self) -> set[str]:
        ids: set[str] = set()
        before = ""
        while True:
            query = RunQuery(statuses=_UNFINISHED, before=before, include_nested=True, limit=self._page)
            page = self._store.runs(query)
            ids |= {run.id for run in page}
            if len(page) < self._page:
                return ids
            before = page[-1].id

    def _forget(self, now: float) -> None:
        """Let go of what cannot be met again, and of days too old to be asked for."""
        floor = first_run_id(self._floor)
        if self._new is None and "" != self._back.before <= floor:
            self._recent = {run_id for run_id in self._recent if run_id >= floor}
        oldest = day_of(now) - KEPT_DAYS
        for place in [place for place in self._cells if place.day < oldest]:
            del self._cells[place]


# --- the owner's report -----------------------------------------------------------------------------------------------
# From counts to what the owner reads: days, latency, causes, costs, ratings, the worst-rated runs. Pure.

K = TypeVar("K", int, str, tuple[str, str])

WORST = 20


@dataclass(frozen=True)
class Day:
    """One day's finished runs."""

    day: date
    runs: int = 0
    failed: int = 0
    people: int = 0


@dataclass(frozen=True)
class Latency:
    """How long one predictor's successful runs took, in seconds, to within 2 %."""

    predictor: str
    runs: int
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True)
class CauseCount:
    """How often a predictor failed for one cause; `message` and `run_id` are the newest."""

    predictor: str
    kind: str
    count: int
    message: str
    run_id: str


@dataclass(frozen=True)
class Cost:
    """What a predictor's runs would cost on AWS; None for one that is no longer live.

    `runs` counts what other runs called, too.
    """

    predictor: str
    kind: str
    runs: int
    per_run_usd: float | None
    total_usd: float | None


@dataclass(frozen=True)
class Rating:
    """What people said of one version of a predictor."""

    predictor: str
    version: str
    good: int
    bad: int
    comments: int
    corrections: int

    @property
    def share_good(self) -> float | None:
        """Return the share of good ratings, 0…1; None without a rating."""
        return self.good / (self.good + self.bad) if self.good + self.bad else None


@dataclass(frozen=True)
class Worst:
    """A badly rated run. `comments` are what those said who rated it badly."""

    run_id: str
    predictor: str
    version: str
    good: int
    bad: int
    comments: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All of it, for some days."""

    days: tuple[Day, ...]
    runs: int
    failed: int
    cancelled: int
    people: int
    latency: tuple[Latency, ...]
    causes: tuple[CauseCount, ...]
    costs: tuple[Cost, ...]
    ratings: tuple[Rating, ...]
    worst: tuple[Worst, ...]

    @property
    def total_usd(self) -> float:
        """What all runs would cost on AWS, as far as it is known."""
        return sum(cost.total_usd or 0.0 for cost in self.costs)


def report_of(
    cells: Mapping[Place, Cell], opinions: Sequence[Opinion], days: Iterable[int], release: Release
) -> Report:
    """Return the report of these cells; every one of `days` (ordinals) has its line."""
    whole = merged(cells.values())
    by_day = _by(cells, lambda place: place.day)
    by_predictor = _by(cells, lambda place: place.predictor)
    return Report(
        days=tuple(_day(day, by_day.get(day, Cell())) for day in days),
        runs=whole.runs,
        failed=whole.failed,
        cancelled=whole.cancelled,
        people=len(whole.people),
        latency=tuple(_latency(name, cell) for name, cell in sorted(by_predictor.items()) if cell.durations),
        causes=_causes(by_predictor),
        costs=_costs(cells, release),
        ratings=_ratings(opinions),
        worst=_worst(opinions),
    )


def _by(cells: Mapping[Place, Cell], key: Callable[[Place], K]) -> dict[K, Cell]:
    groups: defaultdict[K, list[Cell]] = defaultdict(list)
    for place, cell in cells.items():
        groups[key(place)].append(cell)
    return {name: merged(group) for name, group in groups.items()}


def _day(ordinal: int, cell: Cell) -> Day:
    return Day(date.fromordinal(ordinal), cell.runs, cell.failed, len(cell.people))


def _latency(predictor: str, cell: Cell) -> Latency:
    p50, p95 = (quantile_s(cell.durations, q) for q in (0.5, 0.95))
    return Latency(predictor, cell.durations.total(), p50, p95)


def _causes(by_predictor: Mapping[str, Cell]) -> tuple[CauseCount, ...]:
    rows = (
        CauseCount(name, kind, cause.count, cause.message, cause.run_id)
        for name, cell in by_predictor.items()
        for kind, cause in cell.causes.items()
    )
    return tuple(sorted(rows, key=lambda row: (-row.count, row.predictor, row.kind)))


def _costs(cells: Mapping[Place, Cell], release: Release) -> tuple[Cost, ...]:
    kinds = _by(cells, lambda place: (place.predictor, place.kind))
    return tuple(_cost(*key, cell, release) for key, cell in sorted(kinds.items()))


def _cost(name: str, kind: str, cell: Cell, release: Release) -> Cost:
    predictor = release.predictor(name)
    if predictor is None or not cell.executions:
        return Cost(name, kind, cell.executions, None, None)
    resources = predictor.resources
    size = Size(resources.memory_mb, resources.cpu, resources.gpu)
    total = (realtime_usd if kind == "realtime" else batch_usd)(cell.executions, cell.seconds, size)
    return Cost(name, kind, cell.executions, total / cell.executions, total)


def _ratings(opinions: Sequence[Opinion]) -> tuple[Rating, ...]:
    groups: defaultdict[tuple[str, str], list[Opinion]] = defaultdict(list)
    for opinion in opinions:
        groups[opinion.predictor, opinion.version].append(opinion)
    order = sorted(groups, key=lambda key: (key[0], _number(key[1])))
    return tuple(
        Rating(
            *key,
            good=sum(_is_good(one) for one in groups[key]),
            bad=sum(_is_bad(one) for one in groups[key]),
            comments=sum(one.comment != "" for one in groups[key]),
            corrections=sum(one.is_corrected for one in groups[key]),
        )
        for key in order
    )


def _number(version: str) -> tuple[int, str]:
    """Order v2 before v10."""
    digits = version.removeprefix("v")
    return (int(digits), "") if digits.isdecimal() else (0, version)


def _worst(opinions: Sequence[Opinion]) -> tuple[Worst, ...]:
    groups: defaultdict[str, list[Opinion]] = defaultdict(list)
    for opinion in opinions:
        groups[opinion.run_id].append(opinion)
    runs = [_judged(run_id, group) for run_id, group in groups.items()]
    bad = [run for run in runs if run.bad]
    newest = sorted(bad, key=lambda run: run.run_id, reverse=True)
    return tuple(sorted(newest, key=lambda run: run.good - run.bad)[:WORST])


def _judged(run_id: str, opinions: Sequence[Opinion]) -> Worst:
    bad = [one for one in opinions if _is_bad(one)]
    good = sum(map(_is_good, opinions))
    comments = tuple(one.comment for one in bad if one.comment)
    return Worst(run_id, opinions[0].predictor, opinions[0].version, good, len(bad), comments)


def _is_good(opinion: Opinion) -> bool:
    return opinion.score is not None and opinion.score > 0.5


def _is_bad(opinion: Opinion) -> bool:
    return opinion.score is not None and opinion.score < 0.5
