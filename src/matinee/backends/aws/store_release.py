"""The release of the Store on DynamoDB, a head of one line that names its body; and the table's format.

The body (manifests with their examples) is compressed, and in parts if it must be; it never changes, so it is read once
by each process. Putting the head is the one commit point.

The format is an item beside them. Every process looks at it once, before it reads what is live; a deployment raises it
before it puts a release. A table without it has format 1. Format 2 changes no item of format 1, so nothing is copied
and nothing is rewritten; a step that does will make a backup of the table (CreateBackup) first.
"""

from __future__ import annotations

import hashlib
import zlib

from matinee.backends.aws.store_keys import Key, key
from matinee.backends.aws.store_table import Item, Table, n, s
from matinee.errors import BackendError
from matinee.manifest import Release, release_from_json, to_json
from matinee.store_format import FORMAT, LARGEST_BYTES, check_format, decode, encode, readable

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
