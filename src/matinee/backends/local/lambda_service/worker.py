"""One execution environment of a function, as Lambda calls it: a process that takes one request at a time.

starting ──next──> idle ──run──> busy ──response or error──> answered ──next──> idle
any ──timeout, memory, exit, retire──> ending
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from matinee.backends.local.lambda_service.function import (
    MAX_RESPONSE_BYTES,
    Job,
    LocalFunction,
    environment,
    error_payload,
    report_line,
    start_line,
)
from matinee.backends.local.lambda_service.guard import Guard
from matinee.backends.local.lambda_service.guests import browser_refusal
from matinee.backends.local.lambda_service.http import JSON_TYPE, Connection, Request, Room, header_lines
from matinee.backends.local.lambda_service.process import Process
from matinee.process_tree import tree_bytes

# A start that takes longer is ended, and tried once more as a part of the request, with the function's timeout:
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
INIT_LIMIT_S = 10.0
_WATCH_S = 0.05
_CONNECTIONS = 16  # the process needs one or two
_START_ERROR = re.compile(r"\[ERROR\] ([\w.]+): (.*)")  # as awslambdaric writes why a start failed
_KILLED = "exit status 137"  # of a container: 128 + SIGKILL, which the kernel sends where memory has run out

OnLog = Callable[[str, str, str], None]


class State(Enum):
    """Where a worker is."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    ANSWERED = "answered"
    ENDING = "ending"


class Owner(Protocol):
    """What a worker tells its pool."""

    def ready(self, worker: Worker) -> None:
        """It waits for a request."""

    def start_failed(self, worker: Worker, payload: bytes) -> None:
        """It will never answer one."""

    def ending(self, worker: Worker) -> None:
        """It takes no more requests (`ended` is still to come)."""

    def ended(self, worker: Worker) -> None:
        """Its process is no more."""


