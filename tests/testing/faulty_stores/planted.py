"""Stores with one fault each: SqliteStore, but for one promise of `ports.Store`."""

from __future__ import annotations

import time
from dataclasses import replace

from matinee.backends.local.store import SqliteStore
from matinee.runs import Entry, evolve

GAP_S = 0.05  # what stands between two steps that should be one


class NoCompareAndSwap(SqliteStore):
    """Writes whatever was read before."""

    def apply(self, *changes):
        return super().apply(*(self._as_if_current(change) for change in changes))

    def _as_if_current(self, change):
        run, before = self.run(change.before.id), change.entry_before
        entry = self.entry(run.predictor, run.id) if before else None
        return replace(
            change,
            before=evolve(change.before, rev=run.rev),
            entry_before=evolve(before, rev=entry.rev) if before and entry else before,
        )


class OneChangeAfterTheOther(SqliteStore):
    """Applies several changes in several transactions."""

    def apply(self, *changes):
        applied = [super(OneChangeAfterTheOther, self).apply(change) for change in changes]
        return all(applied)


class ClaimIgnoresTheLease(SqliteStore):
    """Offers what another worker holds."""

    def due(self, predictor, now, limit=1):
        return self.entries(predictor, limit)


class LeaseNeverExpires(SqliteStore):
    """Never offers the run of a worker that is gone."""

    def due(self, predictor, now, limit=1):
        return [entry for entry in super().due(predictor, now, limit) if not entry.is_leased]


class QueueFromAnIndex(SqliteStore):
    """Reads the queue one write late, as an index may be."""

    def __init__(self, path):
        super().__init__(path)
        self._late: dict[str, list[Entry]] = {}

    def submit(self, runs):
        for predictor in {run.predictor for run in runs}:
            self._late[predictor] = self.entries(predictor)
        return super().submit(runs)

    def apply(self, *changes):
        for change in changes:
            self._late[change.before.predictor] = self.entries(change.before.predictor)
        return super().apply(*changes)

    def due(self, predictor, now, limit=1):
        return [entry for entry in self._late.get(predictor, []) if entry.visible_at <= now][:limit]


class LostWakeUp(SqliteStore):
    """Submits without waking the pool."""

    def submit(self, runs):
        wakes = {run.predictor: self.pool(run.predictor).wake for run in runs}
        put = super().submit(runs)
        for predictor, wake in wakes.items():
            self._set_wake(predictor, wake)
        return put

    def _set_wake(self, predictor, wake):
        with self._database.write() as connection:
            connection.execute("UPDATE pools SET wake = ? WHERE predictor = ?", (wake, predictor))


class WakeAfterTheTransaction(SqliteStore):
    """Wakes the pool a moment after the entry can be seen."""

    def __init__(self, path):
        super().__init__(path)
        self._asleep: dict[str, int] = {}

    def submit(self, runs):
        self._asleep = {run.predictor: self.pool(run.predictor).wake for run in runs}
        put = super().submit(runs)
        time.sleep(GAP_S)
        self._asleep = {}
        return put

    def pool(self, predictor):
        pool = super().pool(predictor)
        return replace(pool, wake=self._asleep.get(predictor, pool.wake))


class WakeBeforeTheTransaction(LostWakeUp):
    """Wakes the pool for a change that is then refused."""

    def apply(self, *changes):
        for change in changes:
            if change.wake:
                predictor = change.before.predictor
                self._set_wake(predictor, self.pool(predictor).wake + 1)
        return super().apply(*(replace(change, wake=False) for change in changes))

    def submit(self, runs):
        return SqliteStore.submit(self, runs)


class RetryDoesNotWake(SqliteStore):
    """Gives a run back without waking the pool."""

    def apply(self, *changes):
        return super().apply(*(replace(change, wake=False) for change in changes))


class IdempotencyIgnored(SqliteStore):
    """Makes a new run of each key."""

    def submit(self, runs):
        put = super().submit([replace(run, idempotency_key="") for run in runs])
        return [replace(new, idempotency_key=run.idempotency_key) for new, run in zip(put, runs, strict=True)]


