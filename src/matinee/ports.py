"""The four ports. Containers never talk to each other, only to these; each has a local and an AWS adapter.

All errors are `MatineeError`s. Reads named here are strongly consistent unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from matinee.dataclass_json import EPOCH
from matinee.manifest import Release
from matinee.runs import Change, Entry, Feedback, Json, Pool, Progress, Run, Slot, Status


@dataclass(frozen=True)
class RunQuery:
    """Which runs to list, newest first. `before` is the id of the last run of the page before.

    `since` (inclusive) and `until` (exclusive) bound when a run was made, in epoch seconds: ids sort by that time.
    """

    user: str | None = None
    predictor: str | None = None
    statuses: frozenset[Status] = frozenset()
    since: float | None = None
    until: float | None = None
    include_nested: bool = False
    before: str = ""
    limit: int = 50


class Store(Protocol):
    """Runs, queue, pools, feedback, shared state and the release. Every method is one atomic step.

    Values are JSON: what it cannot carry (NaN, infinity) is refused with UsageError, what is too large with LimitError.
    A store never judges a transition: `apply` compares and swaps. What returned is durable, but for claims, heartbeats
    and slots: they outlive every process, yet may be undone by a power failure, which no worker outlives either.
    """

    def submit(self, runs: Sequence[Run]) -> list[Run]:
        """Put queued runs with their entries (turns given fairly) and wake their pools, all or none.

        A run whose (user, predictor, idempotency_key) is known, when the key is not empty, is not put: the known run is
        returned in its place. Keys are known for 30 days at least.

        Where a transaction is too small (on AWS about 49 runs), the submission is made of several, in order. When one
        fails, those before it are taken back, but for runs that a worker has claimed meanwhile: the error says how many
        are left. When the process dies, whole transactions are left; the same runs or keys again put the others.
        """

    def record(self, run: Run) -> None:
        """Put a finished realtime run: its one write."""

    def run(self, run_id: str) -> Run | None:
        """Return the run."""

    def runs(self, query: RunQuery) -> list[Run]:
        """Return a page of runs, newest id first; may be eventually consistent."""

    def apply(self, *changes: Change) -> bool:
        """Compare and swap as `Change` says, all or none in one transaction; False if something moved in between."""

    def entry(self, predictor: str, run_id: str) -> Entry | None:
        """Return the queue entry of an unfinished run."""

    def due(self, predictor: str, now: float, limit: int = 1) -> list[Entry]:
        """Return the first entries in fair order whose `visible_at` has passed: queued, or leased and expired.

        Where workers have clocks of their own (AWS), a lease expires 120 s later than it says.
        """

    def leased(self, predictor: str) -> list[Entry]:
        """Return the entries that workers hold, those with an expired lease included."""

    def next_due_at(self, predictor: str, now: float) -> float | None:
        """Return when the next entry becomes due after `now`: a back-off or a lease runs out."""

    def entries(self, predictor: str, limit: int = 1000) -> list[Entry]:
        """Return unfinished entries in fair order, leased ones included."""

    def unfinished(self, user: str) -> int:
        """Return how many entries of this user wait or are worked on; may be eventually consistent."""

    def heartbeat(self, entry: Entry, *, visible_at: float, progress: Progress) -> Entry | None:
        """Renew the lease if `entry`'s owner and attempt still hold it; return it as it is now, else None."""

    def pool(self, predictor: str) -> Pool:
        """Return the pool with its taken slots; an untouched pool is empty, never missing."""

    def pools(self) -> list[str]:
        """Return the predictors that have unfinished entries or taken slots."""

    def take_slot(self, slot: Slot) -> bool:
        """Take a free slot; False if it is taken."""

    def update_slot(self, slot: Slot) -> bool:
        """Write `handle` and `renewed_at` (the larger wins) of a slot that still has this token, else False."""

    def free_slot(self, slot: Slot, *, wake: int | None = None) -> bool:
        """Free the slot if it still has this token and, when given, the pool's `wake` is unchanged."""

    def note(self, predictor: str, text: str) -> None:
        """Say on the pool why nothing starts ("" = all is well)."""

    def put_feedback(self, feedback: Feedback) -> None:
        """Put or replace what this user says of this run."""

    def change_feedback(self, run_id: str, user: str, changes: Mapping[str, Json]) -> Feedback:
        """Change the named fields of what this user says of this run, all others stay; return it as it is then.

        `changes` names fields of `Feedback`. Two changes at once are both kept.
        """

    def feedback(self, run_id: str) -> list[Feedback]:
        """Return all feedback of a run."""

    def feedback_since(self, at: float, *, after: Feedback | None = None, limit: int = 1000) -> list[Feedback]:
        """Return a page of what was said at `at` or later, by (`updated_at`, `run_id`, `user`), oldest first.

        `after` is the last one of the page before. May be eventually consistent.
        """

    def state_get(self, key: str) -> Json:
        """Return the shared value, None if there is none."""

    def state_set(self, key: str, value: Json) -> None:
        """Set the shared value; None removes it."""

    def state_increment(self, key: str, by: float) -> float:
        """Add to a number (0 if there is none) atomically and return the sum. Integers stay integers."""

    def state_swap(self, key: str, old: Json, new: Json) -> bool:
        """Set `new` only if the value is still `old`."""

    def document(self, kind: str, key: str) -> Json:
        """Return one of the app's own small values (a user, a token, a subscription), None if there is none."""

    def documents(self, kind: str) -> dict[str, Json]:
        """Return all of a kind by key, in the keys' order; for hundreds, not for millions."""

    def put_document(self, kind: str, key: str, value: Json) -> None:
        """Put or replace it; None removes it."""

    def swap_document(self, kind: str, key: str, old: Json, new: Json) -> bool:
        """Set `new` (None removes) only if the value is still `old` (None = there is none)."""

    def release(self) -> Release | None:
        """Return what is live."""

    def put_release(self, release: Release) -> None:
        """Make this live: the one commit point."""

    def close(self) -> None:
        """Let go of connections."""


