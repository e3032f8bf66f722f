"""What people said of runs, by predictor and version: read in the order it was said, each run looked up once."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from matinee.client.insights_cells import day_of
from matinee.ports import Store
from matinee.runs import Feedback

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
        wanted = set(days)
        return [opinion for opinion in self._known.values() if opinion.day in wanted]

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
