"""The Store on SQLite: one file, WAL, shared by every process of the app.

Each method is one transaction or one snapshot. Compare-and-swap is a row's `rev` in the WHERE clause.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from matinee.backends.local.database import (
    ENTRY_COLUMNS,
    FEEDBACK_COLUMNS,
    RUN_COLUMNS,
    SLOT_COLUMNS,
    Database,
    TableRow,
    body_of,
    bytes_of,
    entry_from,
    entry_row,
    feedback_row,
    name_of,
    pool_from,
    run_from,
    run_row,
    slot_row,
    storable,
)
from matinee.errors import BackendError, ConflictError, DiskError
from matinee.manifest import Release, release_from_json, to_json
from matinee.ports import RunQuery
from matinee.private_files import FOLDER_MODE, open_private
from matinee.runs import (
    Change,
    Entry,
    Feedback,
    Json,
    Pool,
    Progress,
    Run,
    Slot,
    Status,
    first_run_id,
    merge_feedback,
    next_fair_share_rank,
)
from matinee.store_format import all_readable, check_bytes, check_key, decode, encode, feedback_from, readable

# --- shared values and documents --------------------------------------------------------------------------------------
# Small values by key, of the Store on SQLite: what predictors share (`state`) and what the app keeps (`documents`).

STATE = ""  # the kind of predictors' values; documents have a name
_VALUE = "SELECT value FROM documents WHERE kind = ? AND key = ?"
_NAMES_BYTES = 20  # what DynamoDB counts of a value's item beside key and value


class Values:
    """The verbs for small values of `ports.Store`."""

    _database: Database

    def state_get(self, key: str) -> Json:
        """Return the shared value, None if there is none.

        Raises BackendError for a damaged value: as None it would be counted from anew.
        """
        rows = self._database.read(_VALUE, (STATE, storable(key)))
        return _decode(STATE, key, rows[0][0]) if rows else None

    def state_set(self, key: str, value: Json) -> None:
        """Set the shared value; None removes it."""
        self.put_document(STATE, key, value)

    def state_increment(self, key: str, by: float) -> float:
        """Add to a shared number atomically and return the sum. Raises ConflictError if the value is not a number."""
        with self._database.write() as connection:
            old = _get(connection, STATE, key)
            if isinstance(old, bool) or not isinstance(old, int | float | None):
                raise ConflictError(f"state[{key!r}] is not a number.", hint="Set it to a number first.")
            total = (old or 0) + by
            _set(connection, STATE, key, total)
            return total

    def state_swap(self, key: str, old: Json, new: Json) -> bool:
        """Set the shared value if it is still `old`."""
        return self.swap_document(STATE, key, old, new)

    def document(self, kind: str, key: str) -> Json:
        """Return one document of a kind, None if there is none."""
        rows = self._database.read(_VALUE, (kind, storable(key)))
        return readable(decode, rows[0][0], _name(kind, key)) if rows else None

    def documents(self, kind: str) -> dict[str, Json]:
        """Return all documents of a kind by key, in order."""
        rows = self._database.read("SELECT key, value FROM documents WHERE kind = ? ORDER BY key", (kind,))
        read = {key: readable(decode, value, _name(kind, key)) for key, value in rows}
        return {key: value for key, value in read.items() if value is not None}

    def put_document(self, kind: str, key: str, value: Json) -> None:
        """Put or replace a document; None removes it. Raises LimitError for a value over 400 KB."""
        with self._database.write() as connection:
            _set(connection, kind, key, value)

    def swap_document(self, kind: str, key: str, old: Json, new: Json) -> bool:
        """Set a document if it is still `old`; None means absent."""
        with self._database.write() as connection:
            if _get(connection, kind, key) != old:
                return False
            _set(connection, kind, key, new)
            return True


def _get(connection: sqlite3.Connection, kind: str, key: str) -> Json:
    row = connection.execute(_VALUE, (kind, storable(key))).fetchone()
    return _decode(kind, key, row[0]) if row else None


def _decode(kind: str, key: str, value: str) -> Json:
    try:
        return decode(value)
    except ValueError as error:
        raise BackendError(f"{_name(kind, key)} is damaged: {error}.", hint="Set it anew.") from error


def _set(connection: sqlite3.Connection, kind: str, key: str, value: Json) -> None:
    check_key(storable(key), _name(kind, key))
    if value is None:
        connection.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, storable(key)))
    else:
        text = encode(value)
        check_bytes(bytes_of(storable(key), text) + _NAMES_BYTES, _name(kind, key))
        sql = "INSERT OR REPLACE INTO documents (kind, key, value) VALUES (?, ?, ?)"
        connection.execute(sql, (kind, storable(key), text))


def _name(kind: str, key: str) -> str:
    """Return what a value is called to people."""
    return f"The {kind} {key!r}" if kind else f"state[{key!r}]"


# --- the store on SQLite ----------------------------------------------------------------------------------------------

# Only constants of this module and question marks ever reach an f-string of SQL.
_RUN = f"SELECT {RUN_COLUMNS} FROM runs"  # noqa: S608
_ENTRY = f"SELECT {ENTRY_COLUMNS} FROM queue"  # noqa: S608
_PUT_RUN = f"INSERT INTO runs ({RUN_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_PUT_ENTRY = f"INSERT INTO queue ({ENTRY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_PUT_SLOT = f"INSERT OR IGNORE INTO slots ({SLOT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_POOL = f"""
    SELECT wake, turn, note, s.* FROM (SELECT ? AS name)
    LEFT JOIN pools p ON p.predictor = name
    LEFT JOIN (SELECT {SLOT_COLUMNS} FROM slots) s ON s.predictor = name ORDER BY s.number
