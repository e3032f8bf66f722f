"""The processes of one function and the requests that wait for them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass

from matinee.backends.local.lambda_service.function import LocalFunction
from matinee.backends.local.lambda_service.guard import Guard
from matinee.backends.local.lambda_service.job import Job
from matinee.backends.local.lambda_service.worker import OnLog, State, Worker


@dataclass(frozen=True)
class Limits:
    """How patient the service is. AWS refuses what exceeds the concurrency; on a laptop people prefer to wait."""

    idle_s: float = 300.0  # a warm process is ended after this
    queue_length: int = 1000
    queue_wait_s: float = 60.0  # while processes are at work; waiting for one that starts does not count


class Pool:
    """Starts processes on demand up to the function's concurrency and gives each request to one."""

    def __init__(
        self,
        function: LocalFunction,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        guard: Guard,
        on_log: OnLog | None,
    ) -> None:
        self.function = function
        self.version = function.version
        self._limits = limits
        self._loop = loop
        self._guard = guard
        self._on_log = on_log
        self._waiting: deque[Job] = deque()
        self._idle: list[Worker] = []  # the last to become idle is used first, so that the others can end
        self._workers: set[Worker] = set()  # those that take requests or will
        self._ending: set[Worker] = set()
        self._starts: set[asyncio.Task[None]] = set()
        self._patience: asyncio.TimerHandle | None = None
        self._retired = False

    @property
    def is_over(self) -> bool:
        """Whether no process is left."""
        return not self._workers and not self._ending

    def submit(self, job: Job) -> None:
        """Run the request as soon as a process is free; refuse it when too many wait."""
        if self._idle:
            self._idle.pop().run(job)
        elif len(self._waiting) >= self._limits.queue_length:
            job.finish(b"", rejected="throttled")
        else:
            self._waiting.append(job)
            self._grow()
            if self._patience is None:
                self._patience = self._loop.call_later(self._limits.queue_wait_s, self._lose_patience)

    def retire(self) -> list[Job]:
        """End every process after its present request; return the requests that still wait."""
        self._retired = True
        for worker in list(self._workers):
            worker.retire()
        waiting, self._waiting = list(self._waiting), deque()
        return waiting

    def kill(self) -> None:
        """End everything now; what waits or runs is told so."""
        self._retired = True
        for worker in [*self._workers, *self._ending]:
            worker.kill()
        for job in self._waiting:
            job.finish(b"", rejected="stopping")
        self._waiting.clear()

    def end_idle(self) -> None:
        """End processes that have been idle for long."""
        before = time.monotonic() - self._limits.idle_s
        for worker in [w for w in self._idle if w.idle_since <= before]:
            worker.retire()

    # --- called by workers ---

    def ready(self, worker: Worker) -> None:
        """Give the worker the next request."""
        if self._retired:
            worker.retire()
            return
        while self._waiting:
            job = self._waiting.popleft()
            if not job.is_over:
                worker.run(job)
                return
        self._idle.append(worker)

    def start_failed(self, worker: Worker, payload: bytes) -> None:  # noqa: ARG002
        """Answer those who waited for the start: all when nobody else could serve them, else the first."""
        serving = any(w.state is not State.STARTING for w in self._workers)
        count = min(1, len(self._waiting)) if serving else len(self._waiting)
        for _ in range(count):
            self._waiting.popleft().finish(payload, failed=True, version=self.version)

    def gone(self, worker: Worker) -> None:
        """Stop counting on the worker."""
        self._workers.discard(worker)
        self._ending.add(worker)
        if worker in self._idle:
            self._idle.remove(worker)

    def ended(self, worker: Worker) -> None:
        """Forget the worker; start another if requests wait."""
        self._ending.discard(worker)
        self._grow()

    # --- its own ---

    def _grow(self) -> None:
        """Start processes for requests that wait, up to the concurrency; one that ends counts until it is gone."""
        if self._retired:
            return
        starting = sum(w.state is State.STARTING for w in self._workers)
        room = self.function.max_processes - len(self._workers) - len(self._ending)
        for _ in range(min(room, len(self._waiting) - starting)):
            worker = Worker(self.function, self, self._loop, self._guard, self._on_log)
            self._workers.add(worker)
            task = self._loop.create_task(worker.start())
            self._starts.add(task)
            task.add_done_callback(self._starts.discard)

    def _lose_patience(self) -> None:
        self._patience = None
        limit = self._limits.queue_wait_s
        if any(w.state is State.STARTING for w in self._workers):
            self._patience = self._loop.call_later(min(1.0, limit), self._lose_patience)
            return
        now = time.monotonic()
        while self._waiting and self._waiting[0].submitted_at + limit <= now:
            self._waiting.popleft().finish(b"", rejected="throttled")
        if self._waiting:
            wait = self._waiting[0].submitted_at + limit - now
            self._patience = self._loop.call_later(wait, self._lose_patience)
