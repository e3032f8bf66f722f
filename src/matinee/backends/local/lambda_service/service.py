"""The local Lambda service: functions, their processes and the Invoke API, on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from matinee.backends.local.lambda_service.function import Job, LocalFunction
from matinee.backends.local.lambda_service.guard import Guard
from matinee.backends.local.lambda_service.http import Connection, Room, raise_descriptor_limit
from matinee.backends.local.lambda_service.invoke_api import RETRY_DELAYS_S, Events, InvokeApi, Target
from matinee.backends.local.lambda_service.worker import OnLog, State, Worker
from matinee.errors import BackendError

T = TypeVar("T")
_BUILTIN_THREADS = 8
_SWEEP_S = 15.0
_STOP_S = 5.0


class LambdaService:
    """Runs functions as AWS Lambda does: `start`, `put_function`, invoke at `endpoint`, `stop`. Safe from any thread.

    `on_log(function, run_id, line)` gets every line of the functions' logs, Lambda's own START, END and REPORT too;
    `run_id` is `custom.run` of the caller's client context, else Lambda's request id, "" outside requests. It is
    called on the service's loop and must not block. Callers sign with `guests.ACCESS_KEY_ID` and `secret`, one of this
    start unless given.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        on_log: OnLog | None = None,
        limits: Limits | None = None,
        secret: str | None = None,
        event_retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S,
    ) -> None:
        self._host = host
        self._port = port
        self._on_log = on_log
        self._limits = limits or Limits()
        self.secret = secret or secrets.token_hex(20)  # callers show that they know it
        self._event_delays = event_retry_delays_s
        self._targets: dict[str, Target] = {}
        self._retired: set[Pool] = set()
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._run, name="lambda-service", daemon=True)
        self._executor = ThreadPoolExecutor(_BUILTIN_THREADS, thread_name_prefix="lambda-builtin")
        self._guard: Guard | None = None
        self._server: asyncio.Server | None = None

    @property
    def endpoint(self) -> str:
        """Return the address for boto3's `endpoint_url`; BackendError before `start`."""
        if not self._port or self._server is None:
            raise BackendError("The local Lambda service is not started.", hint="Call start() first.")
        return f"http://{self._host}:{self._port}"

    def start(self) -> None:
        """Listen; BackendError if the port is taken."""
        self._guard = Guard()
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        except OSError as error:
            self.stop()
            raise BackendError(
                f"Port {self._port} of {self._host} cannot be used: {error.strerror or error}.",
                hint="Choose another, or 0 for any free one.",
            ) from error

    def put_function(self, function: LocalFunction) -> None:
        """Add or replace a function. A change retires its processes after their present request."""
        self._call(lambda: self._put(function))

    def put_builtin(self, name: str, handler: Handler) -> None:
        """Add or replace a function that runs in a thread of this process: `handler(payload, context) -> payload`."""
        self._call(lambda: self._replace(name, Builtin(handler, self._loop, self._executor)))

    def remove_function(self, name: str) -> None:
        """Remove a function, if it is there; its running requests are still answered."""
        self._call(lambda: self._replace(name, None))

    def stop(self) -> None:
        """End every process and the service. What still runs is answered as stopping."""
        if self._thread.is_alive():
            with suppress(TimeoutError):  # what hangs is ended by the guard
                asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop).result(_STOP_S * 2)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_STOP_S)
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    # --- on the loop ---

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _listen(self) -> None:
        api = InvokeApi(self._targets.get, Events(self._loop, self._event_delays), self.secret)
        room = Room(min(self._limits.connections, raise_descriptor_limit() // 4))
        self._server = await self._loop.create_server(
            lambda: Connection(api.serve, room), self._host, self._port, backlog=1024
        )
        self._port = self._server.sockets[0].getsockname()[1]
        self._loop.call_later(self._sweep_s, self._sweep)

    @property
    def _sweep_s(self) -> float:
        return min(_SWEEP_S, self._limits.idle_s / 4)

    def _put(self, function: LocalFunction) -> None:
        present = self._targets.get(function.name)
        if isinstance(present, Pool) and present.function == function:
            return
        assert self._guard is not None
        self._replace(function.name, Pool(function, self._limits, self._loop, self._guard, self._on_log))

    def _replace(self, name: str, target: Target | None) -> None:
        old = self._targets.pop(name, None)
        if target is not None:
            self._targets[name] = target
        if not isinstance(old, Pool):
            return
        self._retired.add(old)
        for job in old.retire():
            if target is not None:
                target.submit(job)
            else:
                job.finish(b"", rejected="removing this function")

    @property
    def _pools(self) -> list[Pool]:
        return [*(t for t in self._targets.values() if isinstance(t, Pool)), *self._retired]

    def _sweep(self) -> None:
        for pool in self._pools:
            pool.end_idle()
        self._retired = {pool for pool in self._retired if not pool.is_over}
        self._loop.call_later(self._sweep_s, self._sweep)

    async def _shut_down(self) -> None:
        if self._server is not None:
            self._server.close()
        for pool in self._pools:
            pool.kill()
        deadline = self._loop.time() + _STOP_S
        while not all(pool.is_over for pool in self._pools) and self._loop.time() < deadline:
            await asyncio.sleep(0.005)

    def _call(self, action: Callable[[], T]) -> T:
        """Run on the loop and return what it returns."""
        if not self._thread.is_alive():
            raise BackendError("The local Lambda service is not running.", hint="Call start() first.")
        outcome: Future[T] = Future()

        def act() -> None:
            try:
                outcome.set_result(action())
            except BaseException as error:
                outcome.set_exception(error)

        self._loop.call_soon_threadsafe(act)
        return outcome.result()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # no wheel on Windows
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


# --- in-process functions ---------------------------------------------------------------------------------------------
# A function that is a Python callable of this process: the dispatcher.

Handler = Callable[[bytes, dict[str, Any]], bytes]


class Builtin:
    """Runs `handler(payload, context)` in a thread; context has `request_id` and `custom`, the caller's own."""

    version = "$LATEST"

    def __init__(self, handler: Handler, loop: asyncio.AbstractEventLoop, executor: Executor) -> None:
        self._handler = handler
        self._loop = loop
        self._executor = executor

    def submit(self, job: Job) -> None:
        """Run the request."""
        custom = json.loads(job.client_context).get("custom") if job.client_context else None
        context = {"request_id": job.request_id, "custom": custom or {}}

        def work() -> None:
            payload, failed = self._call(job.payload, context)
            self._loop.call_soon_threadsafe(lambda: job.finish(payload, failed=failed, version=self.version))

        self._executor.submit(work)

    def _call(self, payload: bytes, context: dict[str, Any]) -> tuple[bytes, bool]:
        try:
            return self._handler(payload, context), False
        except Exception as error:  # whatever it is, it is the caller's to see
            stack = traceback.format_tb(error.__traceback__)[1:]
            problem = {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": stack}
            return json.dumps(problem).encode(), True


# --- the process pool of a function -----------------------------------------------------------------------------------
# The processes of one function and the requests that wait for them.


@dataclass(frozen=True)
class Limits:
    """How patient the service is. AWS refuses what exceeds the concurrency; on a laptop people prefer to wait."""

    connections: int = 512
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
                self._patience = self._loop.call_later(self._limits.queue_wait_s, self._refuse_late)

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

    def ending(self, worker: Worker) -> None:
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

    def _refuse_late(self) -> None:
        self._patience = None
        limit = self._limits.queue_wait_s
        if any(w.state is State.STARTING for w in self._workers):
            self._patience = self._loop.call_later(min(1.0, limit), self._refuse_late)
            return
        now = time.monotonic()
        while self._waiting and self._waiting[0].submitted_at + limit <= now:
            self._waiting.popleft().finish(b"", rejected="throttled")
        if self._waiting:
            wait = self._waiting[0].submitted_at + limit - now
            self._patience = self._loop.call_later(wait, self._refuse_late)
