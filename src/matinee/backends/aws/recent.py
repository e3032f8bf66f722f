"""A bounded memory of what was seen last, safe between threads."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

_V = TypeVar("_V")


class Recent(Generic[_V]):
    """The `size` values used last, by key."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: dict[str, _V] = {}  # in order of use
        self._lock = threading.Lock()

    def get(self, key: str) -> _V | None:
        """Return the value, None if it is not remembered."""
        with self._lock:
            value = self._values.pop(key, None)
            if value is not None:
                self._values[key] = value
            return value

    def put(self, key: str, value: _V) -> None:
        """Remember a value, and forget the one used longest ago."""
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = value
            if len(self._values) > self._size:
                del self._values[next(iter(self._values))]
