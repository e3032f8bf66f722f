"""When a waiting run will start, told from how long the last ones took."""

from __future__ import annotations

import time

from matinee.manifest import Release
from matinee.ports import RunQuery
from matinee.runs import Run, Status
from matinee.ui import session
from matinee.ui.history import expected_start_s

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
