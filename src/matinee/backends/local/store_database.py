"""Connections to one SQLite file: shared by threads and processes, safe after fork and kill, errors in plain words."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from matinee.backends.local.store_schema import prepare
from matinee.errors import DiskError

T = TypeVar("T")
Row = tuple[Any, ...]

BUSY_S = 30.0  # how long others may hold the file before we give up
_POLL_S = 0.005  # SQLite's own wait backs off to 100 ms and starves; a short one, repeated, is fair enough
_LOG_PAGES = 4000  # 16 MB of log before it is folded into the file: that costs two more waits for the disk
_inherited: list[object] = []  # connections from before a fork: closing them here would drop the parent's locks


class _Connection(sqlite3.Connection):
    durable = True


class Database:
    """A pool of connections; one is used by one thread at a time, and one write happens at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._reset()
        self._give_back(self._take())

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._write_lock = threading.Lock()  # a queue of our own threads, instead of SQLite's polling
        self._all: list[_Connection] = []
        self._idle: list[_Connection] = []

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of one statement: a snapshot of its own."""
        connection = self._take()
        try:
            return _patiently(lambda: connection.execute(sql, parameters).fetchall(), self.path)
        finally:
            self._give_back(connection)

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction, undone if it raises. `durable`: it survives a power failure."""
        connection = self._take()
        try:
            with self._write_lock:
                _patiently(lambda: _begin(connection, durable), self.path)
                try:
                    yield connection
                    connection.execute("COMMIT")
                except sqlite3.Error as error:
                    _roll_back(connection)
                    raise explained(error, self.path) from error
                except BaseException:
                    _roll_back(connection)
                    raise
        finally:
            self._give_back(connection)

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
            return _patiently(self._open, self.path)

    def _give_back(self, connection: _Connection) -> None:
        if os.getpid() == self._pid:
            self._idle.append(connection)

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


def _patiently(step: Callable[[], T], path: str) -> T:
    """Repeat the step while another process holds the file."""
    give_up_at = time.monotonic() + BUSY_S
    while True:
        try:
            return step()
        except sqlite3.Error as error:
            if _primary_code(error) not in _WAIT or time.monotonic() > give_up_at:
                raise explained(error, path) from error


def _primary_code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


_WAIT = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_NOT_READABLE = ("is damaged or is not a database", "Move it aside (Matinee never deletes it) and start again.")
_NOT_WRITABLE = ("cannot be written", "Give yourself write permission on its folder, or choose another folder.")
_EXPLAINED = {
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


def explained(error: sqlite3.Error, path: str) -> DiskError:
    """Return SQLite's error as a sentence with a hint."""
    what, hint = _EXPLAINED.get(_primary_code(error), (f"could not be used ({error})", "This is Matinee's fault."))
    return DiskError(f"{path} {what}.", hint=hint)
