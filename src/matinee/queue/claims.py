"""What the holder of a slot does: claim, finish, and leave without losing a wake-up.

    while renew_slot(slot):
        ClaimBatch.settle → work, heartbeat → ClaimBatch.put or finish (release_claim on SIGTERM) → …
        leave_unless_due

A worker whose slot is gone (`renew_slot` says False) ends. Each function may be repeated after a BackendError: what was
recorded although its answer was lost is recognised.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from matinee.runs import (
    Change,
    Entry,
    Run,
    Slot,
    Status,
    cancelled,
    claim,
    discard,
    evolve,
    lose,
    release,
    run_of_entry,
)

if TYPE_CHECKING:  # a worker must start fast
    from matinee.ports import Store

LOOK = 8  # due entries looked at together: workers that collide on the first take the next
AHEAD_S = 0.02  # so much work is claimed at once
MOST_AHEAD = 32
MEAN_WEIGHT = 0.2  # of the last run in the mean
# A transaction of DynamoDB writes at most 100 items: the end of a run is two of them, a first claim is three.
ITEMS_MAX, ITEMS_OF_END, ITEMS_OF_CLAIM = 100, 2, 3

Transition = Callable[[Run, Entry | None], Change]
Claim = tuple[Run, Entry]


class End(NamedTuple):
    """How a claimed run ended, not yet recorded."""

    run: Run
    entry: Entry
    transition: Transition


class ClaimBatch:
    """The claims of one worker: what it holds and has not begun, and the ends that it has not recorded.

    A durable commit costs as much as several very short runs. So while runs take a few milliseconds, as many as fit
    into AHEAD_S are claimed at once, and while the worker is on the last of them the ends of all are recorded and the
    next ones claimed, in one transaction. A longer run is claimed alone. What is `ahead` of a run that takes long goes
    back to the queue by `return_ahead`, without spending a retry.
    """

    def __init__(self, store: Store, predictor: str, *, owner: str, version: str, mean_s: float = AHEAD_S) -> None:
        self.ahead: deque[Claim] = deque()
        self.ends: list[End] = []
        self.unanswered: list[Change] = []  # claims of a transaction of which no answer came
        self.mean_s = mean_s  # how long a run takes
        self._store = store
        self._predictor = predictor
        self._owner = owner
        self._version = version

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self.ahead or self.ends or self.unanswered)

    def next(self) -> Claim | None:
        """Return the run to be begun now, the one claimed first of those ahead; None when there is none."""
        return self.ahead.popleft() if self.ahead else None

    def put(self, end: End, took_s: float) -> None:
        """Hold how a run ended until `settle`."""
        self.ends.append(end)
        self.mean_s += MEAN_WEIGHT * (took_s - self.mean_s)

    def settle(self, *, claims: bool, busy: bool, now: float) -> None:
        """Record all that ended and, with `claims`, claim what is due next, in fair order.

        `busy`: a run is being worked on, so only runs that are short enough to wait for it are claimed.
        """
        self._take_up_unanswered()
        many = self._claims_to_make(busy=busy) if claims else 0
        due = self._store.due(self._predictor, now, many) if many else []
        new = self._claimable(due, now)
        if ITEMS_OF_END * len(self.ends) + ITEMS_OF_CLAIM * len(new) > ITEMS_MAX:
            self._record_ends([])
        self._record_ends(new)
        if due and not self.ahead:
            self._claim_first(now)

    def return_ahead(self, now: float) -> None:
        """Record all that ended and release what was claimed ahead."""
        self.settle(claims=False, busy=True, now=now)
        while self.ahead:
            release_claim(self._store, self.ahead[0][0], now=now)
            self.ahead.popleft()

    def _take_up_unanswered(self) -> None:
        """Hold the runs that a transaction has claimed although its answer was lost: nobody else would work on them."""
        while self.unanswered:
            claimed = self.unanswered[0].recorded
            run = self._store.run(claimed.id)
            entry = self._store.entry(claimed.predictor, claimed.id)
            if run is not None and entry is not None and _is_same_attempt(run, claimed) and _fits(run, entry):
                self.ahead.append((run, entry))
            del self.unanswered[0]

    def _claims_to_make(self, *, busy: bool) -> int:
        """Return how many claims are to be made now: none while some are ahead."""
        if self.ahead:
            return 0
        many = min(MOST_AHEAD, int(AHEAD_S / max(self.mean_s, 1e-4)))
        return many if many > 1 else int(not busy)

    def _claimable(self, due: list[Entry], now: float) -> list[Change]:
        """Return the claims of the first due entries, up to one that `_claim_first` knows what to do with."""
        new: list[Change] = []
        for entry in due:
            run = self._store.run(entry.run_id)
            if run is None or entry.is_leased or run.cancel_requested or not _fits(run, entry):
                break
            new.append(self._claim(run, entry, now))
        return new

    def _record_ends(self, new: list[Change]) -> None:
        """Record all ends and the new claims in one transaction; one by one, without claims, if something has moved."""
        ends = [end.transition(end.run, end.entry) for end in self.ends]
        if not (ends or new) or self._apply([*ends, *new]):
            self.ends.clear()
        while self.ends:
            finish(self._store, self.ends[0].run, self.ends[0].transition)
            del self.ends[0]

    def _claim_first(self, now: float) -> None:
        """Claim the first due run in fair order, if there is one.

        On the way, expired leases are lost (their runs queued again, or failed after MAX_LOSSES), queued runs whose
        cancel was requested are cancelled, and an entry that does not fit its run leaves the queue.
        """
        unfit: set[tuple[str, int]] = set()
        while entries := self._store.due(self._predictor, now, LOOK):
            for entry in entries:
                run = self._store.run(entry.run_id)
                if run is not None and _fits(run, entry):
                    change = self._next_change(run, entry, now)
                elif (entry.run_id, entry.rev) not in unfit:
                    unfit.add((entry.run_id, entry.rev))  # it has moved since we looked, or the next look finds it so
                    continue
                elif run is None:
                    self._store.record(run_of_entry(entry, now=now))
                    continue
                else:
                    change = discard(run, entry, now=now)
                if self._apply([change]) and change.is_claim:
                    return
                if not change.is_claim:
                    break  # it changed the order: look again

    def _next_change(self, run: Run, entry: Entry, now: float) -> Change:
        if entry.is_leased:
            return lose(run, entry, now=now)
        if run.cancel_requested:
            return cancelled(run, now=now)
        return self._claim(run, entry, now)

    def _claim(self, run: Run, entry: Entry, now: float) -> Change:
        return claim(run, entry, owner=self._owner, version=self._version, now=now)

    def _apply(self, changes: list[Change]) -> bool:
        """Apply the changes and hold the runs that they claim; remember these until an answer has come."""
        self.unanswered = [change for change in changes if change.is_claim]
        applied = self._store.apply(*changes)
        if applied:
            self.ahead.extend(
                (change.recorded, change.recorded_entry) for change in self.unanswered if change.recorded_entry
            )
        self.unanswered = []
        return applied


def _fits(run: Run, entry: Entry) -> bool:
    """Whether the queue entry is the run's as it is: what they say was read at two moments."""
    expected = Status.RUNNING if entry.is_leased else Status.QUEUED
    return run.status is expected and run.attempt == entry.attempt


