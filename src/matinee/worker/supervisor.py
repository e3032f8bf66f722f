"""The loop of a batch worker: slot → claim → child runs it → finish → next, until nothing is due.

One thread and one `select`: whatever happens (a report, the child's end, a signal, a time that has come) is handled
in turn, so nothing races. The steps of the protocol are in `matinee.queue.claims`.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from matinee import runs
from matinee.backends.factory import LogWriter, open_log_writer, open_store
from matinee.errors import BackendError
from matinee.process_tree import tree_bytes
from matinee.queue.claims import ClaimBatch, End, Leave, Transition, WaitUntil, finish, leave_unless_due, release_claim
from matinee.retry import backoff_s
from matinee.runs import Change, Entry, Failure, Json, Progress, Run, evolve
from matinee.settings import Settings
from matinee.worker import job as worker_job
from matinee.worker.child_process import Child
from matinee.worker.job import BEAT_S, LOOK_S, MEMORY_S, RETRY_S, START_LIMIT_S, Job
from matinee.worker.slot import HeldSlot, print_error
from matinee.worker.spawn import Spawned

if TYPE_CHECKING:  # a worker must start fast
    from matinee.backends.factory import LogWriter
    from matinee.ports import LogLine, Store
    from matinee.runs import Run
IDLE_S = 0.1  # how often a worker that waits for a back-off looks for other runs
RETURN_AFTER_S = 0.1  # what is claimed ahead of a run that takes longer goes back to the queue


class Supervisor:
    """Drains one predictor's queue for one slot."""

    def __init__(self, held: HeldSlot, store: Store, logs: LogWriter, spawned: Spawned, lifeline_fd: int) -> None:
        self._held = held
        self._store = store
        self._log = RunLog(logs, held.predictor.component)
        self._selector = selectors.DefaultSelector()
        self._signals = Signals(self._selector, lifeline_fd)
        self._child: Child | None = Child(spawned, self._selector, held.mark)
        self._broken: Failure | None = None  # why the child that was to run the next run could not start
        self._job: Job | None = None
        self._batch = ClaimBatch(store, held.predictor.name, owner=held.token, version=held.label)
        self._claim_at = 0.0
        self._leaving = False
        self._has_claimed = False

    @classmethod
    def open(cls, settings: Settings, spawned: Spawned) -> Supervisor:
        """Open what the settings name; `spawned` is the child, started already."""
        store = open_store(settings)
        return cls(HeldSlot(settings, store), store, open_log_writer(settings), spawned, settings.lifeline_fd)

    def run(self) -> int:
        """Work until nothing is due, the slot is gone or the process is asked to end; return the exit code."""
        try:
            if self._held.renew():
                self._work()
            if self._signals.stop_asked:
                self._stop()
        finally:
            self._end_child()
            self._log.write()
            self._store.close()
        if self._held.poke_after:
            self._held.poke()
        return 0

    def _work(self) -> None:
        while not (self._leaving or self._signals.stop_asked):
            if self._job is None and time.monotonic() >= self._claim_at:
                self._claim()
                continue
            self._wait()
            self._read_child()
            self._watch()
            self._keep_slot()

    # --- taking runs --------------------------------------------------------------------------------------------

    def _claim(self) -> None:
        if self._has_claimed and self._held.is_outdated():
            self._held.free()
            self._leaving = True
            return
        self._held.retry(lambda: self._batch.settle(claims=True, busy=False, now=time.time()))
        if self._begin_next():
            return
        outcome = self._held.retry(lambda: leave_unless_due(self._store, self._held.slot, time.time()))
        self._leaving = isinstance(outcome, Leave)
        if isinstance(outcome, WaitUntil):
            self._claim_at = time.monotonic() + min(IDLE_S, max(0.0, outcome.at - time.time()))

    def _begin_next(self) -> bool:
        """Begin the run claimed first of those ahead; False when there is none."""
        claim = self._batch.next()
        if claim is None:
            return False
        self._has_claimed = True
        run, entry = claim
        self._job = Job(run, entry, self._held.predictor, time.monotonic())
        self._log.run_id = run.id
        self._send(self._job)
        return True

    def _send(self, job: Job) -> None:
        """Give the run to the child, to a new one where there is none."""
        run, predictor = job.run, self._held.predictor
        if self._child is None and self._broken is None:
            self._child = Child(None, self._selector, self._held.mark)
        job.cold_start = self._child is None or not self._child.used
        if self._child is None:
            failure, self._broken = self._broken, None
            self._fail(failure or Failure("start", f"The process of {predictor.name} did not start."))
            return
        self._child.send(
            {
                "run": run.id,
                "user": run.user,
                "attempt": run.attempt,
                "version": run.version,
                "timeout_s": predictor.timeout_s,
                "inputs": run.inputs,
            }
        )
        job.entered_at = time.monotonic() if self._child.ready else None

    # --- what happens -------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        until = min(self._held.renew_at, self._job.next_at if self._job else self._claim_at)
        if self._job is not None and not self._batch.is_empty:
            until = min(until, self._job.claimed_at + RETURN_AFTER_S)
        for key, mask in self._selector.select(max(0.0, until - time.monotonic())):
            if self._signals.take(key.fd):
                continue
            if mask & selectors.EVENT_WRITE and self._child is not None:
                self._child.flush()

    def _read_child(self) -> None:
        child = self._child
        if child is None:
            return
        ended = child.has_ended()
        if ended:
            child.end()  # also what it had started: nothing is written after what is read now
        self._take(child, rest=ended)
        if ended and self._child is child:
            self._handle_childs_end(child)
        self._log.write()

    def _take(self, child: Child, *, rest: bool = False) -> None:
        self._log.note(child.output_lines(rest=rest))
        for report in child.reports():
            kind, value = report
            self._handle_report(kind, value)

    def _handle_report(self, kind: str, value: Json) -> None:
        job = self._job
        if kind == "log":
            self._log.add(*value)
        elif kind == "ready" and self._child is not None:
            self._child.ready = True
            if job is not None:
                job.entered_at = time.monotonic()
        elif kind == "broken":
            self._broken = worker_job.failure_of_report(value)
            self._end_child()
            if job is not None:
                failure, self._broken = self._broken, None
                self._fail(failure)
        elif job is None:
            return  # a late report of a run that is over
        elif kind == "progress":
            job.report(Progress(value[0], value[1]), *value[2:])
        elif kind == "result":
            self._succeed(job, value)
        elif kind == "error":
            self._fail(worker_job.failure_of_report(value))

    def _handle_childs_end(self, child: Child) -> None:
        never_began = child.has_finished_a_run and child.has_unread_command()
        exit_code = self._end_child()
        if self._job is not None and never_began:  # the child ended of the run before
            self._send(self._job)
            return
        last_lines = self._log.last_lines()
        failure = worker_job.crashed(
            self._held.predictor,
            exit_code,
            peak_bytes=self._job.peak_bytes if self._job else 0,
            had_no_memory=child.had_no_memory(),
            last_lines=last_lines,
            ready=child.ready,
        )
        if self._job is not None:
            self._fail(failure)
        elif not child.ready:
            self._broken = failure

    # --- watching the present run -------------------------------------------------------------------------------

    def _watch(self) -> None:
        job, now = self._job, time.monotonic()
        if job is None:
            return
        if now >= job.claimed_at + RETURN_AFTER_S:
            self._return_ahead()
        for at, step in (
            (job.memory_at, self._check_memory),
            (job.ends_at, self._time_out),
            (job.beat_at, self._beat),
            (job.look_at, self._check_cancel),
        ):
            if self._job is job and now >= at:
                step(job, now)

    def _check_memory(self, job: Job, now: float) -> None:
        job.memory_at = now + MEMORY_S
        limit = self._held.predictor.memory_mb * 2**20
        used = tree_bytes(self._child.pid, above=limit) if self._child else 0
        job.peak_bytes = max(job.peak_bytes, used)
        if used > limit:
            self._end_child()
            self._fail(worker_job.out_of_memory(self._held.predictor, used))

    def _time_out(self, job: Job, _now: float) -> None:
        self._end_child()
        predictor = self._held.predictor
        started = job.entered_at is not None
        self._fail(worker_job.timed_out(predictor) if started else worker_job.start_timed_out(predictor, START_LIMIT_S))

    def _beat(self, job: Job, now: float) -> None:
        until = time.time() + runs.LEASE_S
        job.beaten_at, job.beat_at = now, now + BEAT_S
        try:
            entry = self._store.heartbeat(job.entry, visible_at=until, progress=job.progress)
        except BackendError as error:
            print_error(error)
            job.beat_at = now + RETRY_S
            if now > job.lease_until:  # others may have it by now
                self._abandon_job()
            return
        job.lease_until = now + runs.LEASE_S
        self._follow_entry(job, entry)

    def _check_cancel(self, job: Job, now: float) -> None:
        job.look_at = now + LOOK_S
        try:
            self._follow_entry(job, self._store.entry(job.run.predictor, job.run.id))
        except BackendError as error:
            print_error(error)
            job.look_at = now + RETRY_S

    def _follow_entry(self, job: Job, entry: Entry | None) -> None:
        if entry is None or not job.holds(entry):
            self._abandon_job()
        elif entry.cancel_requested:
            self._end_child()
            self._record_at_once(lambda run, _: runs.cancelled(run, now=time.time()))

    def _keep_slot(self) -> None:
        if time.monotonic() >= self._held.renew_at and not self._held.renew():
            self._leaving = True
            self._stop()

    # --- ends ---------------------------------------------------------------------------------------------------

    def _fail(self, failure: Failure) -> None:
        failure, goes_on = worker_job.name_rows(failure, self._job)
        if goes_on:
            self._log.add(time.time(), "WARNING", failure.message)
        retries = self._held.predictor.retries

        def transition(run: Run, entry: Entry | None) -> Change:
            now, delay_s = time.time(), backoff_s(run.failures + 1)
            if goes_on and entry is not None:
                return runs.release(run, entry, now=now)
            return runs.fail(run, entry, failure=failure, now=now, retries=retries, delay_s=delay_s)

        self._record_at_once(transition)

    def _succeed(self, job: Job, result: Json) -> None:
        at, now = time.time(), time.monotonic()
        self._end_job()
        transition = _with_start(job, lambda run, _: runs.succeed(run, result=result, now=at))
        self._batch.put(End(job.run, job.entry, transition), now - job.claimed_at)
        self._begin_next()  # the child works while we record
        if not self._batch.ahead:
            self._settle()

    def _settle(self) -> None:
        """Record what ended and go on with what is due."""
        staying = not (self._leaving or self._signals.stop_asked or self._held.is_outdated())
        self._held.retry(lambda: self._batch.settle(claims=staying, busy=self._job is not None, now=time.time()))
        self._claim_at = 0.0
        if self._job is None:
            self._begin_next()

    def _return_ahead(self) -> None:
        """Record what ended; what was claimed ahead is for other workers too."""
        if self._batch.is_empty:
            return
        has_next = bool(self._batch.ahead)
        self._held.retry(lambda: self._batch.return_ahead(time.time()))
        if has_next:
            self._held.poke_aside()

    def _record_at_once(self, transition: Transition) -> None:
        """Record how an attempt ended that did not succeed; if others have the run by now, that is discarded."""
        job = self._job
        if job is None:
            return
        self._end_job()
        self._claim_at = 0.0
        self._return_ahead()
        self._log.end(self._held.retry(lambda: finish(self._store, job.run, _with_start(job, transition))))

    def _end_job(self) -> None:
        """Write what the run has logged, also below Python, and have no present run."""
        if self._child is not None:
            self._log.note(self._child.output_lines(rest=True))
        self._log.write()
        self._log.run_id = ""
        self._job = None

    def _abandon_job(self) -> None:
        """Stop a run that others have by now; nothing is recorded of it."""
        self._end_child()
        self._end_job()
        self._return_ahead()
        self._claim_at = 0.0

    def _stop(self) -> None:
        """End as asked: the run goes back to the queue without spending a retry, the slot is free."""
        self._end_child()
        job = self._job
        self._end_job()
        self._return_ahead()
        if job is not None:
            self._held.retry(lambda: release_claim(self._store, job.run, now=time.time()))
        self._held.free()

    def _end_child(self) -> int:
        child, self._child = self._child, None
        if child is None:
            return 0
        exit_code = child.end()
        self._log.note(child.output_lines(rest=True))
        child.close()
        return exit_code