"""  # noqa: S608
_POOLS = """
    SELECT predictor FROM pools p WHERE EXISTS (SELECT 1 FROM queue q WHERE q.predictor = p.predictor)
    OR EXISTS (SELECT 1 FROM slots s WHERE s.predictor = p.predictor) ORDER BY predictor
"""
_FEEDBACK = f"SELECT {FEEDBACK_COLUMNS} FROM feedback"  # noqa: S608
_PUT_FEEDBACK = f"INSERT OR REPLACE INTO feedback ({FEEDBACK_COLUMNS}) VALUES (?, ?, ?, ?)"  # noqa: S608
_FEEDBACK_SINCE = f"""
    {_FEEDBACK} WHERE updated_at >= ? AND (updated_at, run_id, user) > (?, ?, ?)
    ORDER BY updated_at, run_id, user LIMIT ?
"""
_WAKE = "INSERT INTO pools (predictor, wake) VALUES (?, 1) ON CONFLICT DO UPDATE SET wake = wake + 1"


class SqliteStore(Values):
    """A Store in one file, made if there is none. Raises DiskError for a file that is not one."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise DiskError(f"The folder of {path} cannot be made: {error.strerror}.") from error
        with suppress(OSError):  # it is there, which is well, or SQLite says why it cannot be
            open_private(self.path, "xb").close()  # the files that SQLite makes beside it take its mode
        self._database = Database(os.fspath(self.path))
        self._live: tuple[str, Release] | None = None

    # --- runs -------------------------------------------------------------------------------------------------

    def submit(self, runs: Sequence[Run]) -> list[Run]:
        """Put queued runs with their entries, all or none. A run whose id is known is not put again either."""
        with self._database.write() as connection:
            turns: dict[tuple[str, str], int] = {}
            put = [_put_unless_known(connection, run, turns) for run in runs]
            for predictor in {predictor for predictor, _ in turns}:
                connection.execute(_WAKE, (predictor,))
            return put

    def record(self, run: Run) -> None:
        """Put a finished realtime run. Recording the same run again changes nothing."""
        with self._database.write() as connection:
            connection.execute(f"{_PUT_RUN} ON CONFLICT (id) DO NOTHING", run_row(run))

    def run(self, run_id: str) -> Run | None:
        """Return the run, None if there is none."""
        rows = self._database.read(f"{_RUN} WHERE id = ?", (run_id,))
        return readable(run_from, rows[0], name_of(rows[0])) if rows else None

    def runs(self, query: RunQuery) -> list[Run]:
        """Return a page of runs, newest first.

        A page is full though some rows cannot be read, else it would look like the last one.
        """
        found: list[Run] = []
        while missing := query.limit - len(found):
            rows = self._database.read(*_list_statement(replace(query, limit=missing)))
            found += all_readable(run_from, rows, name_of)
            if len(rows) < missing:
                break
            query = replace(query, before=rows[-1][0])
        return found

    def apply(self, *changes: Change) -> bool:
        """Compare and swap runs and entries, all or none; False if something moved."""
        try:
            with self._database.write(durable=not all(change.is_claim for change in changes)) as connection:
                for change in changes:
                    _swap(connection, change)
        except _MovedError:
            return False
        return True

    # --- queue ------------------------------------------------------------------------------------------------

    def entry(self, predictor: str, run_id: str) -> Entry | None:
        """Return the queue entry of an unfinished run."""
        rows = self._database.read(f"{_ENTRY} WHERE run_id = ? AND predictor = ?", (run_id, predictor))
        return entry_from(rows[0]) if rows else None

    def due(self, predictor: str, now: float, limit: int = 1) -> list[Entry]:
        """Return the first entries in fair order that are due now."""
        sql = f"{_ENTRY} WHERE predictor = ? AND visible_at <= ? ORDER BY turn, run_id LIMIT ?"
        return [entry_from(row) for row in self._database.read(sql, (predictor, now, limit))]

    def leased(self, predictor: str) -> list[Entry]:
        """Return the entries that workers hold, expired leases included."""
        held = "predictor = ? AND attempt > 0 AND owner != ''"
        sql = f"{_ENTRY} INDEXED BY queue_in_time WHERE {held} ORDER BY turn, run_id"
        return [entry_from(row) for row in self._database.read(sql, (predictor,))]

    def next_due_at(self, predictor: str, now: float) -> float | None:
        """Return when the next entry becomes due, None if none will."""
        sql = "SELECT min(visible_at) FROM queue WHERE predictor = ? AND attempt > 0 AND visible_at > ?"
        ((at,),) = self._database.read(sql, (predictor, now))
        return None if at is None else float(at)

    def entries(self, predictor: str, limit: int = 1000) -> list[Entry]:
        """Return unfinished entries in fair order, leased ones included."""
        sql = f"{_ENTRY} WHERE predictor = ? ORDER BY turn, run_id LIMIT ?"
        return [entry_from(row) for row in self._database.read(sql, (predictor, limit))]

    def unfinished(self, user: str) -> int:
        """Return how many unfinished entries this user has."""
        sql = "SELECT count(*) FROM queue WHERE predictor IN (SELECT predictor FROM pools) AND user = ?"
        ((count,),) = self._database.read(sql, (user,))
        return int(count)

    def heartbeat(self, entry: Entry, *, visible_at: float, progress: Progress) -> Entry | None:
        """Renew the lease if its owner still holds it; return the entry as it is now, else None."""
        sql = f"""
            UPDATE queue SET visible_at = ?, progress_fraction = ?, progress_message = ?, rev = rev + 1
            WHERE run_id = ? AND owner = ? AND attempt = ? RETURNING {ENTRY_COLUMNS}
        """  # noqa: S608
        values = (visible_at, progress.fraction, storable(progress.message), entry.run_id, entry.owner, entry.attempt)
        with self._database.write(durable=False) as connection:
            rows = connection.execute(sql, values).fetchall()
        return entry_from(rows[0]) if rows else None

    # --- pool -------------------------------------------------------------------------------------------------

    def pool(self, predictor: str) -> Pool:
        """Return the pool of a predictor with its taken slots."""
        return pool_from(predictor, self._database.read(_POOL, (predictor,)))

    def pools(self) -> list[str]:
        """Return the predictors that have unfinished entries or taken slots."""
        return [predictor for (predictor,) in self._database.read(_POOLS)]

    def take_slot(self, slot: Slot) -> bool:
        """Take a free slot; False if it is taken."""
        with self._database.write(durable=False) as connection:
            connection.execute("INSERT OR IGNORE INTO pools (predictor) VALUES (?)", (slot.predictor,))
            return connection.execute(_PUT_SLOT, slot_row(slot)).rowcount == 1

    def update_slot(self, slot: Slot) -> bool:
        """Write the handle and `renewed_at` of a slot that still has this token, else False.

        An empty handle leaves the known one.
        """
        sql = """
            UPDATE slots SET handle = coalesce(nullif(?, ''), handle), renewed_at = max(renewed_at, ?)
            WHERE predictor = ? AND number = ? AND token = ?
        """
        values = (slot.handle, slot.renewed_at, slot.predictor, slot.number, slot.token)
        with self._database.write(durable=False) as connection:
            return connection.execute(sql, values).rowcount == 1

    def free_slot(self, slot: Slot, *, wake: int | None = None) -> bool:
        """Free the slot if it still has this token and the pool was not woken meanwhile."""
        sql = """
            DELETE FROM slots WHERE predictor = ? AND number = ? AND token = ?
            AND (? IS NULL OR EXISTS (SELECT 1 FROM pools p WHERE p.predictor = slots.predictor AND p.wake = ?))
        """
        with self._database.write(durable=False) as connection:
            values = (slot.predictor, slot.number, slot.token, wake, wake)
            return connection.execute(sql, values).rowcount == 1

    def note(self, predictor: str, text: str) -> None:
        """Record on the pool why nothing starts."""
        sql = "INSERT INTO pools (predictor, note) VALUES (?, ?) ON CONFLICT DO UPDATE SET note = excluded.note"
        with self._database.write(durable=False) as connection:
            connection.execute(sql, (predictor, storable(text)))

    # --- feedback and release -----------------------------------------------------------------------------

    def put_feedback(self, feedback: Feedback) -> None:
        """Put or replace a user's feedback on a run."""
        row = feedback_row(feedback)
        with self._database.write() as connection:
            connection.execute(_PUT_FEEDBACK, row)

    def change_feedback(self, run_id: str, user: str, changes: Mapping[str, Json]) -> Feedback:
        """Change the named fields of a user's feedback on a run and return it."""
        with self._database.write() as connection:
            rows = connection.execute(f"{_FEEDBACK} WHERE run_id = ? AND user = ?", (run_id, user)).fetchall()
            feedback = merge_feedback(next(iter(_feedback(rows)), None), run_id, user, changes)
            connection.execute(_PUT_FEEDBACK, feedback_row(feedback))
            return feedback

    def feedback(self, run_id: str) -> list[Feedback]:
        """Return all feedback of a run."""
        return _feedback(self._database.read(f"{_FEEDBACK} WHERE run_id = ? ORDER BY user", (run_id,)))

    def feedback_since(self, at: float, *, after: Feedback | None = None, limit: int = 1000) -> list[Feedback]:
        """Return a page of the feedback given since a time, oldest first."""
        start: TableRow = (after.updated_at, after.run_id, after.user) if after else (at, "", "")
        while True:  # until something of a page can be read: an empty one is the end
            rows = self._database.read(_FEEDBACK_SINCE, (start[0], *start, limit))
            found = _feedback(rows)
            if found or len(rows) < limit:
                return found
            run_id, user, updated_at, _ = rows[-1]
            start = (updated_at, run_id, user)

    def release(self) -> Release | None:
        """Return the release that is live, None before the first deploy."""
        rows = self._database.read("SELECT body FROM release")
        if not rows:
            return None
        live = self._live
        if live is None or live[0] != rows[0][0]:
            release = readable(_release_from, rows[0][0], "The release")
            if release is None:
                return None
            self._live = live = (rows[0][0], release)
        return live[1]

    def put_release(self, release: Release) -> None:
        """Make this release live."""
        with self._database.write() as connection:
            connection.execute("INSERT OR REPLACE INTO release (one, body) VALUES (1, ?)", (encode(to_json(release)),))

    def close(self) -> None:
        """Close the connections."""
        self._database.close()


