"""The loop of a batch worker: slot → claim → child runs it → finish → next, until nothing is due.

One thread and one `select`: whatever happens (a report, the child's end, a signal, a time that has come) is handled
in turn, so nothing races. The protocol is design section 4; its steps are in `matinee.dispatch.worker`.
"""

from __future__ import annotations

import selectors
import time
from typing import TYPE_CHECKING

from matinee import runs
from matinee.backends.factory import LogWriter, open_log_writer, open_store
from matinee.dispatch.worker import Left, Transition, WaitUntil, claim_next, finish, give_back, leave
from matinee.errors import BackendError
from matinee.memory import tree_bytes
from matinee.retry import backoff_s
from matinee.runs import Change, Entry, Failure, Json, Progress, Run, evolve
from matinee.runtime import supervisor_failures as failures
from matinee.runtime.supervisor_child import Child
from matinee.runtime.supervisor_hand import LET_GO_S, Ended, Hand
from matinee.runtime.supervisor_job import BEAT_S, LOOK_S, MEMORY_S, RETRY_S, START_LIMIT_S, Job
from matinee.runtime.supervisor_log import RunLog
from matinee.runtime.supervisor_signals import Signals
from matinee.runtime.supervisor_slot import HeldSlot
from matinee.runtime.supervisor_spawn import Spawned
from matinee.settings import Settings

if TYPE_CHECKING:  # a worker must start fast
    from matinee.ports import Store

IDLE_S = 0.1  # how often a worker that waits for a back-off looks for other runs


