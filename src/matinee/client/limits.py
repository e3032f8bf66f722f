"""How much one person may have in the queue: held for the UI and the API alike, wherever a run is submitted."""

from __future__ import annotations

from collections.abc import Sequence

from matinee.errors import RateError
from matinee.manifest import Release
from matinee.ports import RunQuery, Store
from matinee.project import Limits
from matinee.runs import Run, Status

_UNFINISHED = frozenset({Status.QUEUED, Status.RUNNING})


def limits_of(release: Release) -> Limits:
    """Return the limits of what is live; a release that says nothing has the defaults."""
    return Limits(**release.details.get("limits", {}))


def check_queue(store: Store, limits: Limits, runs: Sequence[Run]) -> None:
    """Raise RateError when these new runs of one user would be more than the queue takes from one person.

    What a run submits from inside (`parent`) is not counted against a person, nor is a submit repeated with its key.
    """
    mine = [run for run in runs if not run.parent]
    if not mine:
        return
    room = limits.queue_per_user - store.unfinished(mine[0].user)
    if len(mine) <= room or len(mine) - _repeated(store, mine, limits.queue_per_user) <= room:
        return
    most = limits.queue_per_user
    raise RateError(
        f"You may have {most} runs in the queue, and {'these' if len(mine) > 1 else 'this one'} would be more: "
        f"{max(0, room)} {'is' if room == 1 else 'are'} free.",
        hint="Wait until some have finished, or raise queue_per_user under [limits] in matinee.toml.",
        retry_after_s=5.0,
    )


def _repeated(store: Store, runs: Sequence[Run], limit: int) -> int:
    keys = {run.idempotency_key for run in runs} - {""}
    if not keys:
        return 0
    query = RunQuery(user=runs[0].user, predictor=runs[0].predictor, statuses=_UNFINISHED, limit=limit + 1)
    return sum(run.idempotency_key in keys for run in store.runs(query))
