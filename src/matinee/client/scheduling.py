"""Submit the runs of schedules from this process. On AWS EventBridge Scheduler does it, through the dispatcher."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from matinee.backends.factory import Backend
from matinee.client.core import Client
from matinee.client.scheduled import SCHEDULE, submit_scheduled
from matinee.errors import MatineeError, NotFoundError, UsageError
from matinee.manifest import Release
from matinee.schedule import Schedule, name_of, parse
from matinee.settings import Settings

LATE_S = 300.0  # what was missed by more (a laptop that slept, a dev that did not run) is not made up for
RETRY_S = 5.0
LOOK_S = 15.0  # at least this often: a sleeping machine's clock jumps, and nobody tells

log = logging.getLogger(__name__)


def schedules_of(release: Release) -> dict[str, Schedule]:
    """Return what runs by itself, by predictor."""
    found = {p.name: p.resources.schedule for p in release.predictors if p.kind == "batch"}
    return {name: parse(text) for name, text in found.items() if text}


class Scheduling:
    """A thread that submits what is due. Any number may look at one store: a time submits one run, whoever is first."""

    def __init__(self, backend: Backend, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._client = Client(backend, settings, SCHEDULE, owner=True, clock=clock)
        self._clock = clock
        self._looked_at = clock()  # all up to here is done
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="matinee-schedules", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; nothing is submitted afterwards."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> float:
        """Submit what became due since the last look, and return in how many seconds to look again."""
        now = self._clock()
        self._looked_at = min(self._looked_at, now)  # a clock set back says a time again: it is the same run
        try:
            schedules = schedules_of(self._client.release())
            for predictor, at in _due(schedules, max(self._looked_at, now - LATE_S), now):
                self._submit(predictor, at)
        except NotFoundError:  # nothing is live yet
            return LOOK_S
        except MatineeError as error:
            log.warning("Schedules could not be looked at: %s", error)
            return RETRY_S
        self._looked_at = now
        upcoming = [schedule.next_after(now) for schedule in schedules.values()]
        return min([LOOK_S, *(at - now for at in upcoming if at is not None)])

    def _submit(self, predictor: str, at: float) -> None:
        try:
            submit_scheduled(self._client, predictor, name_of(at))
        except UsageError as error:  # the same again would be refused again
            log.error("The schedule of %s could not submit a run: %s", predictor, error)

    def _loop(self) -> None:
        pause_s = 0.0
        while not self._stopping.wait(pause_s):
            pause_s = self.look()


def _due(schedules: Mapping[str, Schedule], after: float, until: float) -> Iterator[tuple[str, float]]:
    """Yield each predictor's last time in the span: of several that were missed, one run is enough."""
    for predictor, schedule in schedules.items():
        last, at = None, schedule.next_after(after)
        while at is not None and at <= until:
            last, at = at, schedule.next_after(at)
        if last is not None:
            yield predictor, last
