"""Putting runs into the queue, in transactions of up to 100 items: about 49 runs, 32 with idempotency keys.

One pack is one transaction: runs, their entries, the user's last turn, the pool's wake. Of a larger submission, packs
are put in order; when one fails, those before it are taken back as far as no worker has claimed them. A process that
dies in between leaves whole packs in the queue: the same submission again (same ids or keys) puts what is missing.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from matinee.backends.aws.store_items import feedback_from, name_of, new_entry, run_item
from matinee.backends.aws.store_table import (
    FEEDBACK,
    LARGEST_TRANSACTION,
    MOST_IN_TRANSACTION,
    Item,
    MovedError,
    Table,
    Write,
    check_size,
    entry_key,
    key,
    n,
    once_key,
    plain,
    pool_key,
    queue,
    run_key,
    s,
    size_of,
    turn_key,
)
from matinee.caches import Recent
from matinee.errors import BackendError, MatineeError
from matinee.names import EXPIRES
from matinee.ports import RunQuery
from matinee.retry import Backoff
from matinee.runs import Feedback, Run, first_run_id, next_fair_share_rank
from matinee.store_format import all_readable

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
            turn_of = {run.id: turns.next(run.predictor, run.user) for run in new}
            labelled = [*self._writes(new, turn_of), *turns.writes()]
            try:
                self._table.transact(*(write for _, write in labelled))
            except MovedError as moved:
                self._learn([run for run, _ in labelled], moved.items)
            else:
                for run in new:
                    self._places.put(run.id, (turn_of[run.id], False))
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
        keys = [*self._keys.values(), *self._pools.values()]
        items = {i["pk"]["S"]: i for i in table.batch_get(keys, consistent=True)}
        self._served = {p: _number(items.get(k["pk"]["S"]), "turn") for p, k in self._pools.items()}
        self._items = {q: items.get(k["pk"]["S"]) for q, k in self._keys.items()}
        self._last = {q: self._users_last(q) for q in queues}

    def next(self, predictor: str, user: str) -> int:
        """Return the turn of this user's next entry."""
        q = (predictor, user)
        self._last[q] = next_fair_share_rank(self._served[predictor], self._last[q])
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


# --- lists of runs ----------------------------------------------------------------------------------------------------
# Lists of runs on DynamoDB: indexes give ids, runs are fetched by key, finished ones from memory.
#
# Without a filter a page costs one query and what is not remembered. Everybody's runs are the merged lists of the
# predictors. What is unfinished is found by the sparse index (of one user) or in the queues (of everybody).

_PREDICTORS = "POOLS"
_FILTERED_PAGE = 500  # index items read at once when a filter passes only some


