"""A run and its queue entry as people read them: status words, ages, durations, progress. Pure."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from statistics import median
from typing import Literal

from matinee.manifest import Release
from matinee.ports import RunQuery
from matinee.runs import Entry, Json, Run, Status
from matinee.ui import many_rows, session
from matinee.ui import text as ui_text
from matinee.ui.form_values import is_blob, is_table

Color = Literal["green", "red", "blue", "gray", "orange"]

_WORDS: dict[Status, tuple[str, Color, str]] = {
    Status.QUEUED: ("Waiting", "gray", ":material/hourglass_empty:"),
    Status.RUNNING: ("Running", "blue", ":material/autorenew:"),
    Status.SUCCEEDED: ("Done", "green", ":material/check:"),
    Status.FAILED: ("Failed", "red", ":material/error:"),
    Status.CANCELLED: ("Cancelled", "gray", ":material/block:"),
}


@dataclass(frozen=True)
class Row:
    """One run for people. `fraction` is None when nobody knows; `detail` is one short plain sentence or ""."""

    run_id: str
    predictor: str
    title: str
    status: str
    color: Color
    icon: str
    age: str
    duration: str
    summary: str
    fraction: float | None
    detail: str
    is_live: bool
    can_cancel: bool
    can_retry: bool


def row_of(
    run: Run,
    entry: Entry | None,
    now: float,
    *,
    position: int | None = None,
    note: str = "",
    starts_in_s: float | None = None,
) -> Row:
    """Return the row of a run as it is `now`.

    `position` counts the runs before it, `note` says why nothing starts, `starts_in_s` when it will, most likely.
    """
    status, color, icon = _status(run, entry)
    live = not run.status.is_final
    running = run.status is Status.RUNNING
    return Row(
        run_id=run.id,
        predictor=run.predictor,
        title=ui_text.humanize(run.predictor),
        status=status,
        color=color,
        icon=icon,
        age=ui_text.format_age(now - run.created_at),
        duration=_duration(run, now),
        summary=summary_of(run.inputs),
        fraction=entry.progress.fraction if entry and running else None,
        detail=_detail(run, entry, note) or _queue_words(run, position, starts_in_s),
        is_live=live,
        can_cancel=live and run.kind == "batch" and not _is_stopping(run, entry),
        can_retry=run.status in (Status.FAILED, Status.CANCELLED) and not many_rows.is_rows(run),
    )


def _is_stopping(run: Run, entry: Entry | None) -> bool:
    return run.cancel_requested or (entry is not None and entry.cancel_requested)


def _status(run: Run, entry: Entry | None) -> tuple[str, Color, str]:
    if not run.status.is_final and _is_stopping(run, entry):
        return "Stopping", "orange", ":material/hourglass_empty:"
    if run.status is Status.QUEUED and run.failures:
        return "Trying again", "orange", ":material/replay:"
    return _WORDS[run.status]


def _duration(run: Run, now: float) -> str:
    if run.duration_s is not None:
        return ui_text.format_duration(run.duration_s)
    if run.status is Status.RUNNING and run.started_at is not None:
        return ui_text.format_duration(max(0.0, now - run.started_at))
    return ""


def _detail(run: Run, entry: Entry | None, note: str) -> str:
    if run.status is Status.FAILED and run.failure:
        return run.failure.message
    if run.status is Status.RUNNING:
        return entry.progress.message if entry else ""
    if run.status is not Status.QUEUED:
        return ""
    if note:
        return note
    return f"Attempt {run.attempt} failed: {run.failure.message}" if run.failure else ""


def _queue_words(run: Run, position: int | None, starts_in_s: float | None) -> str:
    if position is None or run.status is not Status.QUEUED:
        return ""
    before = f"{position} run{'s' if position > 1 else ''} before it." if position else "Next to start."
    return before if starts_in_s is None else f"{before} {_start_words(starts_in_s)}"


def _start_words(seconds: float) -> str:
    if seconds < 5:
        return "It starts in a moment."
    rough = round(seconds, -1) or 5 if seconds < 60 else round(seconds / 60) * 60
    return f"It starts in about {ui_text.format_duration(rough).removesuffix(' 0 s').replace('.0 s', ' s')}."


def expected_start_s(position: int, durations: Sequence[float], workers: int) -> float | None:
    """Return in how many seconds the run with `position` runs before it starts, by what recent runs took.

    `workers` take the runs before it in rounds, and each is in the middle of one; None when nothing has run yet.
    """
    if not durations:
        return None
    return (position // max(1, workers) + 0.5) * median(durations)


def summary_of(inputs: Json, limit: int = 90) -> str:
    """Return the inputs in one short line: "female, swimming"; "" when they are kept elsewhere."""
    if not isinstance(inputs, Mapping) or "$payload" in inputs:
        return ""
    if rows_words := many_rows.rows_summary(inputs):
        return rows_words
    parts = [_brief(value) for value in inputs.values() if value not in (None, "", [], {})]
    line = " · ".join(part for part in parts if part)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _brief(value: Json) -> str:
    if is_blob(value):
        return str(value.get("name") or "file")
    if is_table(value):
        return f"table of {len(value['rows'])} rows"
    if isinstance(value, Mapping):
        return ", ".join(part for part in map(_brief, value.values()) if part)
    if isinstance(value, list):
        return f"{len(value)} values" if len(value) > 3 else ", ".join(map(_brief, value))
    return "yes" if value is True else "no" if value is False else str(value)


# --- searching the history --------------------------------------------------------------------------------------------
# History by what was asked for: filters become one query, words are looked for in a bounded number of runs. Pure.

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
    return datetime(day.year, day.month, day.day).timestamp()


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
    failure = run.failure.message if run.failure else ""
    inputs = run.inputs if isinstance(run.inputs, Mapping) and "$payload" not in run.inputs else {}
    text = "\n".join((run.id, run.predictor, run.user, failure, json.dumps(inputs, ensure_ascii=False))).casefold()
    return all(word in text for word in words)


# --- estimating when a run starts -------------------------------------------------------------------------------------
# When a waiting run will start, told from how long the last ones took.

RECENT = 20  # runs that say how long one takes
AGE_S = 30.0
SOON_S = 5.0


def starts_in_s(live: session.Live, release: Release) -> float | None:
    """Return in how many seconds the run will most likely start; None when nobody can say."""
    if live.position is None or live.note or live.run.status is not Status.QUEUED or live.run.attempt:
        return None
    predictor = release.predictor(live.run.predictor)
    workers = predictor.resources.max_workers if predictor else 1
    expected = expected_start_s(live.position, _durations(live.run.predictor), workers)
    is_next = live.position < workers
    if expected is not None and is_next and time.time() - live.run.created_at > max(SOON_S, 2 * expected):
        return None  # whatever runs now takes longer than the last ones did
    return expected


def _durations(predictor: str) -> list[float]:
    client = session.client()
    user = None if client.owner else client.user
    query = RunQuery(user, predictor, frozenset({Status.SUCCEEDED}), limit=RECENT)
    return session.poll.read(("durations", query), AGE_S, lambda: durations_of(client.runs(query)))


def durations_of(runs: list[Run]) -> list[float]:
    """Return what the runs took, in seconds."""
    return [run.duration_s for run in runs if run.duration_s is not None]
