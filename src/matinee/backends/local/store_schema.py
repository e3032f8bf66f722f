"""The tables of `state.db`, how a file is recognised as one, and how one of an older format is migrated.

`runs` holds history, `queue` what is unfinished (small rows, deleted at the end), `pools` and `slots` the workers.
Every index serves one query of the store, named beside it. What claim and finish change decides their speed (each
page they touch is written to the log), so indexes leave out what changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from matinee.errors import DiskError
from matinee.store_format import FORMAT, UPDATE, newer

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
