"""A run and its queue entry as people read them: status words, ages, durations, progress. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from matinee.runs import Entry, Json, Run, Status
from matinee.ui import rows, words
from matinee.ui.values import is_blob, is_table

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
        title=words.humanize(run.predictor),
        status=status,
        color=color,
        icon=icon,
        age=words.age(now - run.created_at),
        duration=_duration(run, now),
        summary=summary_of(run.inputs),
        fraction=entry.progress.fraction if entry and running else None,
        detail=_detail(run, entry, note) or _queue_words(run, position, starts_in_s),
        is_live=live,
        can_cancel=live and run.kind == "batch" and not _is_stopping(run, entry),
        can_retry=run.status in (Status.FAILED, Status.CANCELLED) and not rows.is_rows(run),
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
        return words.duration(run.duration_s)
    if run.status is Status.RUNNING and run.started_at is not None:
        return words.duration(max(0.0, now - run.started_at))
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
    return f"It starts in about {words.duration(rough).removesuffix(' 0 s').replace('.0 s', ' s')}."


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
    if given := rows.summary(inputs):
        return given
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
