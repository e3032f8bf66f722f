"""The tables of `state.db`, and how a file is recognised as one.

`runs` holds history, `queue` what is unfinished (small rows, deleted at the end), `pools` and `slots` the workers.
Every index serves one query of the store, named beside it. What claim and finish change decides their speed (each
page they touch is written to the log), so indexes leave out what changes.
"""

from __future__ import annotations

import sqlite3

from matinee.errors import DiskError

APPLICATION_ID = 0x4D61_7469  # "Mati": says whose file this is
VERSION = 1
SAID_AT = "json_extract(body, '$.updated_at')"
FEEDBACK_ORDER = f"{SAID_AT}, run_id, user"

_TABLES = f"""
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
    PRIMARY KEY (run_id, user)
) WITHOUT ROWID;
-- feedback_since
CREATE INDEX feedback_in_time ON feedback ({FEEDBACK_ORDER});
CREATE TABLE documents (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE release (one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), body TEXT NOT NULL);
"""


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make sure the file is a store of this version; a new file becomes one. Raises DiskError for any other."""
    if _is_ours(connection, path):
        return
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _is_ours(connection, path):  # another process may have made it meanwhile
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled it back already
            connection.execute("ROLLBACK")
        raise


def _is_ours(connection: sqlite3.Connection, path: str) -> bool:
    """Return False for a new file; DiskError for a foreign one or one of a newer Matinee."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id == APPLICATION_ID and version == VERSION:
        return True
    if application_id == APPLICATION_ID and version > VERSION:
        raise DiskError(
            f"{path} was written by a newer Matinee (format {version}, this one reads {VERSION}).",
            hint="Update Matinee: pip install -U matinee.",
        )
    if application_id == 0 and version == 0 and tables == 0:
        return False
    raise DiskError(f"{path} is a database, but not one of Matinee's.", hint="Move it aside and start again.")