class _MovedError(Exception):
    """What a change was made for is no longer so: the transaction is undone."""


def _release_from(body: str) -> Release:
    return release_from_json(decode(body))


def _feedback(rows: Sequence[TableRow]) -> list[Feedback]:
    return all_readable(lambda row: feedback_from(row[3]), rows, lambda row: f"What {row[1]} said of run {row[0]}")


def _put_unless_known(connection: sqlite3.Connection, run: Run, turns: dict[tuple[str, str], int]) -> Run:
    known = _find_known(connection, run)
    if known is not None:
        return known
    queue = (run.predictor, run.user)
    turn = turns[queue] + 1 if queue in turns else _first_turn(connection, *queue)
    turns[queue] = turn
    connection.execute(_PUT_RUN, run_row(run))
    # Visible since ever: a run just submitted is due whatever the clock of who looks for it says.
    connection.execute(_PUT_ENTRY, entry_row(Entry(run.predictor, run.id, run.user, turn, visible_at=0.0)))
    return run


def _find_known(connection: sqlite3.Connection, run: Run) -> Run | None:
    """Return the run of this id (a submit repeated after a lost answer) or of this idempotency key."""
    row: TableRow | None = connection.execute(f"{_RUN} WHERE id = ?", (run.id,)).fetchone()
    if row is None and run.idempotency_key:
        # The first term is what makes SQLite see that the partial index serves.
        sql = f"{_RUN} WHERE idempotency_key != '' AND user = ? AND predictor = ? AND idempotency_key = ?"
        row = connection.execute(sql, (run.user, run.predictor, run.idempotency_key)).fetchone()
    known = readable(run_from, row, name_of(row)) if row else None
    if row and known is None:  # nobody can be given it: its key is free again
        connection.execute("UPDATE runs SET idempotency_key = '' WHERE id = ?", (row[0],))
    return known


