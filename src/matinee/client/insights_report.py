"""From counts to what the owner reads: days, latency, causes, costs, ratings, the worst-rated runs. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from matinee.client.insights_cells import Cell, Place, merged, quantile_s
from matinee.client.insights_opinions import Opinion
from matinee.manifest import Release
from matinee.prices import Size, batch_usd, realtime_usd

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
