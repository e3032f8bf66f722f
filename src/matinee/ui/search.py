"""History by what was asked for: filters become one query, words are looked for in a bounded number of runs. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from matinee.ports import RunQuery
from matinee.runs import Run, Status

CHUNK = 200  # runs read at once while looking for words
MOST = 2000  # looked at for one page: then it says how far it came, and goes on when asked

STATUSES: dict[str, frozenset[Status]] = {
    "Unfinished": frozenset({Status.QUEUED, Status.RUNNING}),
    "Done": frozenset({Status.SUCCEEDED}),
    "Failed": frozenset({Status.FAILED}),
    "Cancelled": frozenset({Status.CANCELLED}),
}


@dataclass(frozen=True)
class Filters:
    """What a person looks for; nothing chosen = everything. Days are whole, by this machine's clock."""

    predictor: str | None = None
    status: str | None = None
    text: str = ""
    first_day: date | None = None
    last_day: date | None = None
    everybody: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether everything is shown."""
        return replace(self, everybody=False) == Filters()

    def query(self, user: str, before: str = "", limit: int = CHUNK) -> RunQuery:
        """Return the query of all but the words."""
        return RunQuery(
            user=None if self.everybody else user,
            predictor=self.predictor,
            statuses=STATUSES.get(self.status or "", frozenset()),
            since=_midnight(self.first_day) if self.first_day else None,
            until=_midnight(self.last_day + timedelta(days=1)) if self.last_day else None,
            before=before,
            limit=limit,
        )


@dataclass(frozen=True)
class Found:
    """A page of runs. `next` is where the following page begins ("" = there is none).

    `looked_at` runs were read for words; `reached` is when the oldest of them was made, 0 when all were read.
    """

    runs: tuple[Run, ...]
    next: str = ""
    looked_at: int = 0
    reached: float = 0.0


def _midnight(day: date) -> float:
    return datetime.combine(day, time()).timestamp()


def find(read: Callable[[RunQuery], list[Run]], query: RunQuery, text: str, limit: int, most: int = MOST) -> Found:
    """Return the next `limit` runs of the query, newest first; with words, those of the next `most` that hold them."""
    words = text.casefold().split()
    if not words:
        runs = read(replace(query, limit=limit + 1))
        return Found(tuple(runs[:limit]), runs[limit - 1].id if len(runs) > limit else "")
    found: list[Run] = []
    before, looked_at, reached = query.before, 0, 0.0
    while looked_at < most:
        chunk = read(replace(query, before=before, limit=CHUNK))
        for run in chunk:
            before, looked_at, reached = run.id, looked_at + 1, run.created_at
            if holds(run, words):
                found.append(run)
                if len(found) == limit:
                    return Found(tuple(found), before, looked_at, reached)
        if len(chunk) < CHUNK:
            return Found(tuple(found), "", looked_at)
    return Found(tuple(found), before, looked_at, reached)


def holds(run: Run, words: list[str]) -> bool:
    """Whether every word is in the run's id, predictor, person, failure or inputs (those kept with the run)."""
    told = run.failure.message if run.failure else ""
    inputs = run.inputs if isinstance(run.inputs, Mapping) and "$payload" not in run.inputs else {}
    text = "\n".join((run.id, run.predictor, run.user, told, json.dumps(inputs, ensure_ascii=False))).casefold()
    return all(word in text for word in words)
