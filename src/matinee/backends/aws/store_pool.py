"""The pool of the Store on DynamoDB: wake, turn and note in one item, each taken slot in one beside it."""

from __future__ import annotations

from matinee.backends.aws.store_items import pool_from, slot_item
from matinee.backends.aws.store_keys import Key, plain, pool_key, queue, slot_key
from matinee.backends.aws.store_lists import Lists
from matinee.backends.aws.store_table import Item, MovedError, Table, Write, n, s
from matinee.runs import Pool, Slot


class Pools:
    """The verbs for pools and slots of `ports.Store`."""

    _table: Table
    _lists: Lists

    def pools(self) -> list[str]:
        """See `ports.Store`."""
        return [predictor for predictor in self._lists.predictors() if self._is_awake(predictor)]

    def _is_awake(self, predictor: str) -> bool:
        entries = self._table.query("#pk = :pk", {":pk": s(queue(predictor))}, limit=1)
        return next(entries, None) is not None or bool(self.pool(predictor).slots)

    def pool(self, predictor: str) -> Pool:
        """See `ports.Store`."""
        partition = pool_key(predictor)["pk"]
        return pool_from(predictor, list(self._table.query("#pk = :pk", {":pk": partition})))

    def take_slot(self, slot: Slot) -> bool:
        """See `ports.Store`; taken by the same token counts as taken now: our answer may have been lost."""
        self._lists.register(slot.predictor)
        try:
            self._table.put(slot_item(slot), "attribute_not_exists(#pk)")
        except MovedError as moved:
            return (moved.items[0] or {}).get("token") == s(slot.token)
        return True

    def update_slot(self, slot: Slot) -> bool:
        """See `ports.Store`; an empty handle leaves the known one."""
        where = slot_key(slot.predictor, slot.number)
        handle = ", #handle = :handle" if slot.handle else ""
        values: Item = {":token": s(slot.token)} | ({":handle": s(slot.handle)} if slot.handle else {})
        renewed = {":renewed_at": n(slot.renewed_at)}
        mine, later = "#token = :token", "#renewed_at <= :renewed_at"
        try:
            self._table.update(where, f"SET #renewed_at = :renewed_at{handle}", values | renewed, f"{mine} AND {later}")
        except MovedError as moved:
            if (moved.items[0] or {}).get("token") != s(slot.token):
                return False
            return not handle or self._name_slot(where, values)
        return True

    def _name_slot(self, where: Key, values: Item) -> bool:
        try:
            self._table.update(where, "SET #handle = :handle", values, "#token = :token")
        except MovedError:
            return False
        return True

    def free_slot(self, slot: Slot, *, wake: int | None = None) -> bool:
        """See `ports.Store`; after a lost answer it may say False though the slot is free: look at the pool."""
        where, mine = slot_key(slot.predictor, slot.number), {":token": s(slot.token)}
        try:
            if wake is None:
                self._table.delete(where, "#token = :token", mine)
            else:
                never = "attribute_not_exists(#wake) OR " if wake == 0 else ""
                asleep = self._table.checking(pool_key(slot.predictor), f"{never}#wake = :wake", {":wake": n(wake)})
                self._table.transact(self._table.deleting(where, "#token = :token", mine), asleep)
        except MovedError:
            return False
        return True

    def note(self, predictor: str, text: str) -> None:
        """See `ports.Store`."""
        self._table.update(pool_key(predictor), "SET #note = :note", {":note": s(plain(text))})


def woken(table: Table, predictor: str, times: int = 1) -> Write:
    """Return the part of a transaction that wakes a pool."""
    return table.updating(pool_key(predictor), "ADD #wake :times", {":times": n(times)})
