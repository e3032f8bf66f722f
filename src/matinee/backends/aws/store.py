"""The Store on one DynamoDB table. `store_keys` says what is kept where, and why.

Each method is one call, or one transaction with what it must read before. A transition is a transaction whose
conditions are the `rev` of run and entry; after a lost answer it is repeated under its token, not done again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matinee.backends.aws.session import Session
from matinee.backends.aws.store_items import (
    entry_changes,
    entry_item,
    entry_key_of,
    feedback_from,
    feedback_id,
    name_of,
    place,
    run_changes,
    run_from,
    run_item,
)
from matinee.backends.aws.store_keys import (
    FEEDBACK,
    Key,
    entry_key,
    key,
    key_of,
    plain,
    pool_key,
    run_key,
)
from matinee.backends.aws.store_lists import Lists
from matinee.backends.aws.store_pool import Pools, woken
from matinee.backends.aws.store_queue import Queue
from matinee.backends.aws.store_release import Releases
from matinee.backends.aws.store_submit import Submission
from matinee.backends.aws.store_table import Item, MovedError, Table, Write, check_size, n, s, size_of
from matinee.backends.aws.store_values import Values
from matinee.caches import Recent
from matinee.errors import BackendError
from matinee.manifest import Release
from matinee.ports import RunQuery
from matinee.runs import Change, Entry, Feedback, Run
from matinee.store_format import all_readable, encode, readable

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
        """See `ports.Store`; a run whose id is known is not put again either."""
        for predictor in {run.predictor for run in runs}:
            self._lists.register(predictor)
        return Submission(self._table, self.run, self._places).put(runs)

    def record(self, run: Run) -> None:
        """See `ports.Store`; recording the same run again changes nothing."""
        self._lists.register(run.predictor)
        item = run_item(run)
        check_size(item, f"Run {run.id}")
        try:
            self._table.put(item, "attribute_not_exists(#pk)")
        except MovedError:
            return
        self._remember(run, item)

    def run(self, run_id: str) -> Run | None:
        """See `ports.Store`."""
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
        """See `ports.Store`; read through indexes, so eventually consistent."""
        return self._lists.runs(query)

    def apply(self, *changes: Change) -> bool:
        """See `ports.Store`; the pool's turn follows in a call of its own, since only fairness hangs on it."""
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
        gone = [
            name for name, is_gone in (("result", run.result is None), ("open_user", run.status.is_final)) if is_gone
        ]
        closing = f" REMOVE {', '.join(f'#{name}' for name in gone)}" if gone else ""
        values = {f":{name}": value for name, value in changes.items()}
        swap = self._table.updating(run_key(run.id), update + closing, {**values, ":was": n(before.rev)}, "#rev = :was")
        return [swap, *self._entry_writes(change)]

    def _entry_writes(self, change: Change) -> list[Write]:
        before, after = change.entry_before, change.kept
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
        run, entry = change.recorded, change.kept
        if entry is not None:
            self._places.put(run.id, place(entry))
        if change.turn > self._turns.get(run.predictor, 0):
            self._turns[run.predictor] = change.turn
            try:
                values = {":turn": n(change.turn)}
                ahead = "attribute_not_exists(#turn) OR #turn < :turn"
                self._table.update(pool_key(run.predictor), "SET #turn = :turn", values, ahead)
            except (MovedError, BackendError):
                return  # another worker is further already; or turns are a little less fair, but the change is made

    def entry(self, predictor: str, run_id: str) -> Entry | None:
        """See `ports.Store`. An entry moves once, when first claimed: so looking there last misses nothing."""
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
        """See `ports.Store`."""
        where = key(run_key(feedback.run_id)["pk"]["S"], f"FEEDBACK#{plain(feedback.user)}")
        said_at = {"list_predictor": s(FEEDBACK), "id": s(feedback_id(feedback))}
        item: Item = {**where, **said_at, "body": s(encode(vars(feedback)))}
        check_size(item, "The feedback")
        self._table.put(item)

    def feedback(self, run_id: str) -> list[Feedback]:
        """See `ports.Store`."""
        values = {":pk": run_key(run_id)["pk"], ":sk": s("FEEDBACK#")}
        items = self._table.query("#pk = :pk AND begins_with(#sk, :sk)", values)
        return all_readable(feedback_from, items, name_of)

    def feedback_since(self, at: float, *, after: Feedback | None = None, limit: int = 1000) -> list[Feedback]:
        """See `ports.Store`; read through an index, so eventually consistent."""
        return self._lists.feedback(feedback_id(after) if after else feedback_id(at), limit)

    def release(self) -> Release | None:
        """See `ports.Store`; the body is read again only when another is live."""
        return self._releases.live()

    def put_release(self, release: Release) -> None:
        """See `ports.Store`."""
        self._releases.put(release)

    def close(self) -> None:
        """See `ports.Store`."""
        self._session.close()
