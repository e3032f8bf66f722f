"""How long a caller goes on when a service is saturated or a function is not ready yet."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Full jitter between 0 and `base_s` doubled at each try, at most `cap_s`, for `total_s` of waiting in all.

    Jitter, so that callers who were refused together do not come back together.
    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """

    base_s: float = 0.1
    cap_s: float = 5.0
    total_s: float = 30.0

    def waits(self) -> Iterator[bool]:
        """Wait and yield True as long as patience lasts, then False."""
        left, ceiling = self.total_s, self.base_s
        while left > 0:
            pause = min(left, random.uniform(ceiling / 10, ceiling))  # noqa: S311 - not a secret
            time.sleep(pause)
            left -= pause
            ceiling = min(ceiling * 2, self.cap_s)
            yield True
        while True:
            yield False
