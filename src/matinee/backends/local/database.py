"""Connections to one SQLite file: shared by threads and processes, safe after fork and kill, errors in plain words."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from matinee import store_format
from matinee.errors import DiskError
from matinee.runs import Entry, Feedback, Pool, Progress, Run, Slot, Status
from matinee.store_format import FORMAT, UPDATE, check_bytes, decode, encode, newer, run_body

T = TypeVar("T")
Row = tuple[Any, ...]

BUSY_S = 30.0  # how long others may hold the file before we give up
_POLL_S = 0.005  # SQLite's own wait backs off to 100 ms and starves; a short one, repeated, is fair enough
_IDLE_CONNECTIONS = 8  # open and waiting for the next read; each holds three descriptors
_LOG_PAGES = 4000  # 16 MB of log before it is folded into the file: that costs two more waits for the disk
_inherited: list[object] = []  # connections from before a fork: closing them here would drop the parent's locks


class _Connection(sqlite3.Connection):
    durable = True


class Database:
    """A pool of connections; one is used by one thread at a time, and one write happens at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._reset()
        self._return(self._take())

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._write_lock = threading.Lock()  # a queue of our own threads, instead of SQLite's polling
        self._all: list[_Connection] = []
        self._idle: list[_Connection] = []

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of one statement: a snapshot of its own."""
        connection = self._take()
        try:
            return _retry_while_busy(lambda: connection.execute(sql, parameters).fetchall(), self.path)
        finally:
            self._return(connection)

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction, undone if it raises. `durable`: it survives a power failure."""
        connection = self._take()
        try:
            with self._write_lock:
                _retry_while_busy(lambda: _begin(connection, durable), self.path)
                try:
                    yield connection
                    connection.execute("COMMIT")
                except sqlite3.Error as error:
                    _roll_back(connection)
                    raise disk_error(error, self.path) from error
                except BaseException:
                    _roll_back(connection)
                    raise
        finally:
            self._return(connection)

    def close(self) -> None:
        """Close what is idle; later use opens anew."""
        if os.getpid() == self._pid:
            while self._idle:
                connection = self._idle.pop()
                self._all.remove(connection)
                connection.close()

    def _take(self) -> _Connection:
        if os.getpid() != self._pid:
            _inherited.append(self._all)
            self._reset()
        try:
            return self._idle.pop()
        except IndexError:
            return _retry_while_busy(self._open, self.path)

    def _return(self, connection: _Connection) -> None:
        if os.getpid() != self._pid:
            return
        if len(self._idle) < _IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:  # a moment of many readers must not hold descriptors for good
            self._all.remove(connection)
            connection.close()

    def _open(self) -> _Connection:
        connection = sqlite3.connect(
            self.path, timeout=_POLL_S, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        try:
            prepare(connection, self.path)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        except BaseException:
            connection.close()
            raise
        self._all.append(connection)
        return connection


def _begin(connection: _Connection, durable: bool) -> None:
    if connection.durable is not durable:
        connection.execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")
        connection.durable = durable
    connection.execute("BEGIN IMMEDIATE")


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _retry_while_busy(step: Callable[[], T], path: str) -> T:
    """Repeat the step while another process holds the file."""
    give_up_at = time.monotonic() + BUSY_S
    while True:
        try:
            return step()
        except sqlite3.Error as error:
            if _primary_code(error) not in _BUSY_CODES or time.monotonic() > give_up_at:
                raise disk_error(error, path) from error


def _primary_code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


_BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_NOT_READABLE = ("is damaged or is not a database", "Move it aside (Matinee never deletes it) and start again.")
_NOT_WRITABLE = ("cannot be written", "Give yourself write permission on its folder, or choose another folder.")
_SENTENCES = {
    sqlite3.SQLITE_CORRUPT: _NOT_READABLE,
    sqlite3.SQLITE_NOTADB: _NOT_READABLE,
    sqlite3.SQLITE_FULL: ("cannot grow: the disk is full", "Free some space; nothing was half-written."),
    sqlite3.SQLITE_READONLY: _NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "Check that its folder exists and that you may write in it."),
    sqlite3.SQLITE_PERM: _NOT_WRITABLE,
    sqlite3.SQLITE_IOERR: ("could not be read or written", "Check the disk: it may be full, read-only or gone."),
    sqlite3.SQLITE_BUSY: (f"was held by another process for {BUSY_S:.0f} s", "End the process that holds it."),
    sqlite3.SQLITE_LOCKED: (f"was held by another process for {BUSY_S:.0f} s", "End the process that holds it."),
}


def disk_error(error: sqlite3.Error, path: str) -> DiskError:
    """Return SQLite's error as a sentence with a hint."""
    what, hint = _SENTENCES.get(_primary_code(error), (f"could not be used ({error})", "This is Matinee's fault."))
    return DiskError(f"{path} {what}.", hint=hint)


