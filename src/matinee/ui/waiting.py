"""A prediction that may take long: called beside the page, which counts the seconds and stays alive meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE_S = 1.0  # nothing is said before
TICK_S = 1.0
WARM_S = 300.0  # a process that answered so recently has most likely not been ended yet

_answered: dict[str, float] = {}


@dataclass(frozen=True)
class Pending(Generic[T]):
    """A call that has begun. It goes on whatever becomes of the page, so nothing is lost when somebody clicks away."""

    name: str
    future: Future[T]
    began_at: float

    def result(self, tell: Callable[[str], object]) -> T:
        """Wait for the answer, telling how long it has been from PATIENCE_S on; raise what the call raised."""
        while not self._is_done():
            seconds = int(time.monotonic() - self.began_at)
            tell(words_for(seconds, is_warm=is_warm(self.name, self.began_at)))
        _answered[self.name] = time.monotonic()
        return self.future.result()

    @property
    def is_slow(self) -> bool:
        """Whether it began so long ago that something was said."""
        return time.monotonic() - self.began_at >= PATIENCE_S

    def _is_done(self) -> bool:
        elapsed = time.monotonic() - self.began_at
        pause_s = PATIENCE_S - elapsed if elapsed < PATIENCE_S else TICK_S - elapsed % TICK_S
        return bool(wait([self.future], pause_s).done)


def begin(name: str, call: Callable[[], T]) -> Pending[T]:
    """Begin the call of a predictor in a thread of its own."""
    future: Future[T] = Future()
    threading.Thread(target=_settle, args=(future, call), name=f"predict {name}", daemon=True).start()
    return Pending(name, future, time.monotonic())


def _settle(future: Future[T], call: Callable[[], T]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:  # it is raised where the result is awaited
        future.set_exception(error)


def is_warm(name: str, now: float) -> bool:
    """Whether the predictor answered this process recently."""
    return now - _answered.get(name, float("-inf")) < WARM_S


def words_for(seconds: int, *, is_warm: bool) -> str:
    """Return what a person reads while they wait."""
    if is_warm:
        return f"Working… {seconds} s"
    return f"Warming up… {seconds} s. After a pause it has to start first; the next answer is quicker."
