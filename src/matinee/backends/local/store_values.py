"""Small values by key, of the Store on SQLite: what predictors share (`state`) and what the app keeps (`documents`)."""

from __future__ import annotations

import sqlite3

from matinee.backends.local.store_database import Database
from matinee.backends.local.store_rows import bytes_of, storable
from matinee.errors import BackendError, ConflictError
from matinee.runs import Json
from matinee.store_format import check_bytes, check_key, decode, encode, readable

STATE = ""  # the kind of predictors' values; documents have a name
_VALUE = "SELECT value FROM documents WHERE kind = ? AND key = ?"
_NAMES_BYTES = 20  # what DynamoDB counts of a value's item beside key and value


class Values:
    """The verbs for small values of `ports.Store`."""

    _database: Database

    def state_get(self, key: str) -> Json:
        """See `ports.Store`. Raises BackendError for a damaged value: as None it would be counted from anew."""
        rows = self._database.read(_VALUE, (STATE, storable(key)))
        return _decoded(STATE, key, rows[0][0]) if rows else None

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
        rows = self._database.read(_VALUE, (kind, storable(key)))
        return readable(decode, rows[0][0], _name(kind, key)) if rows else None

    def documents(self, kind: str) -> dict[str, Json]:
        """See `ports.Store`."""
        rows = self._database.read("SELECT key, value FROM documents WHERE kind = ? ORDER BY key", (kind,))
        read = {key: readable(decode, value, _name(kind, key)) for key, value in rows}
        return {key: value for key, value in read.items() if value is not None}

    def put_document(self, kind: str, key: str, value: Json) -> None:
        """See `ports.Store`. Raises LimitError for a value over 400 KB."""
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
    row = connection.execute(_VALUE, (kind, storable(key))).fetchone()
    return _decoded(kind, key, row[0]) if row else None


def _decoded(kind: str, key: str, value: str) -> Json:
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
