"""What a host does in the background, each in a thread: deliver notices, dispatch, submit schedules, keep logs.

On AWS the dispatcher's Lambda function does the first three.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from matinee.backends.factory import Backend
from matinee.backends.local.logs import FolderLogs
from matinee.client.core import SCHEDULE, Client, submit_scheduled
from matinee.errors import MatineeError, NotFoundError, UsageError
from matinee.manifest import PredictorManifest, Release
from matinee.notices.deliver import deliver, open_senders
from matinee.own_paths import name_own_files
from matinee.ports import Launcher, LogLine, Store
from matinee.queue.dispatch import dispatch
from matinee.schedule import Schedule, name_of, parse
from matinee.settings import Settings

DELIVERY_LOOK_S = 2.0  # nobody says here when a run ends: its worker records that by itself

log = logging.getLogger(__name__)


class Delivering:
    """A thread that tells people what has finished, every LOOK_S seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="matinee-notices", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a message on its way is given a moment."""
        self._stopping.set()
        self._thread.join(1.0)

    def _loop(self) -> None:
        while not self._stopping.wait(DELIVERY_LOOK_S):
            try:
                self._look()
            except MatineeError as error:
                log.warning("Notices could not be delivered: %s", error)

    def _look(self) -> None:
        release = self._store.release()
        if release is not None:
            deliver(self._store, time.time(), open_senders(release, self._store))


# --- dispatching ------------------------------------------------------------------------------------------------------
# Run the dispatcher in this process: when poked, when a worker ends, when something becomes due, and as a backstop.
#
# On AWS the same `dispatch` runs in a Lambda function, by submit pokes, task-stopped events and a schedule.

BACKSTOP_S = 5.0  # workers of a killed host are not this one's children: nobody tells when they end


class Dispatching:
    """A thread that dispatches the pools that are due. `live` gives a batch predictor and its component's hash."""

    def __init__(
        self, store: Store, launcher: Launcher, live: Callable[[str], tuple[PredictorManifest, str] | None]
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._live = live
        self._changed = threading.Condition()
        self._one = threading.Lock()  # one dispatch at a time here, and none after stop
        self._due_at: dict[str, float] = {}  # predictor -> when to look next, epoch seconds
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="matinee-dispatcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; nothing is launched afterwards."""
        with self._one, self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def poke(self, predictor: str) -> None:
        """Look at this pool soon."""
        self._look_at(predictor, 0.0)

    def poke_all(self) -> None:
        """Look at every pool that has entries or slots soon."""
        for predictor in self._store.pools():
            self.poke(predictor)

    def dispatch_now(self, predictor: str) -> None:
        """Dispatch in the caller's thread."""
        with self._one:
            if not self._stopping:
                self._dispatch(predictor)

    def _dispatch(self, predictor: str) -> None:
        live = self._live(predictor)
        if live is None:
            self._store.note(predictor, "Its component does not load, or it is no longer part of the app.")
            return
        manifest, content_hash = live
        workers = manifest.resources.max_workers
        outcome = dispatch(
            self._store, self._launcher, predictor, max_workers=workers, version=content_hash, now=time.time()
        )
        if outcome.next_due_at is not None:
            self._look_at(predictor, outcome.next_due_at)

    def _look_at(self, predictor: str, at: float) -> None:
        with self._changed:
            self._due_at[predictor] = min(at, self._due_at.get(predictor, at))
            self._changed.notify()

    def _loop(self) -> None:
        backstop_at = time.time()
        while True:
            with self._changed:
                pause_s = min([backstop_at, *self._due_at.values()]) - time.time()
                if pause_s > 0 and not self._stopping:
                    self._changed.wait(pause_s)
                if self._stopping:
                    return
                due = [name for name, at in self._due_at.items() if at <= time.time()]
                for name in due:
                    del self._due_at[name]
            self._dispatch_safely(due)
            if time.time() >= backstop_at:
                backstop_at = time.time() + BACKSTOP_S
                self._backstop()

    def _backstop(self) -> None:
        try:
            names = self._store.pools()
        except MatineeError as error:
            log.warning("The dispatcher could not read the store: %s", error)
            return
        self._dispatch_safely(names)

    def _dispatch_safely(self, predictors: list[str]) -> None:
        for predictor in predictors:
            try:
                self.dispatch_now(predictor)
            except MatineeError as error:  # the next poke or the backstop tries again
                log.warning("The dispatcher could not look at %s: %s", predictor, error)


# --- scheduling -------------------------------------------------------------------------------------------------------
# Submit the runs of schedules from this process. On AWS EventBridge Scheduler does it, through the dispatcher.

LATE_S = 300.0  # what was missed by more (a laptop that slept, a dev that did not run) is not made up for
RETRY_S = 5.0
SCHEDULE_LOOK_S = 15.0  # at least this often: a sleeping machine's clock jumps, and nobody tells


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
            return SCHEDULE_LOOK_S
        except MatineeError as error:
            log.warning("Schedules could not be looked at: %s", error)
            return RETRY_S
        self._looked_at = now
        upcoming = [schedule.next_after(now) for schedule in schedules.values()]
        return min([SCHEDULE_LOOK_S, *(at - now for at in upcoming if at is not None)])

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


# --- hosted logs ------------------------------------------------------------------------------------------------------
# What components write while an app is hosted here: kept with its run, and told to whoever watches.
#
# Realtime lines come from the Lambda service, which must not wait for a disk; batch workers write their component's
# file themselves, so that is followed. One thread does both.

LOGS_LOOK_S = 0.2
_PLATFORM = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "INIT_")  # Lambda's lines, not the user's

Report = Callable[[str, str], None]  # component, line


class HostedLogs:
    """`take` is for the Lambda service; `follow` says which components' files to watch."""

    def __init__(self, logs: FolderLogs, report: Report) -> None:
        self._logs = logs
        self._report = report
        self._lines: queue.SimpleQueue[LogLine | None] = queue.SimpleQueue()
        self._offsets: dict[str, int] = {}
        self._thread = threading.Thread(target=self._loop, name="matinee-logs", daemon=True)
        self._thread.start()

    def take(self, function: str, run_id: str, line: str) -> None:
        """Take a line of a realtime predictor; returns at once."""
        if not line.startswith(_PLATFORM):
            own = name_own_files(line)
            self._lines.put(LogLine(time.time(), "INFO", own, component=function, run_id=run_id))

    def follow(self, components: Iterable[str]) -> None:
        """Follow these components' files from their present end on."""
        self._offsets = {name: self._offsets.get(name, self._logs.read_component(name)[1]) for name in components}

    def stop(self) -> None:
        """Keep and tell what has come, then end."""
        self._lines.put(None)
        self._thread.join()

    def _loop(self) -> None:
        going_on = True
        while going_on:
            going_on = self._take_lines()
            self._look()

    def _take_lines(self) -> bool:
        deadline = time.monotonic() + LOGS_LOOK_S
        while (left := deadline - time.monotonic()) > 0:
            with suppress(queue.Empty):
                line = self._lines.get(timeout=left)
                if line is None:
                    return False
                self._report(line.component, line.message)
                with suppress(OSError):  # a full disk costs the line, not the prediction
                    self._logs.write([line], of_runs_only=True)
        return True

    def _look(self) -> None:
        for name, offset in list(self._offsets.items()):
            lines, self._offsets[name] = self._logs.read_component(name, offset)
            for line in lines:
                self._report(name, line.message)
