"""What the holder of a slot does: claim, keep, finish, and leave without losing a wake-up.

    while renew(slot): claim_next → work, heartbeat → finish (or give_back on SIGTERM) → … → leave

A worker whose slot is gone (`renew` says False) ends. Each function may be repeated after an ambiguous answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matinee.runs import LEASE_S, Change, Entry, Progress, Run, Slot, Status, cancelled, claim, evolve, lose, release

if TYPE_CHECKING:  # a worker must start fast
    from matinee.ports import Store

LOOK = 8  # due entries looked at together: workers that collide on the first take the next
Transition = Callable[[Run, Entry | None], Change]


@dataclass(frozen=True)
class Left:
    """The slot is free (or was taken away): end.

    `next_due_at` is when a back-off or lease runs out, if any does: the dispatcher must hear of it, by a poke or by the
    news that this worker has ended.
    """

    next_due_at: float | None = None


@dataclass(frozen=True)
class WaitUntil:
    """Nothing is due, but soon: keep the slot and the loaded model until `at` (epoch seconds).

    Look for other work meanwhile: the dispatcher counts on whoever holds a slot.
    """

    at: float


@dataclass(frozen=True)
class Work:
    """Something is due: claim again."""


def claim_next(
    store: Store, predictor: str, *, owner: str, version: str, now: float, lease_s: float = LEASE_S
) -> tuple[Run, Entry] | None:
    """Claim the first due run in fair order for the slot token `owner`; None when nothing is due.

    On the way, expired leases are lost (their runs queued again, or failed after MAX_LOSSES) and queued runs whose
    cancel was requested are cancelled.
    """
    while entries := store.due(predictor, now, LOOK):
        for entry in entries:
            run = store.run(entry.run_id)
            if run is None or not _belongs(run, entry):
                continue  # moved since we looked: the next look tells
            change = _next_change(run, entry, owner=owner, version=version, now=now, lease_s=lease_s)
            if store.apply(change) and change.is_claim and change.kept:
                return change.recorded, change.kept
            if not change.is_claim:
                break  # it changed the order: look again
    return None


def _belongs(run: Run, entry: Entry) -> bool:
    expected = Status.RUNNING if entry.is_leased else Status.QUEUED
    return run.status is expected and run.attempt == entry.attempt


def _next_change(run: Run, entry: Entry, *, owner: str, version: str, now: float, lease_s: float) -> Change:
    if entry.is_leased:
        return lose(run, entry, now=now)
    if run.cancel_requested:
        return cancelled(run, now=now)
    return claim(run, entry, owner=owner, version=version, now=now, lease_s=lease_s)


def finish(store: Store, run: Run, transition: Transition) -> Run | None:
    """Record the end of the attempt `run` (as claimed); return the run as it stands, None if the attempt was lost.

    `transition(run, entry)` makes the change from the run's present state: `lambda run, entry: succeed(run, …)`. May be
    called again after a BackendError: what was recorded before is recognised.
    """
    current: Run | None = run
    while current is not None and _is_ours(current, run):
        if current.status is not Status.RUNNING:
            return current  # nobody else ends an attempt without counting a loss: our answer was lost, not our change
        change = transition(current, store.entry(run.predictor, run.id))
        if store.apply(change):
            return change.recorded
        current = store.run(run.id)
    return None


def _is_ours(current: Run, run: Run) -> bool:
    return (current.owner, current.attempt, current.losses) == (run.owner, run.attempt, run.losses)


def finish_and_claim(
    store: Store, run: Run, transition: Transition, *, version: str, now: float, lease_s: float = LEASE_S
) -> tuple[Run | None, tuple[Run, Entry] | None]:
    """Do `finish` and `claim_next` in one transaction when the next run is simply there, in two when not."""
    for entry in store.due(run.predictor, now):
        queued = store.run(entry.run_id)
        if queued is None or entry.is_leased or queued.cancel_requested or not _belongs(queued, entry):
            break
        done = transition(run, store.entry(run.predictor, run.id))
        taken = claim(queued, entry, owner=run.owner, version=version, now=now, lease_s=lease_s)
        if store.apply(done, taken) and taken.kept:
            return done.recorded, (taken.recorded, taken.kept)
    recorded = finish(store, run, transition)
    return recorded, claim_next(store, run.predictor, owner=run.owner, version=version, now=now, lease_s=lease_s)


def give_back(store: Store, run: Run, *, now: float) -> Run | None:
    """Release the lease without spending a retry (SIGTERM, Spot, deploy). Poke the dispatcher afterwards."""

    def released(current: Run, entry: Entry | None) -> Change:
        return cancelled(current, now=now) if entry is None else release(current, entry, now=now)

    return finish(store, run, released)


def renew(store: Store, slot: Slot, *, now: float) -> bool:
    """Say that the slot's worker lives; False if the slot is no longer its: end."""
    return store.update_slot(evolve(slot, renewed_at=now))


def heartbeat(
    store: Store, slot: Slot, entry: Entry, *, progress: Progress, now: float, lease_s: float = LEASE_S
) -> Entry | None:
    """Renew slot and lease, every third of `lease_s`; None if either is lost: stop the work, its result is nobody's.

    Look at `cancel_requested` of what returns.
    """
    if not renew(store, slot, now=now):
        return None
    return store.heartbeat(entry, visible_at=now + lease_s, progress=progress)


def leave(store: Store, slot: Slot, now: float, *, linger_s: float = 5.0) -> Left | WaitUntil | Work:
    """Give the slot up if nothing is due, unless something became due while we looked.

    `wake` is read before the queue is looked at, and grows with every entry that becomes due: if it is unchanged when
    the slot is freed, nothing was missed; if something comes later, its dispatcher finds the slot free.
    """
    wake = store.pool(slot.predictor).wake
    if store.due(slot.predictor, now):
        return Work()
    next_due_at = store.next_due_at(slot.predictor, now)
    if next_due_at is not None and next_due_at - now <= linger_s:
        return WaitUntil(next_due_at)
    if store.free_slot(slot, wake=wake):
        return Left(next_due_at)
    still_ours = any(taken.token == slot.token for taken in store.pool(slot.predictor).slots)
    return Work() if still_ours else Left(next_due_at)


def resign(store: Store, slot: Slot) -> None:
    """Give the slot up whatever is due (a newer release is live, SIGTERM). Poke the dispatcher afterwards."""
    store.free_slot(slot)
