"""Runs, their queue entries and the worker pool as frozen values, and every legal transition as a pure function.

A transition returns a `Change`: what was read, what it becomes, and whether it wakes the pool. A store applies a
change whole or not at all (`Store.apply`); it knows nothing of legality. States:

    queued → running → succeeded | failed | cancelled
    running → queued          on retry, released lease or lost worker

Times are seconds since the epoch (float) and are always passed in, so that a test can hold the clock.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import Any, Literal, TypeVar

from matinee.dataclass_json import EPOCH, INTERNAL
from matinee.errors import ConflictError

Json = Any  # None | bool | int | float | str | list[Json] | dict[str, Json]
Kind = Literal["realtime", "batch"]
Scale = Literal["thumbs", "stars"]

LEASE_S = 60.0  # a lease not renewed for this long is lost; renewed at a third of it
MAX_LOSSES = 3  # lost workers before a run is given up: a run that kills its worker must not do so for ever
RATINGS: dict[str, tuple[int, ...]] = {"thumbs": (-1, 1), "stars": (1, 2, 3, 4, 5)}
FAILURE_KINDS = ("exception", "invalid_input", "invalid_result", "timeout", "out_of_memory", "crash", "start", "lost")


class Status(StrEnum):
    """Where a run is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing can change any more."""
        return self in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True)
class Failure:
    """Why an attempt failed, in plain words."""

    kind: str = field(metadata={"enum": list(FAILURE_KINDS)})
    message: str
    hint: str = ""
    traceback: str = field(default="", metadata={"description": "For the owner; empty for others."})


@dataclass(frozen=True)
class Progress:
    """How far a run is: `fraction` in 0…1 or None when unknown."""

    fraction: float | None = None
    message: str = ""


@dataclass(frozen=True)
class Run:
    """One execution of a predictor. `inputs` and `result` are JSON values or references into Files (`payloads`).

    Its rows and items in the stores, what the API answers and what its document says are made from these fields. A new
    one has a default; one that is not for callers is INTERNAL.
    """

    id: str
    predictor: str
    kind: Kind
    user: str
    status: Status
    inputs: Json = field(metadata=INTERNAL)
    created_at: float = field(metadata=EPOCH)
    version: str = ""  # of the component that executed it last, as people say it: "v7"
    parent: str = field(default="", metadata=INTERNAL)  # the run that called this one; such runs stay out of History
    idempotency_key: str = field(default="", metadata=INTERNAL)
    attempt: int = 0  # the fencing token: only grows
    failures: int = field(default=0, metadata=INTERNAL)  # attempts that failed by the predictor's fault
    losses: int = field(default=0, metadata=INTERNAL)  # attempts whose worker was lost; at most MAX_LOSSES
    owner: str = field(default="", metadata=INTERNAL)  # token of the slot whose worker runs it, or ran it last
    started_at: float | None = field(default=None, metadata=EPOCH)  # of the last attempt
    finished_at: float | None = field(default=None, metadata=EPOCH)
    result: Json = field(default=None, metadata=INTERNAL)
    failure: Failure | None = None
    cancel_requested: bool = False
    warning: str = field(
        default="", metadata={"description": "What went wrong beside the prediction, as in: it was not recorded."}
    )
    cold_start: bool = field(default=False, metadata=INTERNAL)
    rev: int = field(default=0, metadata=INTERNAL)  # grows with every write; compare-and-swap is on it

    @property
    def duration_s(self) -> float | None:
        """Seconds the last attempt took, once finished."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at


@dataclass(frozen=True)
class Entry:
    """A run's small place in the queue of its predictor: what claim and heartbeat touch.

    Fair order is (`fair_share_rank`, `run_id`): see `next_fair_share_rank`. It is due when `visible_at` has passed: at
    once (0, whatever the clock), after a back-off, or when the lease has expired.
    """

    predictor: str
    run_id: str
    user: str
    fair_share_rank: int
    visible_at: float
    owner: str = ""  # "" = not leased
    attempt: int = 0
    progress: Progress = field(default_factory=Progress)
    cancel_requested: bool = False
    rev: int = 0

    @property
    def is_leased(self) -> bool:
        """Whether a worker holds it (its lease may have expired)."""
        return self.owner != ""


@dataclass(frozen=True)
class Slot:
    """One of a pool's `max_workers` places, while taken. No `handle` yet: being launched, or its launcher died."""

    predictor: str
    number: int
    token: str
    version: str  # the component hash it was launched for
    taken_at: float
    handle: str = ""
    renewed_at: float = 0.0  # 0 = its worker has not reported yet


@dataclass(frozen=True)
class Pool:
    """The workers of one batch predictor. `wake` grows when an entry becomes due; `note` says why nothing starts."""

    predictor: str
    wake: int = 0
    fair_share_rank: int = 0  # of the entry claimed last: where newcomers join the round
    note: str = ""
    slots: tuple[Slot, ...] = ()


