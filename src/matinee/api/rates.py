"""How many predictions a person may ask for in a minute: one token bucket each, in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from matinee.errors import RateError

KEPT = 10_000  # people remembered; a full bucket is as good as none


class Rates:
    """A bucket of `per_minute` predictions for every person, filled steadily. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}  # name -> what was left, when

    def spend(self, name: str, per_minute: int) -> None:
        """Take one prediction; RateError says after how many seconds there is one."""
        per_second = per_minute / 60
        with self._lock:
            now = self._clock()
            left, at = self._buckets.get(name, (float(per_minute), now))
            left = min(float(per_minute), left + (now - at) * per_second)
            if left < 1:
                wait_s = (1 - left) / per_second
                raise RateError(
                    f"You may ask for {per_minute} predictions a minute, and these were more.",
                    hint="Wait a moment, or raise predictions_per_minute under [limits] in matinee.toml.",
                    retry_after_s=wait_s,
                )
            self._buckets[name] = (left - 1, now)
            self._forget(now, per_second, per_minute)

    def _forget(self, now: float, per_second: float, per_minute: int) -> None:
        if len(self._buckets) > KEPT:
            full = [n for n, (left, at) in self._buckets.items() if left + (now - at) * per_second >= per_minute]
            for name in full:
                del self._buckets[name]
