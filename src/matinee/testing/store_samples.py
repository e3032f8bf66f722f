"""Runs, slots and claims that the store's contract and other tests begin with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from matinee.ports import Store
from matinee.queue.claims import Claim, ClaimBatch
from matinee.runs import Entry, Run, Slot, Status, claim, new_run_id

NOW = 1_800_000_000.0


def a_run(user: str = "ana", predictor: str = "plan", **changes: Any) -> Run:
    """Return a queued run that no store knows."""
    run = Run(new_run_id(), predictor, "batch", user, Status.QUEUED, {"n": 1, "text": "ä\ud83d"}, created_at=NOW)
    return replace(run, **changes)


def a_slot(number: int = 0, holder: str = "token-0", predictor: str = "plan") -> Slot:
    """Return a slot to take."""
    return Slot(predictor, number, holder, version="hash", taken_at=NOW)


def the_entry(store: Store, run: Run) -> Entry:
    """Return the queue entry of an unfinished run."""
    entry = store.entry(run.predictor, run.id)
    assert entry is not None
    return entry


def claimed(store: Store, run: Run, owner: str = "token-0", now: float = NOW) -> tuple[Run, Entry]:
    """Claim this run, whatever stands before it."""
    current = store.run(run.id)
    assert current is not None
    change = claim(current, the_entry(store, run), owner=owner, version="v1", now=now)
    assert store.apply(change)
    assert change.kept is not None
    return change.recorded, change.kept


def claim_next(
    store: Store, owner: str = "token-0", now: float = NOW, *, predictor: str = "plan", version: str = "v1"
) -> Claim | None:
    """Claim the first due run in fair order, as an idle worker does; None when nothing is due."""
    batch = ClaimBatch(store, predictor, owner=owner, version=version)
    batch.settle(claims=True, busy=False, now=now)
    return batch.next()