class Worker:
    """A process with its Runtime API. All methods are called on the loop."""

    def __init__(
        self, function: LocalFunction, owner: Owner, loop: asyncio.AbstractEventLoop, guard: Guard, on_log: OnLog | None
    ) -> None:
        self.function = function
        self._limit_bytes = function.memory_mb * 2**20
        self.state = State.STARTING
        self.idle_since = 0.0
        self._owner = owner
        self._loop = loop
        self._on_log = on_log
        self._guard = guard
        self._address = ""  # of the Runtime API, with the secret that begins its paths
        self._process = self._new_process()
        self._retries_init = False  # its first start took too long and is being ended
        self._init_retried_at: float | None = None
        self._server: asyncio.Server | None = None
        self._next: Request | None = None
        self._next_headers = JSON_TYPE + header_lines({"Lambda-Runtime-Invoked-Function-Arn": function.arn})
        self._job: Job | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._created_at = self._started_at = time.monotonic()
        self._deadline = self._created_at + INIT_LIMIT_S
        self._init_s: float | None = None
        self._start_error: dict[str, str] = {}  # as the process wrote it, where it cannot post it
        self._peak_bytes = 0
        self._measured_at = 0.0

    @property
    def pid(self) -> int:
        """Return the process id, 0 when there is no process."""
        return self._process.pid

    async def start(self) -> None:
        """Listen for the process, then start it.

        Each has a port of its own, as each has on Lambda, and a secret that begins every path: other users of this
        machine reach the port too, and must neither take an input nor answer in its place.
        """
        secret, room = secrets.token_hex(16), Room(_CONNECTIONS)
        self._server = await self._loop.create_server(
            lambda: Connection(lambda request: serve(self, request, secret), room), "127.0.0.1", 0
        )
        self._address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}/{secret}"
        if self.state is not State.ENDING:
            self._start_process()
        else:
            self._ended("")

    def _new_process(self) -> Process:
        return Process(self._loop, self._guard, self._log, self._ended)

    def _start_process(self) -> None:
        self._process.start(
            self.function.command,
            environment(self.function, self._address),
            self.function.cwd,
            lifeline=self.function.contained,
        )
        self._watch()

    def run(self, job: Job) -> None:
        """Hand a request to the idle process."""
        assert self._next is not None
        self._job, request, self._next = job, self._next, None
        self.state = State.BUSY
        now = time.monotonic()
        self._started_at = now if self._init_retried_at is None else self._init_retried_at
        self._init_retried_at = None
        self._deadline = self._started_at + self.function.timeout_s
        if self._on_log is not None or job.log_tail:
            self._log(start_line(job.request_id, self.function.version))
        self._timer = self._loop.call_later(min(_WATCH_S, self._deadline - now), self._watch)
        request.on_lost = None
        request.respond(200, job.payload, self._next_headers + _next_headers(job, self._deadline - now))

    def retire(self) -> None:
        """End after the present request."""
        if self.state is State.BUSY:
            return  # its pool ends it when it is ready again
        self._stop_taking()
        self._process.terminate()

    def kill(self) -> None:
        """End now."""
        self._stop_taking()
        self._process.kill()

    # --- called by the Runtime API ---

    def next(self, request: Request) -> None:
        """Take the process's wish for a request; refuse a second one, as AWS does."""
        if self.state not in (State.STARTING, State.ANSWERED):
            _error(request, 403, "InvalidStateTransition", "State transition is not allowed")
            return
        if self.state is State.STARTING and self._init_retried_at is None:
            self._init_s = time.monotonic() - self._created_at
        self._stop_watching()
        self._next = request
        request.on_lost = self.kill
        self.state = State.IDLE
        self.idle_since = time.monotonic()
        self._owner.ready(self)

    def is_running(self, request_id: str) -> bool:
        """Return whether this request is its present one."""
        return self.state is State.BUSY and self._job is not None and self._job.request_id == request_id

    def answer(self, payload: bytes, *, failed: bool, kind: str = "") -> bool:
        """Take the result or the error of the present request; False if it is too large."""
        too_large = len(payload) > MAX_RESPONSE_BYTES
        if too_large:
            message = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
            payload, failed, kind = (
                error_payload("Function.ResponseSizeTooLarge", message),
                True,
                "ResponseSizeTooLarge",
            )
        self._finish(payload, failed=failed, status=f"error\tError Type: {kind}" if kind else "")
        self.state = State.ANSWERED
        return not too_large

    def init_error(self, payload: bytes) -> None:
        """Take the reason of a failed start."""
        self._fail_start(payload)

    # --- its end ---

    def _fail_start(self, payload: bytes) -> None:
        self.kill()
        self._owner.start_failed(self, payload)

    def _fail(self, kind: str, message: str, status: str) -> None:
        """End the process and answer what it was doing with an error of the platform."""
        if self.state is State.STARTING:
            self._fail_start(error_payload(kind, message))
            return
        job = self._job
        if job is not None:
            self._finish(
                error_payload(kind, f"RequestId: {job.request_id} Error: {message}"), failed=True, status=status
            )
        self.kill()

    def _stop_taking(self) -> None:
        if self.state is not State.ENDING:
            self.state = State.ENDING
            self._stop_watching()
            self._owner.ending(self)

    def _end_init(self) -> None:
        """End a first start that takes too long; when it has ended, it is tried once more."""
        self._log(f"INIT_REPORT Init Duration: {INIT_LIMIT_S * 1000:.2f} ms Phase: init Status: timeout")
        self._log(
            f"Importing it took longer than {INIT_LIMIT_S:g} s. It is started once more and has its timeout of "
            f"{self.function.timeout_s:g} s for both, import and request, as on AWS."
        )
        self._stop_watching()
        self._retries_init = True
        self._process.kill()

    def _retry_init(self) -> None:
        self._retries_init = False
        self._init_retried_at = time.monotonic()
        self._deadline = self._init_retried_at + self.function.timeout_s
        self._process = self._new_process()
        self._start_process()

    def _ended(self, how: str) -> None:
        if self._retries_init and self.state is State.STARTING:
            self._retry_init()
            return
        if self.state is State.STARTING and self._start_error:
            self._fail_start(json.dumps(self._start_error).encode())
        if self.state is not State.ENDING:
            kind = "Runtime.OutOfMemory" if self.function.contained and how.endswith(_KILLED) else "Runtime.ExitError"
            self._fail(kind, how, f"error\tError Type: {kind}")
        if self._server is not None:
            self._server.close()
        self._owner.ended(self)

    # --- watching ---

    def _watch(self) -> None:
        self._measure()
        now = time.monotonic()
        if self._peak_bytes > self._limit_bytes:
            self._fail("Runtime.OutOfMemory", "Runtime exited with error: signal: killed",
                       "error\tError Type: Runtime.OutOfMemory")  # fmt: skip
        elif now >= self._deadline and self.state is State.STARTING and self._init_retried_at is None:
            self._end_init()
        elif now >= self._deadline:
            self._fail("Sandbox.Timedout", f"Task timed out after {self.function.timeout_s:.2f} seconds", "timeout")
        else:
            self._timer = self._loop.call_later(min(_WATCH_S, self._deadline - now), self._watch)

    def _measure(self) -> None:
        if self.pid and not self.function.contained:
            self._measured_at = time.monotonic()
            self._peak_bytes = max(self._peak_bytes, tree_bytes(self.pid, above=self._limit_bytes))

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- reporting ---

    def _finish(self, payload: bytes, *, failed: bool, status: str) -> None:
        """Report and answer the present request."""
        job, self._job = self._job, None
        assert job is not None
        now = time.monotonic()
        if self._on_log is not None or job.log_tail:
            if now - self._measured_at > _WATCH_S:
                self._measure()
            self._job = job  # what it wrote is still this request's
            self._process.read_output()
            self._process.flush()
            for line in report_line(job.request_id, now - self._started_at, self.function.memory_mb, self._peak_bytes,
                                    self._init_s, status):  # fmt: skip
                self._log(line)
            self._job = None
        self._init_s = None
        job.finish(payload, failed=failed, version=self.function.version)

    def _log(self, line: str) -> None:
        job = self._job
        if job is not None:
            job.log(line + "\n")
        elif self.state is State.STARTING and (found := _START_ERROR.match(line)):
            self._start_error = {"errorType": found[1], "errorMessage": found[2], "requestId": ""}
        if self._on_log is not None:
            self._on_log(self.function.name, job.run_id if job else "", line)


