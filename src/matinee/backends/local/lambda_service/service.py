"""The local Lambda service: functions, their processes and the Invoke API, on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from matinee.backends.local.lambda_service.builtin import Builtin, Handler
from matinee.backends.local.lambda_service.events import RETRY_DELAYS_S, Events
from matinee.backends.local.lambda_service.function import LocalFunction
from matinee.backends.local.lambda_service.guard import Guard
from matinee.backends.local.lambda_service.http import Connection
from matinee.backends.local.lambda_service.invoke_api import InvokeApi, Target
from matinee.backends.local.lambda_service.pool import Limits, Pool
from matinee.backends.local.lambda_service.worker import OnLog
from matinee.errors import BackendError

T = TypeVar("T")
_BUILTIN_THREADS = 8
_SWEEP_S = 15.0
_STOP_S = 5.0


class LambdaService:
    """Runs functions as AWS Lambda does: `start`, `put_function`, invoke at `endpoint`, `stop`. Safe from any thread.

    `on_log(function, run_id, line)` gets every line of the functions' logs, Lambda's own START, END and REPORT too;
    `run_id` is `custom.run` of the caller's client context, else Lambda's request id, "" outside requests. It is
    called on the service's loop and must not block.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        on_log: OnLog | None = None,
        limits: Limits | None = None,
        event_retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S,
    ) -> None:
        self._host = host
        self._port = port
        self._on_log = on_log
        self._limits = limits or Limits()
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
            asyncio.run_coroutine_threadsafe(self._shut_down(), self._loop).result(_STOP_S * 2)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
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
        api = InvokeApi(self._targets.get, Events(self._loop, self._event_delays))
        self._server = await self._loop.create_server(
            lambda: Connection(api.serve), self._host, self._port, backlog=1024
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
