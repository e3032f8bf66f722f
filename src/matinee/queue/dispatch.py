"""The one place that starts workers: look at queue and slots, launch what is missing, free what is dead. And `cancel`.

`dispatch` is idempotent and may run anywhere, any number at once, and be cut off after any step:

    relaunch          a slot without handle: its dispatcher died between take and launch, or had no answer; the token
                      makes it the same launch
    free_dead_slots   slots whose worker the launcher says has ended are freed; one that never began
                      counts against a run
    reclaim           leases whose owner holds no slot are lost
    launch            while occupied slots < min(max_workers, due and leased entries): take a slot, then launch

The queue is always read before the slots. Read the other way, a worker that took slot and lease in between would look
like an owner without a slot.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from matinee.errors import MatineeError, NotFoundError, UnansweredError
from matinee.ports import Launcher, Store
from matinee.retry import backoff_s
from matinee.runs import Entry, Pool, Run, Slot, Status, end_back_off, evolve, lose, request_cancel

LOOK = 8  # due entries looked at beyond those needed: some are leased, some have moved
BACK_OFFS_LOOKED_AT = 100
LAUNCH_RETRY_S = 5.0  # when to try again after a launch failed, or a worker ended before it had renewed its slot


@dataclass(frozen=True)
class DispatchResult:
    """What one dispatch did. `next_due_at` (epoch seconds): dispatch again then; None = when something happens."""

    launched: tuple[Slot, ...] = ()
    next_due_at: float | None = None
    note: str = ""  # why nothing could start


def new_token() -> str:
    """Return an unguessable slot token, short enough for an AWS client token (64 characters)."""
    return os.urandom(16).hex()


def dispatch(
    store: Store,
    launcher: Launcher,
    predictor: str,
    *,
    max_workers: int,
    version: str,
    now: float,
    token: Callable[[], str] = new_token,
) -> DispatchResult:
    """Bring the predictor's workers to what its queue needs; never raises because a launch failed."""
    note = relaunch(store, launcher, predictor)
    note = free_dead_slots(store, launcher, predictor, now) or note
    reclaim(store, predictor, now)
    launched: list[Slot] = []
    while not note and len(launched) < max_workers:  # or workers that leave at once would be launched for ever
        slot = missing_slot(store, predictor, max_workers=max_workers, version=version, now=now, token=token)
        if slot is None:
            break
        if store.take_slot(slot):
            note = launch(store, launcher, slot)
            launched += [] if note else [slot]
    if store.pool(predictor).note != note:
        store.note(predictor, note)
    return DispatchResult(tuple(launched), _again_at(store.next_due_at(predictor, now), note, now), note)


def _again_at(next_due_at: float | None, note: str, now: float) -> float | None:
    if not note:
        return next_due_at
    return min(now + LAUNCH_RETRY_S, next_due_at or now + LAUNCH_RETRY_S)


def relaunch(store: Store, launcher: Launcher, predictor: str) -> str:
    """Launch again, with the same token, the slots that have no handle; return why one could not be."""
    first_note = ""
    for slot in store.pool(predictor).slots:
        if not slot.handle:
            note = launch(store, launcher, slot)
            first_note = first_note or note
    return first_note


def launch(store: Store, launcher: Launcher, slot: Slot) -> str:
    """Launch a taken slot and write its handle; on failure free it, so that the run stays queued, and return why.

    Where a worker may have started although no answer came, the slot is kept as it is: free, it would be filled by a
    second worker while the first one lives. The next dispatch asks again with the same token.
    """
    try:
        handle = launcher.launch(slot)
    except UnansweredError as error:
        return str(error)
    except MatineeError as error:
        store.free_slot(slot)
        return str(error)
    store.update_slot(evolve(slot, handle=handle))  # False if its worker was so quick as to have left already
    return ""