# --- schema and migrations --------------------------------------------------------------------------------------------
# The tables of `state.db`, how a file is recognised as one, and how one of an older format is migrated.
#
# `runs` holds history, `queue` what is unfinished (small rows, deleted at the end), `pools` and `slots` the workers.
# Every index serves one query of the store, named beside it. What claim and finish change decides their speed (each
# page they touch is written to the log), so indexes leave out what changes.

APPLICATION_ID = 0x4D61_7469  # "Mati": says whose file this is

_TABLES = """
CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    predictor TEXT NOT NULL,
    user TEXT NOT NULL,
    status TEXT NOT NULL,
    parent TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    rev INTEGER NOT NULL,
    inputs TEXT NOT NULL,
    result TEXT NOT NULL,
    body TEXT NOT NULL
);
-- runs: everybody's
CREATE INDEX runs_listed ON runs (id) WHERE parent = '';
-- runs: mine
CREATE INDEX runs_of_user ON runs (user, id, predictor) WHERE parent = '';
-- runs: of one predictor
CREATE INDEX runs_of_predictor ON runs (predictor, id) WHERE parent = '';
-- runs: by any status but the one that most runs have
CREATE INDEX runs_not_succeeded ON runs (id, user, predictor) WHERE parent = '' AND status != 'succeeded';
-- submit
CREATE UNIQUE INDEX runs_once ON runs (user, predictor, idempotency_key) WHERE idempotency_key != '';

CREATE TABLE queue (
    predictor TEXT NOT NULL,
    turn INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    user TEXT NOT NULL,
    visible_at REAL NOT NULL,
    owner TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    progress_fraction REAL,
    progress_message TEXT NOT NULL,
    cancel_requested INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    PRIMARY KEY (predictor, turn, run_id) -- due, entries: fair order
) WITHOUT ROWID;
-- entry
CREATE UNIQUE INDEX queue_of_run ON queue (run_id);
-- submit: the user's last turn
CREATE INDEX queue_of_user ON queue (predictor, user, turn);
-- leased, next_due_at: what was never claimed is due at once
CREATE INDEX queue_in_time ON queue (predictor, visible_at) WHERE attempt > 0;

CREATE TABLE pools (
    predictor TEXT NOT NULL PRIMARY KEY,
    wake INTEGER NOT NULL DEFAULT 0,
    turn INTEGER NOT NULL DEFAULT 0,
    note TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE slots (
    predictor TEXT NOT NULL,
    number INTEGER NOT NULL,
    token TEXT NOT NULL,
    version TEXT NOT NULL,
    taken_at REAL NOT NULL,
    handle TEXT NOT NULL,
    renewed_at REAL NOT NULL,
    PRIMARY KEY (predictor, number)
) WITHOUT ROWID;
CREATE TABLE feedback (
    run_id TEXT NOT NULL,
    user TEXT NOT NULL,
    body TEXT NOT NULL,
    updated_at REAL NOT NULL DEFAULT 0, -- beside the body: one that is damaged must not stop the query
    PRIMARY KEY (run_id, user)
) WITHOUT ROWID;
-- feedback_since
CREATE INDEX feedback_in_time ON feedback (updated_at, run_id, user);
CREATE TABLE documents (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE release (one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL);
"""


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make sure the file is a store of this format: a new one becomes it, an older one is migrated.

    Before a migration the file as it was is copied to `state.db.format-1`, with the older number. Raises DiskError for
    a file of a newer format or of somebody else.
    """
    if _format_of(connection, path) == FORMAT:
        return
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _format_of(connection, path)  # another process may have made or migrated it meanwhile
        if found == 0:
            _make(connection)
        elif found < FORMAT:
            _copy(path, f"{path}.format-{found}")
            for number in range(found, FORMAT):
                _MIGRATIONS[number](connection)
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled it back already
            connection.execute("ROLLBACK")
        raise


def _make(connection: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _copy(path: str, copy: str) -> None:
    """Copy the database as it is on disk; whole or not at all."""
    unfinished = Path(f"{copy}.part")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(unfinished)) as target:
        unfinished.chmod(Path(path).stat().st_mode)
        source.backup(target)
    unfinished.replace(copy)


def _to_2(connection: sqlite3.Connection) -> None:
    """Give the time of a feedback a column of its own."""
    connection.execute("DROP INDEX feedback_in_time")
    connection.execute("ALTER TABLE feedback ADD COLUMN updated_at REAL NOT NULL DEFAULT 0")
    time = "coalesce(json_extract(body, '$.updated_at'), 0)"
    connection.execute(f"UPDATE feedback SET updated_at = {time} WHERE json_valid(body)")  # noqa: S608
    connection.execute("CREATE INDEX feedback_in_time ON feedback (updated_at, run_id, user)")


_MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _to_2}  # from this format to the next


def _format_of(connection: sqlite3.Connection, path: str) -> int:
    """Return the format of the file, 0 for a new one; DiskError for a foreign one or one of a newer Matinee."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id == APPLICATION_ID and 0 < found <= FORMAT:
        return int(found)
    if application_id == APPLICATION_ID and found > FORMAT:
        raise DiskError(newer(found, path), hint=UPDATE)
    if application_id == 0 and found == 0 and tables == 0:
        return 0
    raise DiskError(f"{path} is a database, but not one of Matinee's.", hint="Move it aside and start again.")


