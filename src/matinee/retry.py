"""Trying again: how long to pause before each new try, and when to give up. The one place for all back-off.

Light, because a worker and a realtime function import it before the component.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

T = TypeVar("T")
Sleep = Callable[[float], None]
Between = Callable[[float, float], float]


def random_between(low: float, high: float) -> float:
    """Return a chance number of the range: callers who were refused together must not come back together."""
    import random  # late: most processes never have to wait

    return random.uniform(low, high)  # noqa: S311 - not a secret


class Backoff(NamedTuple):
    """Pauses with jitter, up to `base_s` doubled at each try, at most `cap_s`, until `total_s` have been waited in all.

    `tries` counts the first one too; 0 means as many as the time allows.

    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """

    base_s: float = 0.1
    cap_s: float = 5.0
    total_s: float = 30.0
    tries: int = 0

    def pauses_s(self, between: Between = random_between) -> Iterator[float]:
        """Yield the pauses in seconds; together they last `total_s` at most."""
        left, ceiling, number = self.total_s, self.base_s, 1
        while left > 0 and number != self.tries:
            pause = min(left, between(ceiling / 10, ceiling))
            yield pause
            left -= pause
            ceiling, number = min(ceiling * 2, self.cap_s), number + 1

    def waits(self, *, sleep: Sleep | None = None, between: Between = random_between) -> Iterator[bool]:
        """Pause and yield True while there is time left, then yield False for ever."""
        for pause in self.pauses_s(between):
            (sleep or time.sleep)(pause)
            yield True
        while True:
            yield False


def retry(
    step: Callable[[], T],
    *,
    on: tuple[type[Exception], ...],
    backoff: Backoff,
    report: Callable[[Exception], object] = lambda _error: None,
    sleep: Sleep | None = None,
    between: Between = random_between,
) -> T:
    """Return what `step` returns, trying again after each error of `on`; the last error is raised when time is up.

    `report` gets every error after which a new try follows. `sleep` and `between` are for tests.
    """
    waits = backoff.waits(sleep=sleep, between=between)
    while True:
        try:
            return step()
        except on as error:
            if not next(waits):
                raise
            report(error)


def backoff_s(failures: int, *, base_s: float = 1.0, cap_s: float = 300.0) -> float:
    """Return the seconds before try number `failures + 1` of what waits in a queue: doubling from `base_s`, capped."""
    return float(min(cap_s, base_s * 2.0 ** max(0, failures - 1)))