def _is_same_attempt(current: Run, run: Run) -> bool:
    return (current.owner, current.attempt, current.losses) == (run.owner, run.attempt, run.losses)


def finish(store: Store, run: Run, transition: Transition) -> Run | None:
    """Record the end of the attempt `run` (as claimed); return the run as it stands, None if the attempt was lost.

    `transition(run, entry)` makes the change from the run's present state: `lambda run, entry: succeed(run, …)`.
    """
    current: Run | None = run
    while current is not None and _is_same_attempt(current, run):
        if current.status is not Status.RUNNING:
            return current  # nobody else ends an attempt without counting a loss: our answer was lost, not our change
        change = transition(current, store.entry(run.predictor, run.id))
        if store.apply(change):
            return change.recorded
        current = store.run(run.id)
    return None


def release_claim(store: Store, run: Run, *, now: float) -> Run | None:
    """Queue a claimed run again without spending a retry (SIGTERM, Spot, deploy). Poke the dispatcher afterwards."""

    def released(current: Run, entry: Entry | None) -> Change:
        return cancelled(current, now=now) if entry is None else release(current, entry, now=now)

    return finish(store, run, released)


# --- the worker's slot ------------------------------------------------------------------------------------------


def renew_slot(store: Store, slot: Slot, *, now: float) -> bool:
    """Say that the slot's worker lives; False if the slot is no longer its: end."""
    return store.update_slot(evolve(slot, renewed_at=now))


@dataclass(frozen=True)
class Leave:
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
class ClaimAgain:
    """Something is due."""


def leave_unless_due(store: Store, slot: Slot, now: float, *, linger_s: float = 5.0) -> Leave | WaitUntil | ClaimAgain:
    """Free the slot if nothing is due, unless something became due while we looked.

    `wake` is read before the queue is looked at, and grows with every entry that becomes due: if it is unchanged when
    the slot is freed, nothing was missed; if something comes later, its dispatcher finds the slot free.
    """
    wake = store.pool(slot.predictor).wake
    if store.due(slot.predictor, now):
        return ClaimAgain()
    next_due_at = store.next_due_at(slot.predictor, now)
    if next_due_at is not None and next_due_at - now <= linger_s:
        return WaitUntil(next_due_at)
    if store.free_slot(slot, wake=wake):
        return Leave(next_due_at)
    still_ours = any(taken.token == slot.token for taken in store.pool(slot.predictor).slots)
    return ClaimAgain() if still_ours else Leave(next_due_at)