def free_dead_slots(store: Store, launcher: Launcher, predictor: str, now: float) -> str:
    """Free the slots whose worker has ended; return why, if one ended before it had renewed its slot even once.

    Only the launcher's word counts, never time: a start may be slow. Workers that cannot start must not be started in
    a tight circle, so a note holds launches back until LAUNCH_RETRY_S have passed.
    """
    note = ""
    failed: list[str] = []
    launched = [slot for slot in store.pool(predictor).slots if slot.handle]
    statuses = launcher.status(launched) if launched else {}
    for slot in launched:
        status = statuses.get(slot.token)
        if status is not None and status.ended and store.free_slot(slot) and not slot.renewed_at:
            reason = status.reason.rstrip(".") or "no reason is known"
            note = f"A worker ended before it could start: {reason}."
            failed += [] if status.passes else [reason]
    if failed:
        count_failed_starts(store, predictor, failed, now)
    return note


def count_failed_starts(store: Store, predictor: str, reasons: list[str], now: float) -> None:
    """Count each worker that never began against one of the runs that are due, so that none waits for it for ever."""
    left = list(reasons)
    for entry in store.due(predictor, now, len(reasons) + LOOK):
        run = None if entry.is_leased or not left else store.run(entry.run_id)
        if run is not None and run.status is Status.QUEUED and run.attempt == entry.attempt:
            store.apply(lose(run, entry, now=now, unstarted=left.pop(0)))  # one that has moved on needs no count


def reclaim(store: Store, predictor: str, now: float) -> None:
    """Lose the leases whose owner holds no slot: its worker is dead, or was asked to end."""
    leased = store.leased(predictor)
    holders = {slot.token for slot in store.pool(predictor).slots}
    for entry in leased:
        if entry.owner not in holders:
            lose_lease(store, entry, now)


def end_overlong_back_offs(store: Store, predictor: str, now: float, *, skew_s: float) -> None:
    """Make due what waits longer than its back-off lasts: the clock was set back after the attempt had failed.

    A backstop: it matters only while nothing else is due. `skew_s`: by how much two clocks may differ.
    """
    if store.due(predictor, now):
        return
    for entry in store.entries(predictor, BACK_OFFS_LOOKED_AT):
        if entry.is_leased or entry.visible_at <= now + skew_s:
            continue
        run = store.run(entry.run_id)
        is_waiting = run is not None and run.status is Status.QUEUED and run.attempt == entry.attempt
        if run is not None and is_waiting and entry.visible_at > now + skew_s + backoff_s(run.failures):
            store.apply(end_back_off(run, entry, now=now))


def lose_lease(store: Store, leased: Entry, now: float) -> None:
    """Take the run from the owner and attempt that `leased` names, unless it has moved on."""
    entry: Entry | None = leased
    while entry is not None and (entry.owner, entry.attempt) == (leased.owner, leased.attempt):
        run = store.run(leased.run_id)
        if run is None or run.status is not Status.RUNNING or run.attempt != leased.attempt:
            return
        if store.apply(lose(run, entry, now=now)):
            return
        entry = store.entry(leased.predictor, leased.run_id)


def missing_slot(
    store: Store, predictor: str, *, max_workers: int, version: str, now: float, token: Callable[[], str]
) -> Slot | None:
    """Return the slot to take next, None if the workers there are suffice."""
    due = store.due(predictor, now, max(1, max_workers))
    leased = store.leased(predictor)
    pool = store.pool(predictor)
    if len(pool.slots) >= min(max_workers, _workers_needed(due, leased, pool)):
        return None
    taken = {slot.number for slot in pool.slots}
    number = next((n for n in range(max_workers) if n not in taken), None)
    return None if number is None else Slot(predictor, number, token(), version, taken_at=now)


def _workers_needed(due: list[Entry], leased: list[Entry], pool: Pool) -> int:
    """Count the runs that want a worker now, and the workers that do nothing for them: those whose lease expired."""
    run_ids = {entry.run_id for entry in due} | {entry.run_id for entry in leased}
    holders = {slot.token for slot in pool.slots}
    stuck = sum(entry.is_leased and entry.owner in holders for entry in due)
    return len(run_ids) + stuck


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