def _next_headers(job: Job, remaining_s: float) -> str:
    now = time.time()
    trace = f"Root=1-{int(now):08x}-{job.request_id.replace('-', '')[:24]};Sampled=0"
    context = f"Lambda-Runtime-Client-Context: {job.client_context}\r\n" if job.client_context else ""
    return (
        f"Lambda-Runtime-Aws-Request-Id: {job.request_id}\r\n"
        f"Lambda-Runtime-Deadline-Ms: {int((now + remaining_s) * 1000)}\r\n"
        f"Lambda-Runtime-Trace-Id: {trace}\r\n{context}"
    )


# --- the Lambda Runtime API -------------------------------------------------------------------------------------------
# The Lambda Runtime API, which a worker's process speaks.
#
# https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

_BASE = "2018-06-01/runtime/"
_ACCEPTED = b'{"status":"OK"}\n'


class Runtime(Protocol):
    """What the API needs of a worker."""

    def next(self, request: Request) -> None:
        """Answer `request` with the next invocation, when there is one."""

    def is_running(self, request_id: str) -> bool:
        """Return whether this request is its present one."""

    def answer(self, payload: bytes, *, failed: bool, kind: str = "") -> bool:
        """Take result or error; False if it is too large."""

    def init_error(self, payload: bytes) -> None:
        """Take the reason of a failed start."""


def serve(runtime: Runtime, request: Request, secret: str) -> None:
    """Answer one request of the process, whose path begins with the secret."""
    shown, _, path = request.path[1:].partition("/")
    reason = browser_refusal(request)
    if reason or not hmac.compare_digest(shown.encode(), secret.encode()):
        _error(request, 403, "Forbidden", reason or "Only the process itself is served.")
        return
    action = path.removeprefix(_BASE)
    if request.method == "GET" and action == "invocation/next":
        runtime.next(request)
    elif request.method == "POST" and action == "init/error":
        request.respond(202, _ACCEPTED, JSON_TYPE)
        runtime.init_error(request.body)
    elif request.method == "POST" and action.startswith("invocation/") and action.count("/") == 2:
        _, request_id, outcome = action.split("/")
        _answer(runtime, request, request_id, outcome)
    else:
        _error(request, 404, "NotFound", f"{request.method} {request.path} is not part of the Runtime API.")


def _answer(runtime: Runtime, request: Request, request_id: str, outcome: str) -> None:
    if outcome not in ("response", "error"):
        _error(request, 404, "NotFound", f"{request.path} is not part of the Runtime API.")
    elif not runtime.is_running(request_id):
        _error(request, 400, "InvalidRequestID", "Invalid request ID")
    else:
        failed = outcome == "error"
        kind = request.header(b"lambda-runtime-function-error-type", "Unhandled") if failed else ""
        if runtime.answer(request.body, failed=failed, kind=kind):
            request.respond(202, _ACCEPTED, JSON_TYPE)
        else:
            _error(request, 413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size (6291556 bytes).")


def _error(request: Request, status: int, kind: str, message: str) -> None:
    request.respond(status, json.dumps({"errorMessage": message, "errorType": kind}).encode(), JSON_TYPE)