def _with_start(job: Job, transition: Transition) -> Transition:
    """Return the transition that also says when the run really began and whether it met a cold start.

    It ends now, so it began that much earlier: a clock that was set meanwhile changes no duration.
    """
    started_at = time.time() - (time.monotonic() - job.claimed_at)

    def change(run: Run, entry: Entry | None) -> Change:
        return transition(evolve(run, cold_start=job.cold_start, started_at=started_at), entry)

    return change


# --- signals as events ------------------------------------------------------------------------------------------
# What comes from outside, as events of the supervisor's `select`.
#
# SIGTERM asks it to end and so does the end of its lifeline (its host is gone); SIGCHLD says that the child ended.


class Signals:
    """Takes over the process's signals. `fd` becomes readable when one has come."""

    def __init__(self, selector: selectors.BaseSelector, lifeline_fd: int = -1) -> None:
        self.stop_asked = False
        self.fd, wake = os.pipe()
        for fd in (self.fd, wake):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # the default would not wake the select
        selector.register(self.fd, selectors.EVENT_READ)
        self._lifeline_fd = lifeline_fd
        if lifeline_fd >= 0:
            selector.register(lifeline_fd, selectors.EVENT_READ)
        self._selector = selector

    def take(self, fd: int) -> bool:
        """Take what has come on `fd`; False if that is none of ours."""
        if fd == self.fd:
            self._clear()
        elif fd == self._lifeline_fd:
            self._selector.unregister(fd)
            self.stop_asked = True
        else:
            return False
        return True

    def _clear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.fd, 512)

    def _stop(self, *_: object) -> None:
        self.stop_asked = True