def _first_turn(connection: sqlite3.Connection, predictor: str, user: str) -> int:
    last_turn = "SELECT max(turn) FROM queue WHERE predictor = ? AND user = ?"
    sql = f"SELECT (SELECT turn FROM pools WHERE predictor = ?), ({last_turn})"  # noqa: S608
    pool_turn, last = connection.execute(sql, (predictor, predictor, user)).fetchone()
    return next_fair_share_rank(pool_turn or 0, last or 0)


def _swap(connection: sqlite3.Connection, change: Change) -> None:
    run = change.after
    if run.status.is_final:
        run_row(run)  # refuses what would be too large
    sql = "UPDATE runs SET status = ?, rev = rev + 1, result = ?, body = ? WHERE id = ? AND rev = ?"
    values = (run.status.value, encode(run.result), body_of(run), run.id, change.before.rev)
    if connection.execute(sql, values).rowcount != 1 or not _swap_entry(connection, change):
        raise _MovedError
    if change.wake:
        connection.execute(_WAKE, (run.predictor,))
    if change.fair_share_rank:
        sql = "UPDATE pools SET turn = ? WHERE predictor = ? AND turn < ?"
        connection.execute(sql, (change.fair_share_rank, run.predictor, change.fair_share_rank))


def _swap_entry(connection: sqlite3.Connection, change: Change) -> bool:
    before, after = change.entry_before, change.entry
    if before is None and after is None:
        connection.execute("DELETE FROM queue WHERE run_id = ?", (change.before.id,))
        return True
    if after is None:
        sql = "DELETE FROM queue WHERE run_id = ? AND rev = ?"
        return connection.execute(sql, (change.before.id, before.rev if before else 0)).rowcount == 1
    if before is None:
        connection.execute(_PUT_ENTRY, entry_row(after))
        return True
    sql = """
        UPDATE queue SET visible_at = ?, owner = ?, attempt = ?, progress_fraction = ?, progress_message = ?,
        cancel_requested = ?, rev = rev + 1 WHERE run_id = ? AND rev = ?
    """
    progress = (after.progress.fraction, after.progress.message)
    values = (after.visible_at, after.owner, after.attempt, *progress, after.cancel_requested, after.run_id, before.rev)
    return connection.execute(sql, values).rowcount == 1


