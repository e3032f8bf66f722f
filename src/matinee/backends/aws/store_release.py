"""The release of the Store on DynamoDB: a head of one line that names its body.

The body (manifests with their examples) is compressed, and in parts if it must be; it never changes, so it is read once
by each process. Putting the head is the one commit point.
"""

from __future__ import annotations

import hashlib
import zlib

from matinee.backends.aws.store_items import decode, encode
from matinee.backends.aws.store_keys import Key, key
from matinee.backends.aws.store_table import LARGEST_ITEM, Item, Table, n, s
from matinee.errors import BackendError
from matinee.manifest import Release, release_from_json, to_json

_PARTITION = "RELEASE"
_PART = LARGEST_ITEM - 1024
_TRIES = 5  # a release may be replaced between head and body


class Releases:
    """Reads and puts what is live."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._live: tuple[str, Release] | None = None

    def live(self) -> Release | None:
        """Return what is live."""
        for _ in range(_TRIES):
            head = self._table.get(_key("HEAD"))
            if head is None:
                return None
            digest, live = head["digest"]["S"], self._live
            if live is not None and live[0] == digest:
                return live[1]
            body = self._body(digest, int(head["parts"]["N"]))
            if body is not None:
                release = release_from_json(decode(zlib.decompress(body).decode()))
                self._live = (digest, release)
                return release
        raise BackendError("The release cannot be read: it is being replaced.", hint="Try again in a moment.")

    def _body(self, digest: str, parts: int) -> bytes | None:
        items = [self._table.get(_key(f"BODY#{digest}#{part}")) for part in range(parts)]
        return b"".join(item["part"]["B"] for item in items if item) if all(items) else None

    def put(self, release: Release) -> None:
        """Put the body, then the head; then delete the body of the release before."""
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


def _key(sort: str) -> Key:
    return key(_PARTITION, sort)
