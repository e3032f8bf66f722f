"""Lists of runs on DynamoDB: indexes give ids, runs are fetched by key, finished ones from memory.

Without a filter a page costs one query and what is not remembered. Everybody's runs are the merged lists of the
predictors. What is unfinished is found by the sparse index (of one user) or in the queues (of everybody).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from matinee.backends.aws.store_items import feedback_from, name_of
from matinee.backends.aws.store_keys import FEEDBACK, key, plain, queue
from matinee.backends.aws.store_table import Item, Table, s
from matinee.ports import RunQuery
from matinee.runs import Feedback, Run, first_run_id
from matinee.store_format import all_readable

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
            said = sorted(self._table.batch_get(ids), key=lambda item: item["id"]["S"])
            if found := all_readable(feedback_from, said, name_of):
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