class HeartbeatOfAStaleAttempt(SqliteStore):
    """Lets a worker that lost its run renew another's lease."""

    def heartbeat(self, entry, *, visible_at, progress):
        current = self.entry(entry.predictor, entry.run_id)
        holder = current and evolve(entry, owner=current.owner, attempt=current.attempt)
        return super().heartbeat(holder, visible_at=visible_at, progress=progress) if holder else None


class SlotTakenTwice(SqliteStore):
    """Gives a taken slot to who asks last."""

    def take_slot(self, slot):
        for taken in self.pool(slot.predictor).slots:
            if taken.number == slot.number:
                self.free_slot(taken)
        return super().take_slot(slot)


class SlotFreedByAnybody(SqliteStore):
    """Frees a slot whoever holds it."""

    def free_slot(self, slot, *, wake=None):
        for taken in self.pool(slot.predictor).slots:
            if taken.number == slot.number:
                return super().free_slot(taken, wake=wake)
        return False


class SlotFreedInSpiteOfAWake(SqliteStore):
    """Lets a worker leave though something became due meanwhile."""

    def free_slot(self, slot, *, wake=None):
        return super().free_slot(slot)


class SlotRenewedBackwards(SqliteStore):
    """Writes the renewal that came last, not the latest."""

    def update_slot(self, slot):
        with self._database.write() as connection:
            sql = "UPDATE slots SET renewed_at = 0 WHERE predictor = ? AND number = ? AND token = ?"
            connection.execute(sql, (slot.predictor, slot.number, slot.token))
        return super().update_slot(slot)


class CountInTwoSteps(SqliteStore):
    """Reads a number, then writes the sum."""

    def state_increment(self, key, by):
        old = self.state_get(key)
        if isinstance(old, bool) or not isinstance(old, int | float | None):
            return super().state_increment(key, by)
        self.state_set(key, (old or 0) + by)
        return (old or 0) + by


class SwapWithoutCompare(SqliteStore):
    """Sets what it should have compared."""

    def swap_document(self, kind, key, old, new):
        self.put_document(kind, key, new)
        return True


class FirstComeFirstServed(SqliteStore):
    """Serves one person's thousand runs before another's first."""

    def due(self, predictor, now, limit=1):
        return sorted(super().due(predictor, now, 2000), key=lambda entry: entry.run_id)[:limit]


class DueByTheSubmittersClock(SqliteStore):
    """Makes a new run due at the time its submitter's clock showed."""

    def due(self, predictor, now, limit=1):
        found = super().due(predictor, now, limit)
        return [entry for entry in found if entry.attempt or self.run(entry.run_id).created_at <= now]


class FinishedRunKeepsItsEntry(SqliteStore):
    """Leaves the entry of a finished run in the queue."""

    def apply(self, *changes):
        kept = [
            replace(c, entry=c.entry or c.entry_before or self.entry(c.before.predictor, c.before.id)) for c in changes
        ]
        return super().apply(*(replace(c, entry_before=c.entry_before or c.entry) for c in kept))


class PageRepeatsItsLast(SqliteStore):
    """Lists the last run of a page again on the next."""

    def runs(self, query):
        return super().runs(replace(query, before=query.before and query.before + "0"))


FAULTY = [
    NoCompareAndSwap, OneChangeAfterTheOther, ClaimIgnoresTheLease, LeaseNeverExpires, QueueFromAnIndex, LostWakeUp,
    WakeAfterTheTransaction, WakeBeforeTheTransaction, RetryDoesNotWake, IdempotencyIgnored, HeartbeatOfAStaleAttempt,
    SlotTakenTwice, SlotFreedByAnybody, SlotFreedInSpiteOfAWake, SlotRenewedBackwards, CountInTwoSteps,
    SwapWithoutCompare, FirstComeFirstServed, DueByTheSubmittersClock, FinishedRunKeepsItsEntry, PageRepeatsItsLast,
]  # fmt: skip