@dataclass(frozen=True)
class Feedback:
    """What one person says of one run. `corrected` has the result's own shape.

    `rating` is on `scale`: 1 (👍) or -1 (👎) of "thumbs", 1 to 5 of "stars"; None = not rated.
    """

    run_id: str
    user: str
    rating: int | None
    comment: str = ""
    corrected: Json = None
    updated_at: float = field(default=0.0, metadata=EPOCH)
    scale: Scale = "thumbs"

    @property
    def score(self) -> float | None:
        """The rating between 0 (worst) and 1 (best), whatever its scale; None = not rated."""
        if self.rating is None:
            return None
        worst, best = min(RATINGS[self.scale]), max(RATINGS[self.scale])
        return (self.rating - worst) / (best - worst)


class Unchanged(Enum):
    """The default of a field that a caller did not name: what is known of it stays."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED


def merge_feedback(known: Feedback | None, run_id: str, user: str, changes: Mapping[str, Json]) -> Feedback:
    """Return what somebody says of a run after they have said `changes`: other fields are as they were."""
    return replace(known or Feedback(run_id, user, rating=None), **changes)


_V = TypeVar("_V", Run, Entry, Slot)


def evolve(value: _V, **changes: Any) -> _V:
    """Return a copy with changes, as `dataclasses.replace` does in ten times the time: a claim makes six copies."""
    copy = object.__new__(type(value))
    copy.__dict__.update(value.__dict__, **changes)
    return copy


@dataclass(frozen=True)
class Change:
    """One transition, applied only if the run's `rev` is `before.rev` and, if given, the entry's `entry_before.rev`.

    `entry` is the queue entry afterwards, None to remove it. The store sets `after.rev = before.rev + 1`, for the entry
    likewise. `fair_share_rank` moves the pool's own forward to the entry that is being served.
    """

    before: Run
    after: Run
    entry_before: Entry | None
    entry: Entry | None
    wake: bool = False
    fair_share_rank: int = 0

    @property
    def recorded(self) -> Run:
        """The run as the store holds it once the change is applied."""
        return evolve(self.after, rev=self.before.rev + 1)

    @property
    def recorded_entry(self) -> Entry | None:
        """The queue entry as the store holds it once the change is applied."""
        if self.entry is None or self.entry_before is None:
            return self.entry
        return evolve(self.entry, rev=self.entry_before.rev + 1)

    @property
    def is_claim(self) -> bool:
        """Whether it gives a run to a worker: it need not outlive a power failure, as no worker does."""
        return self.before.status is Status.QUEUED and self.after.status is Status.RUNNING


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base 32: sorts as its value does
_last_ms = 0
_sequence = 0


def inputs_key(predictor: str, run_id: str) -> str:
    """Return what the names of a run's input files begin with: by predictor, so that a role can read its own alone."""
    return f"inputs/{predictor}/{run_id}"


def run_of_key(key: str) -> str:
    """Return the run that a file of inputs or results belongs to; before, the names of inputs had no predictor."""
    top, _, rest = key.partition("/")
    first, _, second = rest.partition("/")
    is_by_predictor = top == "inputs" and first.isidentifier() and second
    return (second.partition("/")[0] if is_by_predictor else first).partition(".")[0]


def new_run_id(now: float | None = None) -> str:
    """Return 26 characters that sort by time (48 bits of ms, 16 of sequence) and cannot be guessed (66 random bits)."""
    global _last_ms, _sequence
    ms = int((time.time() if now is None else now) * 1000)
    _sequence = _sequence + 1 if ms == _last_ms else 0
    _last_ms = ms
    return _spelled((ms << 82) | ((_sequence & 0xFFFF) << 66) | (int.from_bytes(os.urandom(9)) & ((1 << 66) - 1)))


def first_run_id(at: float) -> str:
    """Return the smallest id that a run made at this time or later can have: what was made before sorts before it."""
    return _spelled(min(max(0, math.ceil(at * 1000)), (1 << 48) - 1) << 82)


def _spelled(value: int) -> str:
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))


def next_fair_share_rank(pool_rank: int, users_last_rank: int) -> int:
    """Return the rank of a user's next entry: start-time fair queueing.

    Each user's entries take consecutive ranks; a newcomer joins at the rank being served, so 1,000 runs of one person
    never stand before another's first.
    """
    return max(pool_rank, users_last_rank) + 1


# --- state transitions ------------------------------------------------------------------------------------------


def _require(run: Run, *allowed: Status) -> None:
    if run.status not in allowed:
        raise ConflictError(
            f"Run {run.id} is {run.status}.", hint="Look at its present state first; a finished run never changes."
        )


def _requeued(run: Run, entry: Entry, *, visible_at: float, **changes: Any) -> Change:
    after = evolve(run, status=Status.QUEUED, **changes)
    queued = evolve(entry, owner="", visible_at=visible_at, progress=Progress())
    return Change(run, after, entry, queued, wake=True)


