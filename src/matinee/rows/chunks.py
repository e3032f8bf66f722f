"""Long streams of rows in Files: chunks of JSON Lines that say in their names which rows they hold.

A chunk is whole or absent, and listing the names alone tells how far a run has come: what a crash left is gone on with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

Json = Any

MAX_ROWS = 1000
MAX_BYTES = 1 << 20

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode

if TYPE_CHECKING:

    class RowFiles(Protocol):
        """The part of the port Files that rows need."""

        def put(self, key: str, data: bytes, *, media_type: str = ...) -> int: ...
        def read(self, key: str) -> bytes: ...
        def list(self, prefix: str) -> Iterator[str]: ...
        def delete(self, keys: Iterable[str]) -> None: ...


class Chunk(NamedTuple):
    """Rows `first` … `first + size - 1` (from 1), `failed` of them with an error, written by this attempt."""

    key: str
    first: int
    size: int
    failed: int
    attempt: int

    @property
    def next(self) -> int:
        """The row after its last."""
        return self.first + self.size


class Writer:
    """Puts lines as chunks under a prefix; `flush` puts what there is."""

    def __init__(self, files: RowFiles, prefix: str, *, first: int = 1, attempt: int = 0) -> None:
        self._files = files
        self._prefix = prefix
        self._attempt = attempt
        self._lines: list[bytes] = []
        self._bytes = 0
        self._failed = 0
        self.first = first  # the first row that is not put yet

    @property
    def next(self) -> int:
        """The row that is added next."""
        return self.first + len(self._lines)

    def add(self, value: Json, *, failed: bool = False) -> None:
        """Add one row's line; ValueError for what is not JSON."""
        line = _encode(value).encode("utf-8", "replace")
        self._lines.append(line)
        self._bytes += len(line)
        self._failed += failed

    @property
    def is_full(self) -> bool:
        """Whether it is time to flush."""
        return len(self._lines) >= MAX_ROWS or self._bytes >= MAX_BYTES

    def flush(self) -> None:
        """Put the rows added since the last chunk, if there are any."""
        if not self._lines:
            return
        name = f"{self.first:09d}-{len(self._lines)}-{self._failed}-{self._attempt}.jsonl"
        self._files.put(f"{self._prefix}/{name}", b"\n".join(self._lines) + b"\n", media_type="application/jsonl")
        self.first = self.next
        self._lines.clear()
        self._bytes = self._failed = 0


def chain(files: RowFiles, prefix: str, *, start: int = 1) -> list[Chunk]:
    """Return the chunks that follow one another without a gap from the first row, from the one that holds `start`.

    Where two begin with the same row, as after a worker that was believed lost, the later attempt's counts.
    """
    by_first: dict[int, Chunk] = {}
    for key in files.list(f"{prefix}/"):
        chunk = _parsed(key)
        known = by_first.get(chunk.first) if chunk else None
        if chunk and (known is None or chunk.attempt > known.attempt):
            by_first[chunk.first] = chunk
    found = []
    at = 1
    while chunk := by_first.get(at):
        found.append(chunk)
        at = chunk.next
    return [chunk for chunk in found if chunk.next > start]


def rows(read: Callable[[str], bytes], chunks: Iterable[Chunk], *, start: int = 1) -> Iterator[Json]:
    """Yield the rows of chunks, from row `start`; one chunk at a time is in memory. `read` gives a key's bytes."""
    for chunk in chunks:
        lines = read(chunk.key).splitlines()
        for line in lines[max(0, start - chunk.first) :]:
            yield json.loads(line)


def _parsed(key: str) -> Chunk | None:
    name, _, suffix = key.rpartition("/")[2].partition(".")
    numbers = name.split("-")
    if suffix != "jsonl" or len(numbers) != 4 or not all(map(str.isdecimal, numbers)):
        return None
    return Chunk(key, *map(int, numbers))
