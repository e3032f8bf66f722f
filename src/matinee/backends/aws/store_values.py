"""Small values by key, of the Store on DynamoDB: what predictors share (`state`) and what the app keeps (`documents`).

A whole number is kept as DynamoDB's own, in `count`, so that many may add to it at once; everything else is JSON text
in `value`. What predictors' functions may do is get, put and update: a removed value leaves an empty item that expires.
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from matinee.backends.aws.errors import explained, is_throttle
from matinee.backends.aws.store_items import name_of
from matinee.backends.aws.store_table import (
    Item,
    Key,
    MovedError,
    Table,
    check_size,
    document_key,
    key,
    n,
    s,
    state_key,
)
from matinee.errors import BackendError, ConflictError
from matinee.lambda_api.sdk import code_of, log_failure
from matinee.manifest import Release, release_from_json, to_json
from matinee.names import EXPIRES
from matinee.retry import Backoff
from matinee.runs import Json
from matinee.store_format import FORMAT, LARGEST_BYTES, check_format, decode, encode, readable

_REMOVED_S = 24 * 3600
_LARGEST_COUNT = 2**63  # DynamoDB's numbers have 38 digits: sums of these stay exact
_BACKOFF = Backoff(base_s=0.02, cap_s=0.3, total_s=15.0)
_UNTOUCHED = "attribute_not_exists(#count) AND attribute_not_exists(#value)"


class Values:
    """The verbs for small values of `ports.Store`."""

    _table: Table

    def state_get(self, key: str) -> Json:
        """Return the shared value, None if there is none.

        Raises BackendError for a damaged value: as None it would be counted from anew.
        """
        return _value(self._table.get(state_key(key)))

    def state_set(self, key: str, value: Json) -> None:
        """Set the shared value; None removes it. Raises LimitError for a value over 400 KB."""
        self._table.put(_item(state_key(key), value, f"state[{key!r}]"))

    def state_increment(self, key: str, by: float) -> float:
        """Add to a shared number atomically and return the sum. Raises ConflictError if the value is not a number.

        Raises BackendError when the answer was lost and it cannot be known any more whether it was counted.
        """
        where = state_key(key)
        if _is_count(by):
            total = _added(self._table, where, int(by))
            if total is not None:
                return total

        def added(old: Json) -> Json:
            if isinstance(old, bool) or not isinstance(old, int | float | None):
                raise ConflictError(f"state[{key!r}] is not a number.", hint="Set it to a number first.")
            return (old or 0) + by

        new: float = _replaced(self._table, where, added, f"state[{key!r}]")
        return new

    def state_swap(self, key: str, old: Json, new: Json) -> bool:
        """Set the shared value if it is still `old`."""
        return _swapped(self._table, state_key(key), old, new, f"state[{key!r}]")

    def document(self, kind: str, key: str) -> Json:
        """Return one document of a kind, None if there is none."""
        item = self._table.get(document_key(kind, key))
        return readable(_decoded, item, name_of(item)) if item else None

    def documents(self, kind: str) -> dict[str, Json]:
        """Return all documents of a kind by key, in order."""
        items = self._table.query("#pk = :pk", {":pk": s(f"DOC#{kind}")})
        read = {item["sk"]["S"].removeprefix("K#"): readable(_decoded, item, name_of(item)) for item in items}
        return {key: value for key, value in read.items() if value is not None}

    def put_document(self, kind: str, key: str, value: Json) -> None:
        """Put or replace a document; None removes it. Raises LimitError for a value over 400 KB."""
        where = document_key(kind, key)
        if value is None:
            self._table.delete(where)
        else:
            self._table.put(_item(where, value, f"The {kind} {key!r}"))

    def swap_document(self, kind: str, key: str, old: Json, new: Json) -> bool:
        """Set a document if it is still `old`; None means absent."""
        return _swapped(self._table, document_key(kind, key), old, new, f"The {kind} {key!r}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_COUNT


def _value(item: Item | None) -> Json:
    if item is None:
        return None
    try:
        return _decoded(item)
    except ValueError as error:
        raise BackendError(f"{name_of(item)} is damaged: {error}.", hint="Set it anew.") from error


def _decoded(item: Item) -> Json:
    if "count" in item:
        return int(Decimal(item["count"]["N"]))
    return decode(item["value"]["S"]) if "value" in item else None


def _item(where: Key, value: Json, what: str) -> Item:
    if value is None:
        return {**where, EXPIRES: {"N": str(int(time.time()) + _REMOVED_S)}}
    item: Item = {**where, "count": {"N": str(value)}} if _is_count(value) else {**where, "value": s(encode(value))}
    check_size(item, what)
    return item


def _added(table: Table, where: Key, by: int) -> int | None:
    """Add to a whole number in one call; None if there is another kind of value.

    Adding twice is not adding once, so the call is sent once, and named: after a lost answer the name says whether it
    arrived, unless somebody else has added since.
    """
    name = os.urandom(9).hex()
    values: Item = {":by": {"N": str(by)}, ":name": s(name)}
    waits = _BACKOFF.waits()
    while True:
        try:
            update = f"SET #by_name = :name REMOVE #{EXPIRES} ADD #count :by"
            return int(_value(table.update_once(where, update, values, "attribute_not_exists(#value)")))
        except Exception as error:
            outcome, failed = _outcome(table, where, name, error), error
        if outcome is not _AGAIN:
            return None if outcome is None else int(outcome)
        if not next(waits):
            log_failure(failed, "dynamodb:UpdateItem", f"table/{table.name}")
            raise BackendError(f"The table {table.name} is too busy to count.", hint="Try again in a moment.")


_AGAIN: Any = object()


def _outcome(table: Table, where: Key, name: str, error: Exception) -> Any:
    """Return the sum if it was added after all, None if another kind of value is there, _AGAIN if nothing was done."""
    code = code_of(error)
    if code in ("ConditionalCheckFailedException", "ValidationException"):  # ValidationException: over 38 digits
        return None
    if is_throttle(error) or code == "TransactionConflictException":
        return _AGAIN
    if code and not code.startswith("Internal"):
        with explained(f"The table {table.name}", "dynamodb:UpdateItem", f"table/{table.name}"):
            raise error
    there = table.get(where) or {}
    if there.get("by_name") == s(name):
        return _value(there)
    log_failure(error, "dynamodb:UpdateItem", f"table/{table.name}")
    hint = "It may have been counted or not: read the value before you go on."
    raise BackendError(f"The table {table.name} did not answer.", hint=hint) from error


def _replaced(table: Table, where: Key, change: Callable[[Json], Json], what: str) -> Json:
    """Set the value to what `change` makes of it, whoever else changes it meanwhile; return it."""
    waits = _BACKOFF.waits()
    while True:
        there = table.get(where)
        new = change(_value(there))
        if _put_if_same(table, there, _item(where, new, what)):
            return new
        if not next(waits):
            raise BackendError(f"{what} changes too often.", hint="Try again in a moment.")


def _swapped(table: Table, where: Key, old: Json, new: Json, what: str) -> bool:
    while True:
        there = table.get(where)
        if _value(there) != old:
            return False
        if _put_if_same(table, there, _item(where, new, what)):
            return True


def _put_if_same(table: Table, there: Item | None, item: Item) -> bool:
    """Put if nothing else was put since `there` was read: as a transaction, which a lost answer does not do twice."""
    values = {f":{name}": there[name] for name in ("count", "value") if there and name in there}
    condition = " AND ".join(f"#{name[1:]} = {name}" for name in values) or _UNTOUCHED
    try:
        table.transact(table.putting(item, condition, values))
    except MovedError:
        return False
    return True


# --- the release document ---------------------------------------------------------------------------------------------
# The release of the Store on DynamoDB, a head of one line that names its body; and the table's format.
#
# The body (manifests with their examples) is compressed, and in parts if it must be; it never changes, so it is read
# once by each process. Putting the head is the one commit point.
#
# The format is an item beside them. Every process looks at it once, before it reads what is live; a deployment raises
# it before it puts a release. A table without it has format 1. Format 2 changes no item of format 1, so nothing is
# copied and nothing is rewritten; a step that does will make a backup of the table (CreateBackup) first.

_PARTITION = "RELEASE"
_PART = LARGEST_BYTES - 1024
_TRIES = 5  # a release may be replaced between head and body


class Releases:
    """Reads and puts what is live."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._live: tuple[str, Release] | None = None
        self._format = 0  # 0 = not looked at yet

    def check_format(self) -> int:
        """Return the table's format; BackendError, in words, for a newer one than this Matinee reads."""
        if not self._format:
            item = self._table.get(_key("FORMAT"))
            found = int(item["format"]["N"]) if item else 1
            check_format(found, f"The table {self._table.name}")
            self._format = found
        return self._format

    def live(self) -> Release | None:
        """Return what is live. Raises BackendError for a table of a newer format."""
        self.check_format()
        for _ in range(_TRIES):
            head = self._table.get(_key("HEAD"))
            if head is None:
                return None
            digest, live = head["digest"]["S"], self._live
            if live is not None and live[0] == digest:
                return live[1]
            body = self._body(digest, int(head["parts"]["N"]))
            if body is not None:
                release = readable(_release_from, body, f"The release {digest}")
                if release is not None:
                    self._live = (digest, release)
                return release
        raise BackendError("The release cannot be read: it is being replaced.", hint="Try again in a moment.")

    def _body(self, digest: str, parts: int) -> bytes | None:
        items = [self._table.get(_key(f"BODY#{digest}#{part}")) for part in range(parts)]
        return b"".join(item["part"]["B"] for item in items if item) if all(items) else None

    def put(self, release: Release) -> None:
        """Put the body, then the head; then delete the body of the release before.

        Raises BackendError for a table of a newer format.
        """
        if self.check_format() < FORMAT:
            self._table.put({**_key("FORMAT"), "format": n(FORMAT)})
            self._format = FORMAT
        body = zlib.compress(encode(to_json(release)).encode(), 9)
        digest = hashlib.sha256(body).hexdigest()[:32]
        parts = [body[start : start + _PART] for start in range(0, len(body), _PART)]
        for number, part in enumerate(parts):
            self._table.put({**_key(f"BODY#{digest}#{number}"), "part": {"B": part}})
        head: Item = {"digest": s(digest), "parts": n(len(parts)), "number": n(release.number), "app": s(release.app)}
        before = self._table.put({**_key("HEAD"), **head})
        if before and before["digest"] != s(digest):
            for number in range(int(before["parts"]["N"])):
                self._table.delete(_key(f"BODY#{before['digest']['S']}#{number}"))


def _release_from(body: bytes) -> Release:
    try:
        return release_from_json(decode(zlib.decompress(body).decode()))
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _key(sort: str) -> Key:
    return key(_PARTITION, sort)
