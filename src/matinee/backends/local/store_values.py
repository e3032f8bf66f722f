"""Small values by key, of the Store on SQLite: what predictors share (`state`) and what the app keeps (`documents`)."""

from __future__ import annotations

import sqlite3

from matinee.backends.local.store_database import Database
from matinee.backends.local.store_rows import decode, encode, storable
from matinee.errors import ConflictError
from matinee.runs import Json

STATE = ""  # the kind of predictors' values; documents have a name


class Values:
    """The verbs for small values of `ports.Store`."""

    _database: Database

    def state_get(self, key: str) -> Json:
        """See `ports.Store`."""
        return self.document(STATE, key)

    def state_set(self, key: str, value: Json) -> None:
        """See `ports.Store`."""
        self.put_document(STATE, key, value)

    def state_increment(self, key: str, by: float) -> float:
        """See `ports.Store`. Raises ConflictError if the value is not a number."""
        with self._database.write() as connection:
            old = _get(connection, STATE, key)
            if isinstance(old, bool) or not isinstance(old, int | float | None):
                raise ConflictError(f"state[{key!r}] is not a number.", hint="Set it to a number first.")
            total = (old or 0) + by
            _set(connection, STATE, key, total)
            return total

    def state_swap(self, key: str, old: Json, new: Json) -> bool:
        """See `ports.Store`."""
        return self.swap_document(STATE, key, old, new)

    def document(self, kind: str, key: str) -> Json:
        """See `ports.Store`."""
        rows = self._database.read("SELECT value FROM documents WHERE kind = ? AND key = ?", (kind, storable(key)))
        return decode(rows[0][0]) if rows else None

    def documents(self, kind: str) -> dict[str, Json]:
        """See `ports.Store`."""
        rows = self._database.read("SELECT key, value FROM documents WHERE kind = ? ORDER BY key", (kind,))
        return {key: decode(value) for key, value in rows}

    def put_document(self, kind: str, key: str, value: Json) -> None:
        """See `ports.Store`."""
        with self._database.write() as connection:
            _set(connection, kind, key, value)

    def swap_document(self, kind: str, key: str, old: Json, new: Json) -> bool:
        """See `ports.Store`."""
        with self._database.write() as connection:
            if _get(connection, kind, key) != old:
                return False
            _set(connection, kind, key, new)
            return True


def _get(connection: sqlite3.Connection, kind: str, key: str) -> Json:
    sql = "SELECT value FROM documents WHERE kind = ? AND key = ?"
    row = connection.execute(sql, (kind, storable(key))).fetchone()
    return decode(row[0]) if row else None


def _set(connection: sqlite3.Connection, kind: str, key: str, value: Json) -> None:
    if value is None:
        connection.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, storable(key)))
    else:
        sql = "INSERT OR REPLACE INTO documents (kind, key, value) VALUES (?, ?, ?)"
        connection.execute(sql, (kind, storable(key), encode(value)))
