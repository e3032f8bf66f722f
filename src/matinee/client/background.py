"""What a host does in the background, each in a thread: dispatch, submit schedules, deliver notices, keep logs.

On AWS the dispatcher's Lambda function does the first three, by submit pokes, task-stopped events and schedules.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from matinee.backends.factory import Backend
from matinee.backends.local.logs import FolderLogs
from matinee.client.core import SCHEDULE, Client, submit_scheduled
from matinee.errors import MatineeError, NotFoundError, UsageError
from matinee.log_lines import cut, error_text
from matinee.manifest import PredictorManifest, Release
from matinee.notices.deliver import deliver, open_senders
from matinee.own_paths import name_own_files
from matinee.ports import Launcher, LogLine, Store
from matinee.queue.dispatch import dispatch, end_overlong_back_offs
from matinee.schedule import Schedule, name_of, parse
from matinee.settings import Settings

ERROR_PAUSE_S = 2.0  # after a step that failed
STOP_LIMIT_S = 5.0  # how long the end waits for a step that hangs: the threads are daemons and end with the process

log = logging.getLogger(__name__)


class Loop:
    """A thread that calls `step` until `stop`. `step` returns the pause before its next call, in seconds.

    It never ends by an error: whatever a step raises is logged and the loop goes on. What it raises again and again is
    logged once, until a step has succeeded.
    """

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self.is_stopping = False
        self._name = name
        self._step = step
        self._woken = threading.Event()
        self._last_error = ""
        self._thread = threading.Thread(target=self._run, name=f"matinee-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """End the present pause, or have none after the present step."""
        self._woken.set()

    def stop(self, limit_s: float = STOP_LIMIT_S) -> None:
        """End the thread; a step that takes longer than `limit_s` is left alone."""
        self.is_stopping = True
        self.wake()
        if self._thread.is_alive():
            self._thread.join(limit_s)

    def _run(self) -> None:
        while not self.is_stopping:
            pause_s = self._try_step()
            self._woken.wait(max(0.0, pause_s))
            self._woken.clear()

    def _try_step(self) -> float:
        try:
            pause_s = self._step()
        except Exception as error:  # whatever it is: the app must stay alive
            report_once = log.warning if isinstance(error, MatineeError | OSError) else log.exception
            text = error_text(error) if not isinstance(error, MatineeError) else str(error)
            if text != self._last_error:
                report_once("The thread of %s has failed and goes on: %s", self._name, text)
            self._last_error = text
            return ERROR_PAUSE_S
        self._last_error = ""
        return pause_s


# --- the dispatcher's thread ------------------------------------------------------------------------------------
# When poked, when a worker ends, when something becomes due, and as a backstop.

CLOCK_TICK_S = 1.0  # all workers here have one clock
BACKSTOP_S = 5.0  # workers of a killed host are not this one's children: nobody tells when they end


class Dispatching:
    """Dispatches the pools that are due. `live` gives a batch predictor and its component's hash."""

    def __init__(
        self, store: Store, launcher: Launcher, live: Callable[[str], tuple[PredictorManifest, str] | None]
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._live = live
        self._one = threading.Lock()  # one dispatch at a time here, and none after stop
        self._lock = threading.Lock()  # of the times
        self._due_at: dict[str, float] = {}  # predictor → when to dispatch it next, by the monotonic clock
        self._backstop_at = 0.0
        self._loop = Loop("dispatcher", self._step)

    def start(self) -> None:
        """Start the thread."""
        self._loop.start()

    def stop(self) -> None:
        """End the thread; nothing is launched afterwards."""
        self._loop.is_stopping = True
        if self._one.acquire(timeout=STOP_LIMIT_S):  # a dispatch on its way comes to its end
            self._one.release()
        self._loop.stop()

    def poke(self, predictor: str) -> None:
        """Dispatch this pool soon."""
        self._dispatch_in(predictor, 0.0)

    def poke_all(self) -> None:
        """Dispatch every pool that has entries or slots soon."""
        for predictor in self._store.pools():
            self.poke(predictor)

    def dispatch_now(self, predictor: str) -> None:
        """Dispatch in the caller's thread."""
        with self._one:
            if not self._loop.is_stopping:
                self._dispatch(predictor)

    def _dispatch(self, predictor: str) -> None:
        live = self._live(predictor)
        if live is None:
            self._store.note(predictor, "Its component does not load, or it is no longer part of the app.")
            return
        manifest, content_hash = live
        workers, now = manifest.resources.max_workers, time.time()
        outcome = dispatch(self._store, self._launcher, predictor, max_workers=workers, version=content_hash, now=now)
        if outcome.next_due_at is not None:
            self._dispatch_in(predictor, outcome.next_due_at - now)

    def _dispatch_in(self, predictor: str, pause_s: float) -> None:
        at = time.monotonic() + pause_s
        with self._lock:
            self._due_at[predictor] = min(at, self._due_at.get(predictor, at))
        self._loop.wake()

    def _step(self) -> float:
        """Dispatch what is due. When one pool fails, the others are dispatched all the same."""
        failed: Exception | None = None
        for predictor in self._due():
            try:
                self.dispatch_now(predictor)
            except Exception as error:
                failed = error
        if failed is not None:  # the next poke or the backstop tries again
            raise failed
        with self._lock:
            return min([self._backstop_at, *self._due_at.values()]) - time.monotonic()

    def _due(self) -> list[str]:
        now = time.monotonic()
        with self._lock:
            due = [name for name, at in self._due_at.items() if at <= now]
            for name in due:
                del self._due_at[name]
        if now < self._backstop_at:
            return due
        self._backstop_at = now + BACKSTOP_S
        pools = self._store.pools()
        for name in pools:
            end_overlong_back_offs(self._store, name, time.time(), skew_s=CLOCK_TICK_S)
        return list(dict.fromkeys([*due, *pools]))


# --- the scheduler's thread -------------------------------------------------------------------------------------

LATE_S = 300.0  # what was missed by more (a laptop that slept, a dev that did not run) is not made up for
RETRY_S = 5.0
SCHEDULE_LOOK_S = 15.0  # at least this often: a sleeping machine's clock jumps, and nobody tells


def schedules_of(release: Release) -> dict[str, Schedule]:
    """Return what runs by itself, by predictor."""
    found = {p.name: p.resources for p in release.predictors if p.kind == "batch" and p.resources.schedule}
    return {name: parse(resources.schedule, resources.timezone) for name, resources in found.items()}


class Scheduling:
    """Submits what is due. Any number may look at one store: a time submits one run, whoever is first."""

    def __init__(self, backend: Backend, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._client = Client(backend, settings, SCHEDULE, owner=True, clock=clock)
        self._clock = clock
        self._looked_at = clock()  # all up to here is done
        self._loop = Loop("schedules", self.look)

    def start(self) -> None:
        """Start the thread."""
        self._loop.start()

    def stop(self) -> None:
        """End the thread; nothing is submitted afterwards."""
        self._loop.stop()

    def look(self) -> float:
        """Submit what became due since the last look, and return in how many seconds to look again."""
        now = self._clock()
        self._looked_at = min(self._looked_at, now)  # a clock set back says a time again: it is the same run
        try:
            schedules = schedules_of(self._client.release())
            for predictor, at in _due_times(schedules, max(self._looked_at, now - LATE_S), now):
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
        if self._loop.is_stopping:
            return
        try:
            submit_scheduled(self._client, predictor, name_of(at))
        except UsageError as error:  # the same again would be refused again
            log.error("The schedule of %s could not submit a run: %s", predictor, error)


def _due_times(schedules: Mapping[str, Schedule], after: float, until: float) -> Iterator[tuple[str, float]]:
    """Yield each predictor's last time in the span: of several that were missed, one run is enough."""
    for predictor, schedule in schedules.items():
        last, at = None, schedule.next_after(after)
        while at is not None and at <= until:
            last, at = at, schedule.next_after(at)
        if last is not None:
            yield predictor, last


# --- the thread of notices --------------------------------------------------------------------------------------
# In a thread of its own, since mail servers and webhooks may be slow.

DELIVERY_LOOK_S = 2.0  # nobody says here when a run ends: its worker records that by itself


class Delivering:
    """Tells people what has finished, every DELIVERY_LOOK_S."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = Loop("notices", self._step)

    def start(self) -> None:
        """Start the thread."""
        self._loop.start()

    def stop(self) -> None:
        """End the thread; a message on its way gets a moment."""
        self._loop.stop(1.0)

    def _step(self) -> float:
        release = self._store.release()
        if release is not None:
            deliver(self._store, time.time(), open_senders(release, self._store))
        return DELIVERY_LOOK_S


# --- logs of hosted components ----------------------------------------------------------------------------------
# What components write while an app is hosted here: kept with its run, and shown to whoever watches.
#
# Realtime lines come from the Lambda service, which must not wait for a disk; batch workers write their component's
# file themselves, so that is followed. One thread does both. Neither memory nor the terminal is a flood's to take:
# lines that come faster than they can be written are counted, and lines that nobody could read are not shown.

LOGS_LOOK_S = 0.2
MAX_WAITING_LINES = 10_000  # of one predictor, not yet written to disk
MAX_SHOWN_LINES = 500  # of one predictor at a look; all that are written are in the run's log
_PLATFORM = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "INIT_")  # Lambda's lines, not the user's

Report = Callable[[str, str], None]  # component, line


class HostedLogs:
    """`take` is for the Lambda service; `follow` says which components' files to watch."""

    def __init__(self, logs: FolderLogs, report: Report) -> None:
        self._logs = logs
        self._report = report
        self._lock = threading.Lock()
        self._lines: dict[str, _WaitingLines] = {}  # by function
        self._offsets: dict[str, int] = {}
        self._look_at = 0.0
        self._loop = Loop("logs", self._step)
        self._loop.start()

    def take(self, function: str, run_id: str, line: str) -> None:
        """Take a line of a realtime predictor; returns at once."""
        if line.startswith(_PLATFORM):
            return
        with self._lock:
            waiting = self._lines.setdefault(function, _WaitingLines(function))
            waiting.add(run_id, line)
        self._loop.wake()

    def follow(self, components: Iterable[str]) -> None:
        """Follow these components' files from their present end on."""
        self._offsets = {name: self._offsets.get(name, self._logs.read_component(name)[1]) for name in components}

    def stop(self) -> None:
        """Write and show what has come, then end."""
        self._loop.stop(1.0)
        self._write_waiting()
        self._show_followed()

    def _step(self) -> float:
        self._write_waiting()
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOGS_LOOK_S
            self._show_followed()
        return self._look_at - now

    def _write_waiting(self) -> None:
        with self._lock:
            waiting, self._lines = self._lines, {}
        for function, lines in waiting.items():
            found = lines.all()
            with suppress(OSError):  # a full disk costs the lines, not the prediction
                self._logs.write(found, of_runs_only=True)
            self._show(function, found)

    def _show_followed(self) -> None:
        for name, offset in list(self._offsets.items()):
            lines, self._offsets[name] = self._logs.read_component(name, offset)
            self._show(name, lines)

    def _show(self, component: str, lines: list[LogLine]) -> None:
        for line in lines[:MAX_SHOWN_LINES]:
            self._report(component, line.message)
        more = len(lines) - MAX_SHOWN_LINES
        if more > 0:
            self._report(component, f"{more:,} more lines are not shown here: `matinee runs logs` has them.")


class _WaitingLines:
    """The lines of one function that are to be written; those above MAX_WAITING_LINES are only counted."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._lines: deque[LogLine] = deque()
        self._left_out: dict[str, int] = {}  # by run

    def add(self, run_id: str, line: str) -> None:
        if len(self._lines) >= MAX_WAITING_LINES:
            self._left_out[run_id] = self._left_out.get(run_id, 0) + 1
        else:
            self._lines.append(self._line(run_id, "INFO", cut(name_own_files(line))))

    def all(self) -> list[LogLine]:
        """Return the lines, and for each run of which some were left out how many."""
        counts = [
            self._line(run_id, "WARNING", f"{many:,} lines were left out: they came faster than they could be written.")
            for run_id, many in self._left_out.items()
        ]
        return [*self._lines, *counts]

    def _line(self, run_id: str, level: str, message: str) -> LogLine:
        return LogLine(time.time(), level, message, component=self._function, run_id=run_id)