def _list_statement(query: RunQuery) -> tuple[str, list[str | int]]:
    terms = [] if query.include_nested else ["parent = ''"]
    parameters: list[str | int] = []
    for column, value in (("user", query.user), ("predictor", query.predictor)):
        if value is not None:
            terms.append(f"{column} = ?")
            parameters.append(value)
    for bound, value in _id_bounds(query):
        terms.append(f"id {bound} ?")
        parameters.append(value)
    index = ""
    if query.statuses:
        terms.append(f"status IN ({', '.join('?' * len(query.statuses))})")
        parameters += sorted(status.value for status in query.statuses)
    if query.statuses and not any(status.is_final for status in query.statuses):
        terms.append("id IN (SELECT run_id FROM queue)")  # what is unfinished: few, however long history is
    elif query.statuses and Status.SUCCEEDED not in query.statuses and not query.include_nested:
        terms.append("status != 'succeeded'")  # as the index says it
        index = " INDEXED BY runs_not_succeeded"
    elif query.user is not None and not query.include_nested:
        index = " INDEXED BY runs_of_user"  # a predictor may be everybody's
    where = f" WHERE {' AND '.join(terms)}" if terms else ""
    return f"{_RUN}{index}{where} ORDER BY id DESC LIMIT ?", [*parameters, query.limit]


def _id_bounds(query: RunQuery) -> list[tuple[str, str]]:
    bounds = [("<", query.before)] if query.before else []
    if query.since is not None:
        bounds.append((">=", first_run_id(query.since)))
    if query.until is not None:
        bounds.append(("<", first_run_id(query.until)))
    return bounds
