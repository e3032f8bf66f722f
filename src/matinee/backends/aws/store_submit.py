"""Putting runs into the queue, in transactions of up to 100 items: about 49 runs, 32 with idempotency keys.

One pack is one transaction: runs, their entries, the user's last turn, the pool's wake. Of a larger submission, packs
are put in order; when one fails, those before it are taken back as far as no worker has claimed them. A process that
dies in between leaves whole packs in the queue: the same submission again (same ids or keys) puts what is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from matinee.backends.aws.store_items import new_entry, run_item
from matinee.backends.aws.store_keys import (
    entry_key,
    once_key,
    plain,
    pool_key,
    run_key,
    turn_key,
)
from matinee.backends.aws.store_table import (
    LARGEST_TRANSACTION,
    MOST_IN_TRANSACTION,
    Item,
    MovedError,
    Table,
    Write,
    check_size,
    n,
    s,
    size_of,
)
from matinee.caches import Recent
from matinee.errors import BackendError, MatineeError
from matinee.retry import Backoff
from matinee.runs import Run, next_turn
from matinee.table_schema import EXPIRES

ONCE_S = 30 * 24 * 3600  # an idempotency key is known for at least this long
_SETTLED_S = 10.0  # an index has surely followed by then
_ENTRY_BYTES = 1024  # more than an entry has
_BACKOFF = Backoff(base_s=0.02, cap_s=0.5, total_s=15.0)
_NEW = "attribute_not_exists(#pk)"
Queue = tuple[str, str]  # predictor, user


class Submission:
    """One call of `submit`."""

    def __init__(self, table: Table, read: Callable[[str], Run | None], places: Recent[str, tuple[int, bool]]) -> None:
        self._table = table
        self._read = read
        self._places = places
        self._known: dict[str, Run] = {}  # by id of the run that was to be put

    def put(self, runs: Sequence[Run]) -> list[Run]:
        """Put what is new; return for each run what is in the store for it."""
        for run in runs:
            check_size(run_item(run, 0), f"Run {run.id}")
        first = _firsts(runs)
        done: list[Run] = []
        for pack in _packs([run for run in runs if first[run.id] is run]):
            try:
                done += self._put_pack(pack)
            except MatineeError as error:
                raise self._taken_back(done, error, len(runs)) from error
        return [self._known.get(first[run.id].id, first[run.id]) for run in runs]

    def _put_pack(self, pack: Sequence[Run]) -> list[Run]:
        """Put those of a pack that are not known, in one transaction; return them."""
        waits = _BACKOFF.waits()
        while new := [run for run in pack if run.id not in self._known]:
            turns = _Turns(self._table, {(run.predictor, run.user) for run in new})
            given = {run.id: turns.next(run.predictor, run.user) for run in new}
            labelled = [*self._writes(new, given), *turns.writes()]
            try:
                self._table.transact(*(write for _, write in labelled))
            except MovedError as moved:
                self._learn([run for run, _ in labelled], moved.items)
            else:
                for run in new:
                    self._places.put(run.id, (given[run.id], False))
                return new
            if not next(waits):
                raise BackendError("The queue is too busy to submit.", hint="Try again in a moment.")
        return []

    def _writes(self, runs: Iterable[Run], turns: dict[str, int]) -> Iterator[tuple[Run | None, Write]]:
        for run in runs:
            yield run, self._table.putting(run_item(run, turns[run.id]), _NEW)
            yield None, self._table.putting(new_entry(run, turns[run.id]))
            if run.idempotency_key:
                expires = {"N": str(int(time.time()) + ONCE_S)}
                once: Item = {**once_key(run.user, run.predictor, run.idempotency_key), "id": s(run.id)}
                yield run, self._table.putting({**once, EXPIRES: expires}, _NEW)

    def _learn(self, runs: Sequence[Run | None], items: Sequence[Item | None]) -> None:
        """See which runs are known by id or by key; a turn that has moved is simply read again."""
        for run, item in zip(runs, items, strict=True):
            if run is None or not item:
                continue
            known = self._read(item["id"]["S"])
            if known is not None:
                self._known[run.id] = known
            elif run.idempotency_key:  # nobody can be given it: its key is free again
                where = once_key(run.user, run.predictor, run.idempotency_key)
                with suppress(MovedError):
                    self._table.delete(where, "#id = :id", {":id": item["id"]})

    def _taken_back(self, runs: Sequence[Run], error: MatineeError, asked: int) -> MatineeError:
        left = len(runs)
        with suppress(MatineeError):
            for run in reversed(runs):
                left -= self._take_back(run)
        if not left:
            return error
        hint = f"{left} of its {asked} runs are in the queue. Submit the same again to add the others, or cancel them."
        return BackendError(f"The submission broke off: {error.message}", hint=hint)

    def _take_back(self, run: Run) -> bool:
        place = self._places.get(run.id)
        if place is None or place[1]:
            return False
        there = "attribute_exists(#pk)"
        entry = entry_key(run.predictor, run.id, place[0], claimed=False)
        writes = [self._table.deleting(entry, there), self._table.deleting(run_key(run.id))]
        if run.idempotency_key:
            once = once_key(run.user, run.predictor, run.idempotency_key)
            writes.append(self._table.deleting(once, "#id = :id", {":id": s(run.id)}))
        try:
            self._table.transact(*writes)
        except MovedError:
            return False
        return True


class _Turns:
    """The turns of the users whose runs one pack holds."""

    def __init__(self, table: Table, queues: set[Queue]) -> None:
        self._table = table
        self._keys = {q: turn_key(*q) for q in queues}
        self._pools = {predictor: pool_key(predictor) for predictor, _ in queues}
        wanted = [*self._keys.values(), *self._pools.values()]
        items = {i["pk"]["S"]: i for i in table.batch_get(wanted, consistent=True)}
        self._served = {p: _number(items.get(k["pk"]["S"]), "turn") for p, k in self._pools.items()}
        self._items = {q: items.get(k["pk"]["S"]) for q, k in self._keys.items()}
        self._last = {q: self._users_last(q) for q in queues}

    def next(self, predictor: str, user: str) -> int:
        """Return the turn of this user's next entry."""
        q = (predictor, user)
        self._last[q] = next_turn(self._served[predictor], self._last[q])
        return self._last[q]

    def writes(self) -> Iterator[tuple[None, Write]]:
        """Yield what keeps the turns given, if nobody else has given one meanwhile, and wakes the pools."""
        for q, where in self._keys.items():
            item = self._items[q]
            values: Item = {":last": n(self._last[q]), ":at": n(time.time())}
            condition = _NEW
            if item:
                condition, values[":was"] = "#last = :was", item["last"]
            yield None, self._table.updating(where, "SET #last = :last, #at = :at", values, condition)
        for where in self._pools.values():
            yield None, self._table.updating(where, "ADD #wake :one", {":one": n(1)})

    def _users_last(self, q: Queue) -> int:
        """Return the last turn of the user's entries, 0 if none waits any more: cancelled ones hold no place."""
        item = self._items[q]
        last = _number(item, "last")
        if item is None or last <= self._served[q[0]] or time.time() - float(item["at"]["N"]) < _SETTLED_S:
            return last
        values = {":user": s(f"U#{plain(q[1])}"), ":predictor": s(q[0])}
        same = "#predictor = :predictor"
        waiting = self._table.query("#open_user = :user", values, index="unfinished", FilterExpression=same)
        return last if next(waiting, None) is not None else 0


