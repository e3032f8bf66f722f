"""The queue of the Store on DynamoDB: small items in fair order, read from the table, changed by claim and heartbeat.

Workers are on machines of their own, and clocks differ: a lease counts as expired SKEW_S after its time, so that a
worker whose clock is behind keeps what it works on. What waits is due by whoever's clock looks.
"""

from __future__ import annotations

from matinee.backends.aws.store_items import entry_from, name_of, place, progress_text
from matinee.backends.aws.store_keys import CLAIMED, key_of, plain, queue
from matinee.backends.aws.store_table import Item, MovedError, Table, n, s
from matinee.caches import Recent
from matinee.runs import Entry, Progress
from matinee.store_format import all_readable, readable

SKEW_S = 120.0  # by how much the clocks of two workers may differ
_AHEAD = 24  # entries ever claimed that one look at the queue reads past without asking again


class Queue:
    """The verbs for queue entries of `ports.Store`."""

    _table: Table
    _places: Recent[str, tuple[int, bool]]

    def _entry(self, item: Item) -> Entry:
        entry = entry_from(item)
        self._places.put(entry.run_id, place(entry))
        return entry

    def due(self, predictor: str, now: float, limit: int = 1) -> list[Entry]:
        """See `ports.Store`."""
        return self._first(predictor, limit, visible_by=now)

    def entries(self, predictor: str, limit: int = 1000) -> list[Entry]:
        """See `ports.Store`."""
        return self._first(predictor, limit)

    def _first(self, predictor: str, limit: int, visible_by: float = float("inf")) -> list[Entry]:
        """Read all that were ever claimed (they come first in key order), and `limit` of those that wait."""
        found: list[Entry] = []
        waiting = 0
        for item in self._table.query("#pk = :pk", {":pk": s(queue(predictor))}, limit=limit + _AHEAD):
            entry = readable(self._entry, item, name_of(item))
            if entry is None:
                continue
            waiting += entry.attempt == 0
            if _due_at(entry) <= visible_by:
                found.append(entry)
            if waiting == limit:
                break
        return sorted(found, key=_in_fair_order)[:limit]

    def leased(self, predictor: str) -> list[Entry]:
        """See `ports.Store`."""
        return sorted((e for e in self._ever_claimed(predictor) if e.is_leased), key=_in_fair_order)

    def next_due_at(self, predictor: str, now: float) -> float | None:
        """See `ports.Store`."""
        times = map(_due_at, self._ever_claimed(predictor))
        return min((at for at in times if at > now), default=None)

    def _ever_claimed(self, predictor: str) -> list[Entry]:
        values = {":pk": s(queue(predictor)), ":claimed": s(CLAIMED)}
        items = self._table.query("#pk = :pk AND begins_with(#sk, :claimed)", values)
        return all_readable(self._entry, items, name_of)

    def unfinished(self, user: str) -> int:
        """See `ports.Store`; eventually consistent."""
        values = {":user": s(f"U#{plain(user)}")}
        return self._table.count("#open_user = :user", values, index="unfinished")

    def heartbeat(self, entry: Entry, *, visible_at: float, progress: Progress) -> Entry | None:
        """See `ports.Store`; 1 write unit, however large the run is."""
        values: Item = {
            ":visible_at": n(visible_at),
            ":progress": s(progress_text(progress)),
            ":owner": s(entry.owner),
            ":attempt": n(entry.attempt),
            ":one": n(1),
        }
        update = "SET #visible_at = :visible_at, #progress = :progress ADD #rev :one"
        try:
            item = self._table.update(key_of(entry), update, values, "#owner = :owner AND #attempt = :attempt")
        except MovedError:
            return None
        return entry_from(item)


def _due_at(entry: Entry) -> float:
    return entry.visible_at + (SKEW_S if entry.is_leased else 0.0)


def _in_fair_order(entry: Entry) -> tuple[int, str]:
    return entry.turn, entry.run_id