class Supervisor:
    """Drains one predictor's queue for one slot."""

    def __init__(self, held: HeldSlot, store: Store, logs: LogWriter, spawned: Spawned, lifeline_fd: int) -> None:
        self._held = held
        self._store = store
        self._log = RunLog(logs, held.predictor.component)
        self._selector = selectors.DefaultSelector()
        self._signals = Signals(self._selector, lifeline_fd)
        self._child: Child | None = Child(spawned, self._selector)
        self._broken: Failure | None = None  # why the child that was to run the next run could not start
        self._job: Job | None = None
        self._hand = Hand(store, held.predictor.name, owner=held.token, version=held.label)
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
                self._give_back()
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
            self._collect()
            self._watch()
            self._keep_slot()

    # --- taking runs --------------------------------------------------------------------------------------------

    def _claim(self) -> None:
        if self._has_claimed and self._held.is_outdated():
            self._held.give_up()
            self._leaving = True
            return
        claimed = claim_next(
            self._store, self._held.predictor.name, owner=self._held.token, version=self._held.label, now=time.time()
        )
        if claimed is not None:
            self._has_claimed = True
            self._begin(*claimed)
            return
        outcome = leave(self._store, self._held.slot, time.time())
        self._leaving = isinstance(outcome, Left)
        if isinstance(outcome, WaitUntil):
            self._claim_at = time.monotonic() + min(IDLE_S, max(0.0, outcome.at - time.time()))

    def _begin(self, run: Run, entry: Entry) -> None:
        now = time.monotonic()
        if self._child is None and self._broken is None:
            self._child = Child(None, self._selector)
        cold = self._child is None or not self._child.used
        predictor = self._held.predictor
        self._job = Job(run, entry, predictor, now, cold, started_at=time.time())
        self._log.run_id = run.id
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
        if self._child.ready:
            self._job.entered_at = now

    # --- what happens -------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        until = min(self._held.renew_at, self._job.next_at if self._job else self._claim_at)
        if self._job is not None and not self._hand.is_empty:
            until = min(until, self._job.claimed_at + LET_GO_S)
        for key, mask in self._selector.select(max(0.0, until - time.monotonic())):
            if self._signals.take(key.fd):
                continue
            if mask & selectors.EVENT_WRITE and self._child is not None:
                self._child.flush()

    def _collect(self) -> None:
        child = self._child
        if child is None:
            return
        ended = child.has_ended()
        if ended:
            child.end()  # also what it had started: nothing is written after what is read now
        self._take(child, rest=ended)
        if ended and self._child is child:
            self._child_ended(child)
        self._log.write()

    def _take(self, child: Child, *, rest: bool = False) -> None:
        self._log.note(child.output_lines(rest=rest))
        for report in child.reports():
            kind, value = report
            self._reported(kind, value)

    def _reported(self, kind: str, value: Json) -> None:
        job = self._job
        if kind == "log":
            self._log.add(*value)
        elif kind == "ready" and self._child is not None:
            self._child.ready = True
            if job is not None:
                job.entered_at = time.monotonic()
        elif kind == "broken":
            self._broken = failures.reported(value)
            self._end_child()
            if job is not None:
                failure, self._broken = self._broken, None
                self._fail(failure)
        elif job is None:
            return  # late words of a run that is over
        elif kind == "progress":
            job.report(Progress(value[0], value[1]), *value[2:])
        elif kind == "result":
            self._succeed(job, value)
        elif kind == "error":
            self._fail(failures.reported(value))

    def _child_ended(self, child: Child) -> None:
        exit_code = self._end_child()
        last_words = self._log.last_words()
        failure = failures.crashed(
            self._held.predictor,
            exit_code,
            peak_bytes=self._job.peak_bytes if self._job else 0,
            had_no_memory=child.had_no_memory(),
            last_words=last_words,
            ready=child.ready,
        )
        if self._job is not None:
            self._fail(failure)
        elif not child.ready:
            self._broken = failure

    # --- watching the run in hand -------------------------------------------------------------------------------

    def _watch(self) -> None:
        job, now = self._job, time.monotonic()
        if job is None:
            return
        if now >= job.claimed_at + LET_GO_S and not self._hand.is_empty:
            self._let_go()
        for at, step in (
            (job.memory_at, self._look_at_memory),
            (job.ends_at, self._time_out),
            (job.beat_at, self._beat),
            (job.look_at, self._look_for_cancel),
        ):
            if self._job is job and now >= at:
                step(job, now)

    def _look_at_memory(self, job: Job, now: float) -> None:
        job.memory_at = now + MEMORY_S
        limit = self._held.predictor.memory_mb * 2**20
        used = tree_bytes(self._child.pid, above=limit) if self._child else 0
        job.peak_bytes = max(job.peak_bytes, used)
        if used > limit:
            self._end_child()
            self._fail(failures.out_of_memory(self._held.predictor, used))

    def _time_out(self, job: Job, _now: float) -> None:
        self._end_child()
        predictor = self._held.predictor
        started = job.entered_at is not None
        self._fail(failures.timed_out(predictor) if started else failures.start_timed_out(predictor, START_LIMIT_S))

    def _beat(self, job: Job, now: float) -> None:
        until = time.time() + runs.LEASE_S
        job.beaten_at, job.beat_at = now, now + BEAT_S
        try:
            entry = self._store.heartbeat(job.entry, visible_at=until, progress=job.progress)
        except BackendError:
            job.beat_at = now + RETRY_S
            if time.time() > job.lease_until:  # others may have it by now
                self._drop()
            return
        job.lease_until = until
        self._obey(job, entry)

    def _look_for_cancel(self, job: Job, now: float) -> None:
        job.look_at = now + LOOK_S
        try:
            self._obey(job, self._store.entry(job.run.predictor, job.run.id))
        except BackendError:
            job.look_at = now + RETRY_S

    def _obey(self, job: Job, entry: Entry | None) -> None:
        if entry is None or not job.holds(entry):
            self._drop()
        elif entry.cancel_requested:
            self._end_child()
            self._finish(lambda run, _: runs.cancelled(run, now=time.time()))

    def _keep_slot(self) -> None:
        if time.monotonic() >= self._held.renew_at and not self._held.renew():
            self._leaving = True
            self._give_back()

    # --- ends ---------------------------------------------------------------------------------------------------

    def _fail(self, failure: Failure) -> None:
        failure, goes_on = failures.in_rows(failure, self._job)
        if goes_on:
            self._log.add(time.time(), "WARNING", failure.message)
        retries = self._held.predictor.retries

        def transition(run: Run, entry: Entry | None) -> Change:
            now, delay_s = time.time(), backoff_s(run.failures + 1)
            if goes_on and entry is not None:
                return runs.release(run, entry, now=now)
            return runs.fail(run, entry, failure=failure, now=now, retries=retries, delay_s=delay_s)

        self._finish(transition)

    def _succeed(self, job: Job, result: Json) -> None:
        at, now = time.time(), time.monotonic()
        self._end_job()
        transition = _told(job, lambda run, _: runs.succeed(run, result=result, now=at))
        self._hand.put(Ended(job.run, job.entry, transition), now - job.claimed_at)
        if self._hand.has_next:
            self._begin(*self._hand.next())  # the child works while we record
        if not self._hand.has_next:
            self._settle()

    def _settle(self) -> None:
        """Record what ended and go on with what is due."""
        staying = not (self._leaving or self._signals.stop_asked or self._held.is_outdated())
        self._held.insist(lambda: self._hand.settle(claims=staying, busy=self._job is not None))
        self._claim_at = 0.0
        if self._job is None and self._hand.has_next:
            self._begin(*self._hand.next())

    def _let_go(self) -> None:
        """Record what ended; what was claimed ahead is for other workers too."""
        if self._hand.is_empty:
            return
        has_next = self._hand.has_next
        self._held.insist(self._hand.let_go)
        if has_next:
            self._held.poke_aside()

    def _finish(self, transition: Transition) -> None:
        """Record that the attempt did not succeed; if others have the run by now, that is discarded."""
        job = self._job
        if job is None:
            return
        self._end_job()
        self._claim_at = 0.0
        self._let_go()
        self._log.end(self._held.insist(lambda: finish(self._store, job.run, _told(job, transition))))

    def _end_job(self) -> None:
        """Write what the run has logged, also below Python, and have none in hand."""
        if self._child is not None:
            self._log.note(self._child.output_lines(rest=True))
        self._log.write()
        self._log.run_id = ""
        self._job = None

    def _drop(self) -> None:
        """Let go of a run that others have by now."""
        self._end_child()
        self._end_job()
        self._let_go()
        self._claim_at = 0.0

    def _give_back(self) -> None:
        """End as asked: the run goes back to the queue without spending a retry, the slot is free."""
        self._end_child()
        job = self._job
        self._end_job()
        self._let_go()
        if job is not None:
            self._held.insist(lambda: give_back(self._store, job.run, now=time.time()))
        self._held.give_up()

    def _end_child(self) -> int:
        child, self._child = self._child, None
        if child is None:
            return 0
        exit_code = child.end()
        self._log.note(child.output_lines(rest=True))
        child.close()
        return exit_code


def _told(job: Job, transition: Transition) -> Transition:
    """Return the transition that also says when the run really began and whether it met a cold start."""

    def told(run: Run, entry: Entry | None) -> Change:
        return transition(evolve(run, cold_start=job.cold_start, started_at=job.started_at), entry)

    return told