class Lists:
    """`runs` and the register of predictors."""

    def __init__(self, table: Table, fetch: Callable[[Iterable[str]], dict[str, Run]]) -> None:
        self._table = table
        self._fetch = fetch
        self._registered: set[str] = set()

    def register(self, predictor: str) -> None:
        """Note that there is such a predictor: one write for each process and predictor."""
        if predictor not in self._registered:
            self._table.put(dict(key(_PREDICTORS, predictor)))
            self._registered.add(predictor)

    def predictors(self) -> list[str]:
        """Return every predictor that ever had a run or a slot, in order."""
        return [item["sk"]["S"] for item in self._table.query("#pk = :pk", {":pk": s(_PREDICTORS)})]

    def runs(self, query: RunQuery) -> list[Run]:
        """Return a page, newest first."""
        ids = self._ids(query)
        found: list[Run] = []
        while len(found) < query.limit:
            page = list(islice(ids, query.limit - len(found)))
            if not page:
                break
            runs = self._fetch(page)
            found += [runs[run_id] for run_id in page if run_id in runs and _is_asked(query, runs[run_id])]
        return found

    def feedback(self, after: str, limit: int) -> list[Feedback]:
        """Return what was said after this `feedback_id`, in order."""
        values: Item = {":feedback": s(FEEDBACK), ":after": s(after)}
        condition = "#list_predictor = :feedback AND #id > :after"
        items = self._table.query(condition, values, index="by_predictor", limit=limit)
        while ids := [{"pk": item["pk"], "sk": item["sk"]} for item in islice(items, limit)]:
            page = sorted(self._table.batch_get(ids), key=lambda item: item["id"]["S"])
            if found := all_readable(feedback_from, page, name_of):
                return found
        return []

    def _ids(self, query: RunQuery) -> Iterator[str]:
        if query.statuses and not any(status.is_final for status in query.statuses):
            return self._unfinished(query)
        kinds = ("list", "nested") if query.include_nested else ("list",)
        if query.user is not None:
            prefix = {"list": "U", "nested": "N"}
            partitions = [("by_user", "list_user", f"{prefix[kind]}#{plain(query.user)}") for kind in kinds]
        else:
            prefix = {"list": "P", "nested": "N"}
            names = [query.predictor] if query.predictor is not None else self.predictors()
            partitions = [("by_predictor", "list_predictor", f"{prefix[k]}#{name}") for k in kinds for name in names]
        return _merged(self._listed(query, *partition) for partition in partitions)

    def _unfinished(self, query: RunQuery) -> Iterator[str]:
        if query.user is not None:
            return self._listed(query, "unfinished", "open_user", f"U#{plain(query.user)}")
        names = [query.predictor] if query.predictor is not None else self.predictors()
        ids = [run_id for name in names for run_id in self._queued(name)]
        low, high = _bounds(query)
        return iter(sorted((i for i in ids if low <= i and (not high or i < high)), reverse=True))

    def _queued(self, predictor: str) -> Iterator[str]:
        items = self._table.query("#pk = :pk", {":pk": s(queue(predictor))}, ProjectionExpression="#sk")
        return (item["sk"]["S"].rpartition("#")[2] for item in items)

    def _listed(self, query: RunQuery, index: str, partition: str, value: str) -> Iterator[str]:
        """Yield the ids of one partition of an index, newest first."""
        condition, values = _within(query, partition, value)
        filtered = _filter(query, index, values)
        options: dict[str, Any] = {"FilterExpression": filtered, "ProjectionExpression": "#id"}
        page = max(query.limit, _FILTERED_PAGE) if filtered else query.limit
        _, high = _bounds(query)
        for item in self._table.query(condition, values, index=index, limit=page, ScanIndexForward=False, **options):
            if item["id"]["S"] != high:  # BETWEEN includes it
                yield item["id"]["S"]


def _merged(streams: Iterable[Iterator[str]]) -> Iterator[str]:
    return heapq.merge(*streams, reverse=True)


def _bounds(query: RunQuery) -> tuple[str, str]:
    """Return the smallest id and the one that all must be below, "" = none."""
    low = first_run_id(query.since) if query.since is not None else ""
    highs = [query.before] if query.before else []
    highs += [first_run_id(query.until)] if query.until is not None else []
    return low, min(highs, default="")


def _within(query: RunQuery, partition: str, value: str) -> tuple[str, Item]:
    low, high = _bounds(query)
    condition, values = f"#{partition} = :partition", {":partition": s(value)}
    if low and high:
        return f"{condition} AND #id BETWEEN :low AND :high", {**values, ":low": s(min(low, high)), ":high": s(high)}
    if low:
        return f"{condition} AND #id >= :low", {**values, ":low": s(low)}
    return (f"{condition} AND #id < :high", {**values, ":high": s(high)}) if high else (condition, values)


def _filter(query: RunQuery, index: str, values: Item) -> str:
    """Return what the index can leave out by itself, adding to `values`."""
    terms = []
    if query.predictor is not None and index != "by_predictor":
        terms.append("#predictor = :predictor")
        values[":predictor"] = s(query.predictor)
    if query.statuses and index != "unfinished":
        names = [f":status{number}" for number in range(len(query.statuses))]
        values.update(zip(names, (s(status.value) for status in sorted(query.statuses)), strict=True))
        terms.append(f"#run_status IN ({', '.join(names)})")
    return " AND ".join(terms)


def _is_asked(query: RunQuery, run: Run) -> bool:
    """Whether the run as fetched is what was asked for: an index may be late."""
    return (
        (query.user is None or run.user == query.user)
        and (query.predictor is None or run.predictor == query.predictor)
        and (not query.statuses or run.status in query.statuses)
        and (query.include_nested or not run.parent)
    )
