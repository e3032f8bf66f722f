"""The owner's counts of this process: one for all sessions, a report and its charts made once for a range of days."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from matinee.client.core import Client
from matinee.client.insights import Insights
from matinee.client.insights_report import Report
from matinee.manifest import Release
from matinee.ui import insights_charts, session

REPORT_S = 10.0  # how old what the page shows may be
SLICE_S = 0.2  # how long one look reads


@dataclass(frozen=True)
class View:
    """A report with its charts. Not `is_complete`: older runs are still being read."""

    report: Report
    runs_chart: Any
    people_chart: Any
    is_complete: bool


@functools.lru_cache(1)
def _insights(store: Any) -> Insights:
    return Insights(store)


def view(client: Client, days: int) -> View:
    """Return the last `days` days, today included, at most REPORT_S old; AccessError for a mere user."""
    known = session.poll.read(("insights", days, client.owner), REPORT_S, lambda: _made(client, days))
    if known.is_complete:
        return known
    return _made(client, days)  # it goes on reading


def _made(client: Client, days: int) -> View:
    store: Any = client.backend.store  # hashed as the object it is
    counts = _insights(store)
    last = date.today()
    first = last - timedelta(days=days - 1)
    counts.report(last, last, client)  # before anything is read: is this an owner?
    since = _midnight(first)
    is_complete = counts.refresh(since, late_s=_longest_s(client.release()), budget_s=SLICE_S)
    report = counts.report(first, last, client)
    charts = (insights_charts.runs_per_day(report), insights_charts.people_per_day(report))
    return View(report, *charts, is_complete)


def _midnight(day: date) -> float:
    return datetime.combine(day, time()).timestamp()


def _longest_s(release: Release) -> float:
    """How long after its start a prediction may be recorded."""
    return max((p.resources.timeout_s for p in release.predictors if p.kind == "realtime"), default=30.0)
