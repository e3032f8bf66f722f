"""Very short runs, several per transaction: claimed ahead, and their ends recorded together.

A durable commit costs as much as several such runs. So while runs take a few milliseconds, the worker claims as many as
fit into AHEAD_S at once, and while the child works on the last of them records the ends of all and claims the next.
Nothing changes for other runs: what was claimed ahead of a run that takes longer than LET_GO_S goes back to the queue,
without spending a retry, and the ends before it are recorded.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from matinee.dispatch.worker import Transition, claim_next, finish, give_back
from matinee.runs import LEASE_S, Change, Entry, Run, claim

if TYPE_CHECKING:  # a worker must start fast
    from matinee.ports import Store

AHEAD_S = 0.02
LET_GO_S = 0.1
MOST = 32
_WEIGHT = 0.2  # of the last run in the mean


class Ended(NamedTuple):
    """How a run ended, not yet recorded."""

    run: Run
    entry: Entry
    transition: Transition


class Hand:
    """What one worker has claimed and not started, or ended and not recorded."""

    def __init__(self, store: Store, predictor: str, *, owner: str, version: str) -> None:
        self._store = store
        self._predictor = predictor
        self._owner = owner
        self._version = version
        self._ahead: deque[tuple[Run, Entry]] = deque()
        self._ended: list[Ended] = []
        self._mean_s = AHEAD_S

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self._ahead or self._ended)

    @property
    def has_next(self) -> bool:
        """Whether a run is claimed ahead."""
        return bool(self._ahead)

    def next(self) -> tuple[Run, Entry]:
        """Return the run claimed first of those ahead: it is to be started now."""
        return self._ahead.popleft()

    def put(self, ended: Ended, took_s: float) -> None:
        """Keep how a run ended until `settle`."""
        self._ended.append(ended)
        self._mean_s += _WEIGHT * (took_s - self._mean_s)

    def settle(self, *, claims: bool, busy: bool) -> None:
        """Record all that ended and, with `claims`, claim what comes next.

        `busy`: a run is being worked on, so only runs that are short enough to wait for it are claimed.
        """
        many = min(MOST, int(AHEAD_S / max(self._mean_s, 1e-4)))
        wanted = (many if many > 1 else 0 if busy else 1) if claims else 0
        changes = [end.transition(end.run, end.entry) for end in self._ended]
        claimed = self._claims(wanted)
        if (changes or claimed) and self._store.apply(*changes, *claimed):
            self._ended.clear()
            self._ahead.extend((change.recorded, change.kept) for change in claimed if change.kept)
        elif changes or claimed:
            self._settle_one_by_one(wanted)

    def let_go(self) -> None:
        """Record all that ended and give back what was claimed ahead."""
        self.settle(claims=False, busy=True)
        while self._ahead:
            give_back(self._store, self._ahead[0][0], now=time.time())
            self._ahead.popleft()

    def _claims(self, wanted: int) -> list[Change]:
        now, found = time.time(), []
        for entry in self._store.due(self._predictor, now, wanted) if wanted else []:
            run = self._store.run(entry.run_id)
            if run is None or entry.is_leased or run.cancel_requested or run.status != "queued":
                break  # `claim_next` knows what to do with such
            found.append(claim(run, entry, owner=self._owner, version=self._version, now=now, lease_s=LEASE_S))
        return found

    def _settle_one_by_one(self, wanted: int) -> None:
        """Do the same after something moved in between, such as a cancel or another worker's claim."""
        while self._ended:
            finish(self._store, self._ended[0].run, self._ended[0].transition)
            del self._ended[0]
        if wanted and not self._ahead:
            found = claim_next(self._store, self._predictor, owner=self._owner, version=self._version, now=time.time())
            if found:
                self._ahead.append(found)