class Files(Protocol):
    """Big inputs and results by key, as in `results/RUN/ATTEMPT/0.png`. A put is whole or absent."""

    def put(
        self,
        key: str,
        data: bytes | BinaryIO,
        *,
        media_type: str = "application/octet-stream",
        replace: bool = True,
    ) -> int:
        """Write and return the size in bytes. With `replace=False`, ConflictError if there is such a file."""

    def read(self, key: str) -> bytes:
        """Return the whole; NotFoundError if there is none."""

    def open(self, key: str) -> BinaryIO:
        """Return a stream; NotFoundError if there is none."""

    def download_url(self, key: str, *, name: str = "", media_type: str = "") -> str | None:
        """Return a link by which a browser saves the file as `name`, for ten minutes; None where it is served by us."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield keys in order."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete; missing keys are no error."""


@dataclass(frozen=True)
class Invocation:
    """What a realtime predictor answered. `error_type` is "" on success; then `payload` is the result."""

    payload: bytes
    error_type: str = ""
    version: str = ""
    log_tail: str = ""


class Invoker(Protocol):
    """Calls Lambda functions: predictors and the dispatcher."""

    def invoke(
        self, function: str, payload: bytes, *, context: Mapping[str, str] | None = None, log_tail: bool = False
    ) -> Invocation:
        """Call and wait. `context` (run, user, parent, attempt) travels as Lambda's client context.

        Raises `BackendError` when the service cannot be reached or is saturated after retries, `NotFoundError` for an
        unknown function, `LimitError` for a payload over 6 MB.
        """

    def poke(self, function: str, payload: bytes = b"{}") -> None:
        """Call without waiting (InvocationType=Event)."""


@dataclass(frozen=True)
class LaunchStatus:
    """What became of a launch. `reason` is for people: exit code, missing image, Spot interruption.

    `passes`: it is no fault of the app's, and the next may do better: no capacity, told to end, nobody knows.
    """

    ended: bool
    reason: str = ""
    passes: bool = False


class Launcher(Protocol):
    """Starts batch workers; the dispatcher alone uses it. A token launches at most one worker, however often asked."""

    def launch(self, slot: Slot) -> str:
        """Start a worker for the slot (idempotent by its token) and return a handle; BackendError with why not.

        Raises UnansweredError when it may have started all the same: the slot stays taken until it is asked again.
        """

    def status(self, slots: Sequence[Slot]) -> dict[str, LaunchStatus]:
        """Return by token whether the worker of each slot is known to have ended or never existed."""

    def stop(self, slot: Slot) -> None:
        """Ask the worker to end (SIGTERM)."""


@dataclass(frozen=True)
class LogLine:
    """One line a component wrote."""

    at: float = field(metadata=EPOCH)
    level: str
    message: str
    component: str = ""
    run_id: str = ""
    fields: dict[str, Json] = field(default_factory=dict)


class Logs(Protocol):
    """Reads what a run wrote: a view beside the ports, CloudWatch's on AWS."""

    def read(self, run_id: str) -> list[LogLine]:
        """Return the run's lines in order."""