# --- conversion to SQLite rows ----------------------------------------------------------------------------------------
# Frozen values to rows and back: columns for what is queried, JSON for the rest.

TableRow = tuple[Any, ...]

RUN_COLUMNS = "id, predictor, user, status, parent, idempotency_key, rev, inputs, result, body"
ENTRY_COLUMNS = (
    "predictor, run_id, user, turn, visible_at, owner, attempt, "
    "progress_fraction, progress_message, cancel_requested, rev"
)
_ITEM_BYTES = 512  # more than DynamoDB counts of an item beside its values: names and keys
SLOT_COLUMNS = "predictor, number, token, version, taken_at, handle, renewed_at"
FEEDBACK_COLUMNS = "run_id, user, updated_at, body"
_COLUMNS = frozenset(RUN_COLUMNS.split(", "))


def body_of(run: Run) -> str:
    """Return the JSON of what no query asks for."""
    return run_body(run, _COLUMNS)


def run_row(run: Run) -> TableRow:
    """Return RUN_COLUMNS. Raises LimitError for a run that is larger than every store takes."""
    row = (
        run.id,
        run.predictor,
        run.user,
        run.status.value,
        run.parent,
        run.idempotency_key,
        run.rev,
        encode(run.inputs),
        encode(run.result),
        body_of(run),
    )
    check_bytes(bytes_of(*row) + _ITEM_BYTES, f"Run {run.id}")
    return row


def run_from(row: TableRow) -> Run:
    """Read RUN_COLUMNS. Raises what `store_format.readable` expects."""
    run_id, predictor, user, status, parent, key, rev, inputs, result, body = row
    return store_format.run_from(
        body,
        id=run_id,
        predictor=predictor,
        user=user,
        status=Status(status),
        parent=parent,
        idempotency_key=key,
        rev=rev,
        inputs=decode(inputs),
        result=decode(result),
    )


def name_of(row: TableRow) -> str:
    """Return what a row of RUN_COLUMNS is called in the log."""
    return f"Run {row[0]}"


def feedback_row(feedback: Feedback) -> TableRow:
    """Return FEEDBACK_COLUMNS. Raises LimitError for what is larger than every store takes."""
    row = (feedback.run_id, feedback.user, feedback.updated_at, encode(vars(feedback)))
    check_bytes(bytes_of(*row) + _ITEM_BYTES, "The feedback")
    return row


def bytes_of(*values: Any) -> int:
    """Return how many bytes the texts among the values have."""
    return sum(len(value.encode("utf-8", "replace")) for value in values if isinstance(value, str))


def entry_row(entry: Entry) -> TableRow:
    """Return ENTRY_COLUMNS."""
    return (
        entry.predictor,
        entry.run_id,
        entry.user,
        entry.fair_share_rank,
        entry.visible_at,
        entry.owner,
        entry.attempt,
        entry.progress.fraction,
        storable(entry.progress.message),
        entry.cancel_requested,
        entry.rev,
    )


def entry_from(row: TableRow) -> Entry:
    """Read ENTRY_COLUMNS."""
    predictor, run_id, user, turn, visible_at, owner, attempt, fraction, message, cancel_requested, rev = row
    progress = Progress(fraction, message)
    return Entry(predictor, run_id, user, turn, visible_at, owner, attempt, progress, bool(cancel_requested), rev)


def slot_row(slot: Slot) -> TableRow:
    """Return SLOT_COLUMNS."""
    return (slot.predictor, slot.number, slot.token, slot.version, slot.taken_at, slot.handle, slot.renewed_at)


def pool_from(predictor: str, rows: list[TableRow]) -> Pool:
    """Read wake, turn, note and SLOT_COLUMNS: one row per slot, or one with nothing in the slot's columns."""
    wake, turn, note = rows[0][:3]
    slots = tuple(Slot(*row[3:]) for row in rows if row[4] is not None)
    return Pool(predictor, wake or 0, turn or 0, note or "", slots)


def storable(text: str) -> str:
    """Replace halves of surrogate pairs, which UTF-8 cannot say: a predictor's message may hold anything."""
    return text.encode("utf-8", "replace").decode()
