"""A prediction that may take long: called beside the page, which counts the seconds and stays alive meanwhile."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE_S = 1.0  # nothing is said before
TICK_S = 1.0
IDLE_THREADS = 32  # threads that wait for the next call
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

    def _is_done(self) -> bool:
        elapsed = time.monotonic() - self.began_at
        pause_s = PATIENCE_S - elapsed if elapsed < PATIENCE_S else TICK_S - elapsed % TICK_S
        try:
            self.future.exception(pause_s)
        except TimeoutError:
            return self.future.done()  # the call itself may have raised one
        return True


class Threads:
    """Threads that wait for the next call when one is done, at most `most_idle` of them.

    Starting one for each call costs a twentieth of a click. The last one that became free is the next to work: its
    memory is still in the processor's caches.
    """

    def __init__(self, most_idle: int) -> None:
        self._most_idle = most_idle
        self._lock = threading.Lock()
        self._idle: list[queue.SimpleQueue[Callable[[], None]]] = []

    def run(self, call: Callable[[], None]) -> None:
        """Have a thread make the call, now; what it raises is lost."""
        with self._lock:
            calls = self._idle.pop() if self._idle else None
        if calls is None:
            calls = queue.SimpleQueue()
            threading.Thread(target=self._work, args=(calls,), name="predict", daemon=True).start()
        calls.put(call)

    def _work(self, calls: queue.SimpleQueue[Callable[[], None]]) -> None:
        while True:
            calls.get()()
            with self._lock:
                if len(self._idle) >= self._most_idle:
                    return
                self._idle.append(calls)


_threads = Threads(IDLE_THREADS)


def begin(name: str, call: Callable[[], T]) -> Pending[T]:
    """Begin the call of a predictor in a thread beside the page's."""
    future: Future[T] = Future()
    _threads.run(partial(_settle, future, call))
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
