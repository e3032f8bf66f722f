"""A function as the service knows it, and the environment its processes get."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

REGION = "eu-central-1"
ACCOUNT = "000000000000"
_PASSED_ON = (
    "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "SSL_CERT_DIR",
    "SSL_CERT_FILE", "TEMP", "TMP", "TMPDIR", "USER", "XDG_CACHE_HOME",
)  # fmt: skip
NOBODY = {  # on AWS, for processes of this machine: no profile or key of the person's reaches a predictor by accident
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
}
_CREDENTIALS = ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE")


@dataclass(frozen=True)
class LocalFunction:
    """One function: a command that speaks the Lambda Runtime API.

    `concurrency` is the number of processes at once (0 = the machine's cores); `version` what callers get as
    executed version. `reserved` are variables that win over all others: what the service itself sets is the local
    pseudo-account's, unless a real region, role and log stream are played. A `contained` command is a container's: it
    keeps to its memory by itself, and its input is kept open as long as it may live, since no signal reaches what an
    engine runs for it.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict, repr=False)  # it may hold secrets
    memory_mb: int = 512
    timeout_s: float = 30.0
    concurrency: int = 0
    cwd: str = ""
    version: str = "$LATEST"
    reserved: dict[str, str] = field(default_factory=dict)
    contained: bool = False

    @property
    def arn(self) -> str:
        """Return the name as AWS writes it."""
        return arn(self.name)

    @property
    def max_processes(self) -> int:
        """Return how many processes may run at once."""
        return self.concurrency or os.cpu_count() or 1


def arn(name: str) -> str:
    """Return a function's Amazon Resource Name in the local pseudo-account."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def environment(function: LocalFunction, runtime_api: str, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of a process: the function's own and those AWS documents, which are reserved there too.

    Little is inherited, as little is on AWS: real credentials never reach a predictor by accident.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
    """
    return {
        **passed_on(inherited),
        "AWS_LAMBDA_LOG_LEVEL": "INFO",  # what `logging.info` says is shown
        "TZ": ":UTC",
        **{name: value for name, value in function.environment.items() if name not in _CREDENTIALS},
        **_reserved(function, runtime_api),
    }


def reserved_names() -> tuple[str, ...]:
    """Return the names of the variables that Lambda sets, for what must name each one that it passes on."""
    return ("AWS_LAMBDA_LOG_LEVEL", "TZ", *_reserved(LocalFunction("", [""]), ""))


def _reserved(function: LocalFunction, runtime_api: str) -> dict[str, str]:
    task_root = function.cwd or os.getcwd()  # noqa: PTH109 - a string is wanted
    return {
        **NOBODY,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "LAMBDA_TASK_ROOT": task_root,
        "_HANDLER": function.command[-1],
        **function.reserved,
    }


def passed_on(inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what any component's process gets of this process's environment: where things are, no secrets."""
    return {name: inherited[name] for name in _PASSED_ON if name in inherited}


def worker_command(python: str) -> list[str]:
    """Return the command of a function: AWS's own runtime client, or a loop of ours where that has no wheel."""
    client = "matinee.runtime.lambda_client" if sys.platform == "linux" else "matinee.runtime.loop"
    return [python, "-m", client, "matinee.runtime.realtime.handler"]


# --- one request in progress ------------------------------------------------------------------------------------------
# One request to a function on its way through the service, and what becomes of it.

MAX_RESPONSE_BYTES = 6_291_556  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_LOG_TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a job: `failed` says the payload is an error; `rejected` why it was never run ("throttled", …)."""

    payload: bytes
    failed: bool = False
    rejected: str = ""
    version: str = ""
    log_tail: bytes = b""


class Job:
    """A request that waits or runs. `done` is called once, on the service's loop."""

    __slots__ = (
        "_done",
        "_log",
        "client_context",
        "is_over",
        "log_tail",
        "payload",
        "request_id",
        "run_id",
        "submitted_at",
    )

    def __init__(
        self, payload: bytes, done: Callable[[Answer], None], *, client_context: str = "", log_tail: bool = False
    ) -> None:
        self.payload = payload
        self.client_context = client_context
        self.log_tail = log_tail
        self.request_id = new_request_id()
        self.run_id = _run_of(client_context) or self.request_id
        self.submitted_at = time.monotonic()
        self.is_over = False
        self._done = done
        self._log = b""

    def log(self, text: str) -> None:
        """Keep the last of what is logged, for who asked for the tail."""
        if self.log_tail:
            self._log = (self._log + text.encode())[-_LOG_TAIL_BYTES:]

    def abandon(self) -> None:
        """Nobody waits for it any more: not run if it has not begun, as there is no one to tell."""
        self.is_over = True

    def finish(self, payload: bytes, *, failed: bool = False, rejected: str = "", version: str = "") -> None:
        """Answer, unless it is answered."""
        if not self.is_over:
            self.is_over = True
            done, self._done = self._done, _ignore  # `done` mostly refers to the job: let go of both, and the payload
            done(Answer(payload, failed, rejected, version, self._log))


def _ignore(answer: Answer) -> None:
    """Answered already."""


def new_request_id() -> str:
    """Return a random UUID (version 4), without the cost of the uuid module."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def error_payload(kind: str, message: str) -> bytes:
    """Return an error as Lambda writes it."""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def _run_of(client_context: str) -> str:
    if not client_context:
        return ""
    custom = json.loads(client_context).get("custom")
    return str(custom.get("run") or "") if isinstance(custom, dict) else ""


# --- Lambda's own log lines -------------------------------------------------------------------------------------------


def start_line(request_id: str, version: str) -> str:
    """Return what is logged before a request."""
    return f"START RequestId: {request_id} Version: {version}"


def report_line(
    request_id: str, duration_s: float, memory_mb: int, peak_bytes: int, init_s: float | None, status: str
) -> tuple[str, str]:
    """Return what is logged after a request. A start is billed too; `status` is "" when all went well."""
    duration_ms, init_ms = duration_s * 1000, (init_s or 0.0) * 1000
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {duration_ms:.2f} ms",
        f"Billed Duration: {max(1, math.ceil(duration_ms + init_ms))} ms",
        f"Memory Size: {memory_mb} MB",
        f"Max Memory Used: {math.ceil(peak_bytes / 2**20)} MB",
    ]
    if init_s is not None:
        fields.append(f"Init Duration: {init_ms:.2f} ms")
    if status:
        fields.append(f"Status: {status}")
    return f"END RequestId: {request_id}", "\t".join(fields)
