"""The Store on one DynamoDB table. `store_keys` says what is kept where, and why.

Each method is one call, or one transaction with what it must read before. A transition is a transaction whose
conditions are the `rev` of run and entry; after a lost answer it is repeated under its token, not done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from matinee.backends.aws.session import Session
from matinee.backends.aws.store_items import (
    entry_changes,
    entry_from,
    entry_item,
    entry_key_of,
    feedback_from,
    feedback_id,
    name_of,
    place,
    pool_from,
    progress_text,
    run_changes,
    run_from,
    run_item,
    slot_item,
    woken,
)
from matinee.backends.aws.store_runs import Lists, Submission
from matinee.backends.aws.store_table import (
    CLAIMED,
    FEEDBACK,
    Item,
    Key,
    MovedError,
    Table,
    Write,
    check_size,
    entry_key,
    key,
    key_of,
    n,
    plain,
    pool_key,
    queue,
    run_key,
    s,
    size_of,
    slot_key,
)
from matinee.backends.aws.store_values import Releases, Values
from matinee.caches import Recent
from matinee.errors import BackendError
from matinee.manifest import Release
from matinee.ports import RunQuery
from matinee.runs import Change, Entry, Feedback, Json, Pool, Progress, Run, Slot, merge_feedback
from matinee.store_format import all_readable, encode, readable

# --- pools and slots --------------------------------------------------------------------------------------------------
# The pool of the Store on DynamoDB: wake, turn and note in one item, each taken slot in one beside it.


class Pools:
    """The verbs for pools and slots of `ports.Store`."""

    _table: Table
    _lists: Lists

    def pools(self) -> list[str]:
        """Return the predictors that have unfinished entries or taken slots."""
        return [predictor for predictor in self._lists.predictors() if self._is_awake(predictor)]

    def _is_awake(self, predictor: str) -> bool:
        entries = self._table.query("#pk = :pk", {":pk": s(queue(predictor))}, limit=1)
        return next(entries, None) is not None or bool(self.pool(predictor).slots)

    def pool(self, predictor: str) -> Pool:
        """Return the pool of a predictor with its taken slots."""
        partition = pool_key(predictor)["pk"]
        return pool_from(predictor, list(self._table.query("#pk = :pk", {":pk": partition})))

    def take_slot(self, slot: Slot) -> bool:
        """Take a free slot; False if it is taken.

        A slot that the same token took counts as taken now: our answer may have been lost.
        """
        self._lists.register(slot.predictor)
        try:
            self._table.put(slot_item(slot), "attribute_not_exists(#pk)")
        except MovedError as moved:
            return (moved.items[0] or {}).get("token") == s(slot.token)
        return True

    def update_slot(self, slot: Slot) -> bool:
        """Write the handle and `renewed_at` of a slot that still has this token, else False.

        An empty handle leaves the known one.
        """
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
        """Free the slot if it still has this token and the pool was not woken meanwhile.

        After a lost answer it may say False though the slot is free: look at the pool.
        """
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
        """Record on the pool why nothing starts."""
        self._table.update(pool_key(predictor), "SET #note = :note", {":note": s(plain(text))})


# --- the queue of entries ---------------------------------------------------------------------------------------------
# The queue of the Store on DynamoDB: small items in fair order, read from the table, changed by claim and heartbeat.
#
# Workers are on machines of their own, and clocks differ: a lease counts as expired SKEW_S after its time, so that a
# worker whose clock is behind keeps what it works on. What waits is due by whoever's clock looks.

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
        """Return the first entries in fair order that are due now."""
        return self._first(predictor, limit, visible_by=now)

    def entries(self, predictor: str, limit: int = 1000) -> list[Entry]:
        """Return unfinished entries in fair order, leased ones included."""
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
        """Return the entries that workers hold, expired leases included."""
        return sorted((e for e in self._ever_claimed(predictor) if e.is_leased), key=_in_fair_order)

    def next_due_at(self, predictor: str, now: float) -> float | None:
        """Return when the next entry becomes due, None if none will."""
        times = map(_due_at, self._ever_claimed(predictor))
        return min((at for at in times if at > now), default=None)

    def _ever_claimed(self, predictor: str) -> list[Entry]:
        values = {":pk": s(queue(predictor)), ":claimed": s(CLAIMED)}
        items = self._table.query("#pk = :pk AND begins_with(#sk, :claimed)", values)
        return all_readable(self._entry, items, name_of)

    def unfinished(self, user: str) -> int:
        """Return how many unfinished entries this user has; eventually consistent."""
        values = {":user": s(f"U#{plain(user)}")}
        return self._table.count("#open_user = :user", values, index="unfinished")

    def heartbeat(self, entry: Entry, *, visible_at: float, progress: Progress) -> Entry | None:
        """Renew the lease if its owner still holds it; return the entry as it is now, else None.

        It costs 1 write unit, however large the run is.
        """
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
    return entry.fair_share_rank, entry.run_id


# --- the store on DynamoDB --------------------------------------------------------------------------------------------

_REMEMBERED_BYTES = 16 * 1024  # of a finished run; larger ones are read again


class DynamoStore(Pools, Queue, Values):
    """A Store on the table that the settings name. Thread-safe; connects when first used."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._table = Table(session, session.settings.table)
        self._finished: Recent[str, Run] = Recent(512)  # what is finished never changes
        self._places: Recent[str, tuple[int, bool]] = Recent(4096)  # by run id: turn, and whether it was ever claimed
        self._turns: dict[str, int] = {}  # by predictor: the pool's turn is at least this
        self._lists = Lists(self._table, self._fetch)
        self._releases = Releases(self._table)

    # --- runs -------------------------------------------------------------------------------------------------

    def submit(self, runs: Sequence[Run]) -> list[Run]:
        """Put queued runs with their entries, all or none. A run whose id is known is not put again either."""
        for predictor in {run.predictor for run in runs}:
            self._lists.register(predictor)
        return Submission(self._table, self.run, self._places).put(runs)

    def record(self, run: Run) -> None:
        """Put a finished realtime run. Recording the same run again changes nothing."""
        self._lists.register(run.predictor)
        item = run_item(run)
        check_size(item, f"Run {run.id}")
        try:
            self._table.put(item, "attribute_not_exists(#pk)")
        except MovedError:
            return
        self._remember(run, item)

    def run(self, run_id: str) -> Run | None:
        """Return the run, None if there is none."""
        known = self._finished.get(run_id)
        if known is not None:
            return known
        item = self._table.get(run_key(run_id))
        return readable(self._read, item, name_of(item)) if item else None

    def _read(self, item: Item) -> Run:
        run = run_from(item)
        if run.status.is_final:
            self._remember(run, item)
        elif "turn" in item:
            self._places.put(run.id, (int(item["turn"]["N"]), run.attempt > 0))
        return run

    def _remember(self, run: Run, item: Item) -> None:
        if size_of(item) <= _REMEMBERED_BYTES:
            self._finished.put(run.id, run)

    def _fetch(self, run_ids: Iterable[str]) -> dict[str, Run]:
        """Return runs by id; may be eventually consistent."""
        runs = {run_id: self._finished.get(run_id) for run_id in run_ids}
        missing = [run_key(run_id) for run_id, run in runs.items() if run is None]
        runs |= {run.id: run for run in all_readable(self._read, self._table.batch_get(missing), name_of)}
        return {run_id: run for run_id, run in runs.items() if run is not None}

    def runs(self, query: RunQuery) -> list[Run]:
        """Return a page of runs, newest first. It is read through indexes, so eventually consistent."""
        return self._lists.runs(query)

    def apply(self, *changes: Change) -> bool:
        """Compare and swap runs and entries, all or none; False if something moved.

        The pool's turn follows in a call of its own, since only fairness hangs on it.
        """
        writes = [write for change in changes for write in self._writes(change)]
        for predictor in {change.after.predictor for change in changes if change.wake}:
            times = sum(change.wake and change.after.predictor == predictor for change in changes)
            writes.append(woken(self._table, predictor, times))
        try:
            self._table.transact(*writes)
        except MovedError:
            return False
        for change in changes:
            self._applied(change)
        return True

    def _writes(self, change: Change) -> list[Write]:
        run, before = change.recorded, change.before
        check_size(run_item(run, 0), f"Run {run.id}")
        changes = run_changes(run)
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in changes)
        removed = [
            name for name, is_gone in (("result", run.result is None), ("open_user", run.status.is_final)) if is_gone
        ]
        closing = f" REMOVE {', '.join(f'#{name}' for name in removed)}" if removed else ""
        values = {f":{name}": value for name, value in changes.items()}
        swap = self._table.updating(run_key(run.id), update + closing, {**values, ":was": n(before.rev)}, "#rev = :was")
        return [swap, *self._entry_writes(change)]

    def _entry_writes(self, change: Change) -> list[Write]:
        before, after = change.entry_before, change.recorded_entry
        if before is None:
            where = None if after is not None else self._entry_key(change.before)
            return [self._table.deleting(where)] if where else [self._table.putting(entry_item(after))] if after else []
        same = {":was": n(before.rev)}
        if after is None:
            return [self._table.deleting(key_of(before), "#rev = :was", same)]
        if key_of(before) != key_of(after):
            return [self._table.deleting(key_of(before), "#rev = :was", same), self._table.putting(entry_item(after))]
        changes = entry_changes(after)
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in changes)
        values = {**same, **{f":{name}": value for name, value in changes.items()}}
        return [self._table.updating(key_of(after), update, values, "#rev = :was")]

    def _entry_key(self, run: Run) -> Key | None:
        known = self._places.get(run.id)
        if known is None:
            item = self._table.get(run_key(run.id)) or {}
            if "turn" not in item:
                return None
            known = (int(item["turn"]["N"]), False)
        return entry_key_of(run, known[0])

    def _applied(self, change: Change) -> None:
        run, entry = change.recorded, change.recorded_entry
        if entry is not None:
            self._places.put(run.id, place(entry))
        if change.fair_share_rank > self._turns.get(run.predictor, 0):
            self._turns[run.predictor] = change.fair_share_rank
            try:
                values = {":turn": n(change.fair_share_rank)}
                ahead = "attribute_not_exists(#turn) OR #turn < :turn"
                self._table.update(pool_key(run.predictor), "SET #turn = :turn", values, ahead)
            except (MovedError, BackendError):
                return  # another worker is further already; or turns are a little less fair, but the change is made

    def entry(self, predictor: str, run_id: str) -> Entry | None:
        """Return the queue entry of an unfinished run.

        An entry moves once, when first claimed: so looking there last misses nothing.
        """
        known = self._places.get(run_id)
        if known is None:
            run = self.run(run_id)
            known = None if run is None or run.status.is_final else self._places.get(run_id)
        if known is None:
            return None
        turn, was_claimed = known
        for claimed in (True,) if was_claimed else (False, True):
            item = self._table.get(entry_key(predictor, run_id, turn, claimed=claimed))
            if item is not None:
                return readable(self._entry, item, name_of(item))
        return None

    # --- feedback and release -----------------------------------------------------------------------------------

    def put_feedback(self, feedback: Feedback) -> None:
        """Put or replace a user's feedback on a run."""
        self._table.put(_feedback_item(feedback))

    def change_feedback(self, run_id: str, user: str, changes: Mapping[str, Json]) -> Feedback:
        """Change the named fields of a user's feedback on a run and return it.

        It is put on the condition that nobody has changed it since it was read.
        """
        while True:
            old = self._table.get(_feedback_key(run_id, user))
            known = readable(feedback_from, old, name_of(old)) if old else None
            feedback = merge_feedback(known, run_id, user, changes)
            condition = "#body = :old" if old else "attribute_not_exists(#body)"
            with suppress(MovedError):
                self._table.put(_feedback_item(feedback), condition, {":old": old["body"]} if old else None)
                return feedback

    def feedback(self, run_id: str) -> list[Feedback]:
        """Return all feedback of a run."""
        values = {":pk": run_key(run_id)["pk"], ":sk": s("FEEDBACK#")}
        items = self._table.query("#pk = :pk AND begins_with(#sk, :sk)", values)
        return all_readable(feedback_from, items, name_of)

    def feedback_since(self, at: float, *, after: Feedback | None = None, limit: int = 1000) -> list[Feedback]:
        """Return a page of the feedback given since a time, oldest first.

        It is read through an index, so eventually consistent.
        """
        return self._lists.feedback(feedback_id(after) if after else feedback_id(at), limit)

    def release(self) -> Release | None:
        """Return the release that is live, None before the first deploy.

        The body is read again only when another is live.
        """
        return self._releases.live()

    def put_release(self, release: Release) -> None:
        """Make this release live."""
        self._releases.put(release)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _feedback_key(run_id: str, user: str) -> Key:
    return key(run_key(run_id)["pk"]["S"], f"FEEDBACK#{plain(user)}")


def _feedback_item(feedback: Feedback) -> Item:
    """Return the item. Raises LimitError for what is larger than every store takes."""
    when = {"list_predictor": s(FEEDBACK), "id": s(feedback_id(feedback))}
    item: Item = {**_feedback_key(feedback.run_id, feedback.user), **when, "body": s(encode(vars(feedback)))}
    check_size(item, "The feedback")
    return item