def claim(run: Run, entry: Entry, *, owner: str, version: str, now: float, lease_s: float = LEASE_S) -> Change:
    """Give a queued run to the worker `owner`; the attempt grows."""
    _require(run, Status.QUEUED)
    attempt = run.attempt + 1
    after = evolve(
        run, status=Status.RUNNING, owner=owner, attempt=attempt, version=version, started_at=now, failure=None
    )
    leased = evolve(entry, owner=owner, attempt=attempt, visible_at=now + lease_s, progress=Progress())
    return Change(run, after, entry, leased, fair_share_rank=entry.fair_share_rank)


def succeed(run: Run, *, result: Json, now: float) -> Change:
    """Record the result of a running run."""
    _require(run, Status.RUNNING)
    after = evolve(run, status=Status.SUCCEEDED, result=result, finished_at=now, failure=None)
    return Change(run, after, None, None)


def fail(run: Run, entry: Entry | None, *, failure: Failure, now: float, retries: int, delay_s: float) -> Change:
    """Record a failed attempt: queued again after `delay_s` while `retries` last, else failed.

    Inputs that do not fit are never retried: they will not fit the next time. A cancelled run is not retried either.
    """
    _require(run, Status.RUNNING)
    spent = run.failures + 1
    if run.cancel_requested:
        return cancelled(run, now=now)
    if entry is not None and spent <= retries and failure.kind != "invalid_input":
        return _requeued(run, entry, visible_at=now + delay_s, failures=spent, failure=failure)
    after = evolve(run, status=Status.FAILED, failure=failure, failures=spent, finished_at=now)
    return Change(run, after, None, None)


def release(run: Run, entry: Entry, *, now: float) -> Change:
    """Give a running run back without spending a retry: its worker is being stopped (SIGTERM, Spot, deploy)."""
    _require(run, Status.RUNNING)
    if run.cancel_requested:
        return cancelled(run, now=now)
    return _requeued(run, entry, visible_at=now)


def lose(run: Run, entry: Entry, *, now: float, unstarted: str = "") -> Change:
    """Take a running run from a worker that is gone: queued again, or failed after MAX_LOSSES.

    `unstarted` says why a worker ended before it could claim anything: counted on the queued run it was started for.
    """
    _require(run, Status.QUEUED if unstarted else Status.RUNNING)
    if run.cancel_requested:
        return cancelled(run, now=now)
    losses = run.losses + 1
    if losses < MAX_LOSSES:
        if unstarted:
            return Change(run, evolve(run, losses=losses), entry, entry)
        return _requeued(run, entry, visible_at=now, losses=losses)
    failure = Failure(
        "lost",
        f"The worker was lost {losses} times while this run was on it.",
        hint="Most often the predictor needs more memory than it has: raise memory_mb.",
    )
    if unstarted:
        failure = Failure("start", f"No worker could start: {unstarted}.", hint="Mend that and submit it again.")
    after = evolve(run, status=Status.FAILED, losses=losses, failure=failure, finished_at=now)
    return Change(run, after, None, None)


def end_back_off(run: Run, entry: Entry, *, now: float) -> Change:
    """Make a queued run due that waits for its next attempt."""
    _require(run, Status.QUEUED)
    return Change(run, run, entry, evolve(entry, visible_at=now), wake=True)


def request_cancel(run: Run, entry: Entry | None, *, now: float) -> Change:
    """Cancel a queued run at once; ask the worker of a running one (it sees it at its next heartbeat)."""
    _require(run, Status.QUEUED, Status.RUNNING)
    if run.status is Status.QUEUED or entry is None:
        return cancelled(run, now=now)
    return Change(run, evolve(run, cancel_requested=True), entry, evolve(entry, cancel_requested=True))


def cancelled(run: Run, *, now: float) -> Change:
    """End a queued or running run as cancelled."""
    _require(run, Status.QUEUED, Status.RUNNING)
    after = evolve(run, status=Status.CANCELLED, cancel_requested=True, finished_at=now)
    return Change(run, after, None, None)


def discard(run: Run, entry: Entry, *, now: float) -> Change:
    """Take an entry that does not fit its run from the queue, so that what stands behind it goes on.

    No transition leaves such a pair: somebody has written to the table by hand, or restored a part of it. A run that is
    not final has failed by it.
    """
    if run.status.is_final:
        return Change(run, run, entry, None)
    failure = Failure("lost", "The run and its place in the queue did not fit each other.", hint="Submit it again.")
    return Change(run, evolve(run, status=Status.FAILED, failure=failure, finished_at=now), entry, None)


def run_of_entry(entry: Entry, *, now: float) -> Run:
    """Return what can be said of a run whose record is missing: it has failed."""
    failure = Failure(
        "lost", "The record of this run is missing: only its place in the queue was left.", hint="Submit it again."
    )
    return Run(
        entry.run_id,
        entry.predictor,
        "batch",
        entry.user,
        Status.FAILED,
        None,
        now,
        attempt=entry.attempt,
        finished_at=now,
        failure=failure,
    )