# --- the run's log ----------------------------------------------------------------------------------------------
# The log lines of the present run, written in batches.

LAST_LINES = 20


class RunLog:
    """Collects lines of a component's runs; `run_id` is the run they belong to, "" between runs."""

    def __init__(self, writer: LogWriter, component: str) -> None:
        self.run_id = ""
        self._writer = writer
        self._component = component
        self._lines: list[LogLine] = []

    def add(self, at: float, level: str, message: str) -> None:
        """Take one line; `at` in epoch seconds."""
        from matinee.ports import LogLine

        self._lines.append(LogLine(at, level, message, self._component, self.run_id))

    def note(self, messages: Iterable[str]) -> None:
        """Take lines that come without time and level."""
        for message in messages:
            self.add(time.time(), "INFO", message)

    def end(self, run: Run | None) -> None:
        """Say it if a run has failed for good; on AWS the stack makes a metric of this line."""
        if run is None or run.status != "failed" or run.failure is None:
            return
        from matinee.ports import LogLine

        message, fields = f"The run has failed: {run.failure.message}", {"event": "run_failed"}
        self._lines.append(LogLine(time.time(), "ERROR", message, self._component, run.id, fields))
        self.write()

    def last_lines(self) -> str:
        """Return the last lines not yet written: what a process wrote before it ended."""
        return "\n".join(line.message for line in self._lines[-LAST_LINES:])

    def write(self) -> None:
        """Write what was taken, if the disk takes it: a run is worth more than its log."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        try:
            self._writer.write(lines)
        except OSError as error:
            print(f"Log lines were lost: {error}", file=sys.stderr)  # noqa: T201 (the worker's own log)
