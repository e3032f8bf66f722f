"""What a process remembers of what it has read: bounded, and safe between threads."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, cast

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
SHARED_VALUES = 1000  # that a SharedReads remembers


class Recent(Generic[K, V]):
    """The `size` values used last, by key: for what never changes once it is read."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()  # in order of use
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """Return the value, None if it is not remembered."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key]

    def put(self, key: K, value: V) -> None:
        """Remember a value, and forget the one used longest ago."""
        with self._lock:
            self._put(key, value)

    def get_or_make(self, key: K, make: Callable[[], V]) -> V:
        """Return the value, made and remembered if it was not yet."""
        with self._lock:
            value = self._values[key] if key in self._values else make()
            self._put(key, value)
            return value

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()

    def _put(self, key: K, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)


class SharedReads:
    """Values read at most once per key and interval, whoever asks: the others wait for the first and share.

    A hundred open pages, or the clients of a hundred people, so ask a store as often as one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, size: int = SHARED_VALUES) -> None:
        self._clock = clock
        self._places: Recent[Hashable, _Place] = Recent(size)

    def __len__(self) -> int:
        return len(self._places)

    def read(self, key: Hashable, max_age_s: float, load: Callable[[], V]) -> V:
        """Return the value of `key`, loaded anew if it is older than `max_age_s`. What `load` raises is not kept."""
        place = self._places.get_or_make(key, _Place)
        with place.lock:
            if place.read_at is None or self._clock() - place.read_at > max_age_s:
                place.value = load()
                place.read_at = self._clock()
            return cast(V, place.value)

    def keep(self, key: Hashable, value: object) -> None:
        """Take the value as just read: whoever made it need not read it again."""
        place = _Place()
        place.value, place.read_at = value, self._clock()
        self._places.put(key, place)

    def forget(self) -> None:
        """Read everything anew: something was just changed from here."""
        self._places.clear()


class _Place:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.read_at: float | None = None
        self.value: object = None
