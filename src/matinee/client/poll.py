"""Reads that many share: a hundred open pages, or the clients of a hundred people, ask a store as often as one."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

T = TypeVar("T")
KEPT = 1000  # values a process remembers


class Poll:
    """Values read at most once per key and interval, whoever asks: the others wait for the first and share."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._places: OrderedDict[Hashable, _Place] = OrderedDict()

    def read(self, key: Hashable, max_age_s: float, load: Callable[[], T]) -> T:
        """Return the value of `key`, loaded anew if it is older than `max_age_s`. What `load` raises is not kept."""
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
            while len(self._places) > KEPT:
                self._places.popitem(last=False)
        with place.lock:
            if place.read_at is None or self._clock() - place.read_at > max_age_s:
                place.value = load()
                place.read_at = self._clock()
            return cast(T, place.value)

    def keep(self, key: Hashable, value: object) -> None:
        """Take the value as just read: whoever made it need not read it again."""
        place = _Place()
        place.value, place.read_at = value, self._clock()
        with self._lock:
            self._places[key] = place

    def forget(self) -> None:
        """Read everything anew: something was just changed from here."""
        with self._lock:
            self._places.clear()


class _Place:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.read_at: float | None = None
        self.value: object = None
