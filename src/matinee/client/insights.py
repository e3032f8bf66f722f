"""What the owner learns from history: read once per process, a page at a time, and only what is new at every look.

`Insights.refresh` reads runs made since the last look, runs that were unfinished then and are finished now, what people
said since, and, with the time that is left, older runs, newest first, back to the day asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from matinee.client.core import Client
from matinee.client.insights_cells import Cell, Place, day_of, place_of
from matinee.client.insights_opinions import Opinions
from matinee.client.insights_report import Report, report_of
from matinee.errors import AccessError
from matinee.ports import RunQuery, Store
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
