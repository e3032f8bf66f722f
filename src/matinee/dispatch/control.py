"""What people do to runs: cancel. Each function takes the time and may be repeated."""

from __future__ import annotations

from matinee.errors import NotFoundError
from matinee.ports import Store
from matinee.retry import backoff_s
from matinee.runs import Run, request_cancel


def cancel(store: Store, run_id: str, now: float) -> Run:
    """Cancel a queued run at once, ask the worker of a running one; return the run as it is now.

    A finished run stays as it is. Raises NotFoundError for an unknown one.
    """
    while True:
        run = store.run(run_id)
        if run is None:
            raise NotFoundError(f"There is no run {run_id}.", hint="See `matinee runs list`.")
        if run.status.is_final or run.cancel_requested:
            return run
        change = request_cancel(run, store.entry(run.predictor, run.id), now=now)
        if store.apply(change):
            return change.recorded


def retry_delay(run: Run) -> float:
    """Return the seconds before the next try of a running run that now fails."""
    return backoff_s(run.failures + 1)