def _number(item: Item | None, name: str) -> int:
    return int(item[name]["N"]) if item and name in item else 0


def _firsts(runs: Sequence[Run]) -> dict[str, Run]:
    """Return by id the run that stands for it: the first of the same id or the same idempotency key."""
    by_key: dict[tuple[str, str, str], Run] = {}
    firsts: dict[str, Run] = {}
    for run in runs:
        first = run
        if run.idempotency_key:
            first = by_key.setdefault((run.user, run.predictor, run.idempotency_key), run)
        firsts.setdefault(run.id, first)
    return firsts


def _packs(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Cut a submission into what one transaction takes, in items and in bytes."""
    pack: list[Run] = []
    items = size = 0
    queues: set[Queue] = set()
    for run in runs:
        more = 2 + bool(run.idempotency_key)
        more_bytes = size_of(run_item(run, 0)) + _ENTRY_BYTES
        wider = queues | {(run.predictor, run.user)}
        around = len(wider) + len({predictor for predictor, _ in wider})
        if pack and (items + more + around > MOST_IN_TRANSACTION or size + more_bytes > LARGEST_TRANSACTION // 2):
            yield pack
            pack, items, size, wider = [], 0, 0, {(run.predictor, run.user)}
        pack.append(run)
        items, size, queues = items + more, size + more_bytes, wider
    if pack:
        yield pack
