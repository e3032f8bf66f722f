"""ECS tasks, played: the steps of Fargate's life cycle with a process or container in the place of the machine.

provisioning ──image, secrets, log stream──> running ──exit, StopTask, Spot──> stopping ──> stopped

Every step before the start is done as the execution role, so that what it may not do fails here in the words ECS has.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from matinee.backends.local.lambda_service.guard import Guard
from matinee.errors import BackendError
from matinee.rehearsal.credentials import Clients, Credentials, CredentialServer, Roles
from matinee.rehearsal.machines import ImageMissingError, Machine, Running, Workload
from matinee.settings import AWS_ENDPOINT

Json = Any
OnStopped = Callable[["Task"], None]
PullImage = Callable[[str, Credentials], None]  # an image's reference, the execution role's credentials


@dataclass
class InjectedFailures:
    """What is played against the app: how much longer a workload's start takes, and whose image does not start."""

    slowed_s: Callable[[Workload], float] = lambda _workload: 0.0
    spoilt: Callable[[Workload], bool] = lambda _workload: False


@dataclass(frozen=True)
class Hall:
    """What every task needs."""

    endpoint: str  # the front's
    region: str
    clients: Clients  # on the emulator, for the administrator
    agents: Clients  # at the front, for what AWS's services do as a role
    roles: Roles
    tokens: CredentialServer
    logs: LogCarrier
    machine: Machine
    pull: PullImage
    guard: Guard
    injected: InjectedFailures = field(default_factory=lambda: InjectedFailures())
    error: FirstError = field(default_factory=lambda: FirstError())


@dataclass(frozen=True)
class TaskState:
    """What DescribeTasks says beside what the emulator knows."""

    status: str = "PROVISIONING"
    stop_code: str = ""
    reason: str = ""
    container_reason: str = ""
    exit_code: int | None = None


class FirstError:
    """The first error of any thread of a rehearsal: it ends the rehearsal. Safe from any thread."""

    def __init__(self) -> None:
        self._happened = threading.Event()
        self._error: tuple[str, Exception] | None = None
        self._lock = threading.Lock()

    def record(self, where: str, error: Exception) -> None:
        """Keep an error unless there is one already; `where` is for people, as in "the clock of schedules"."""
        with self._lock:
            if self._error is None:
                self._error = (where, error)
        log.debug("%s failed", where, exc_info=error)
        self._happened.set()

    @property
    def has_happened(self) -> bool:
        """Whether there is one."""
        return self._happened.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for one; say whether there is one."""
        return self._happened.wait(timeout_s)

    def raise_it(self) -> None:
        """Raise RehearsalError if there is one."""
        if self._error is not None:
            where, error = self._error
            raise RehearsalError(f"The rehearsal itself failed, in {where}: {type(error).__name__}: {error}") from error


class RehearsalError(BackendError):
    """The rehearsal itself failed, not the app: what it plays is not to be trusted from there on."""


def is_vanishing(error: Exception) -> bool:
    """Whether the emulator has no such thing (any more): it is being made or deleted at this moment."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    return bool(re.search("NotFound|NoSuch|DoesNotExist", code))


class Stop(Exception):  # noqa: N818 - the end of a start, not an error of ours
    """A task that cannot start: ECS's stopCode and words."""


@dataclass
class Task:
    """One task. `start` returns at once; `on_stopped` is called from its own thread when it is over."""

    arn: str
    workload: Workload
    hall: Hall
    group: str = ""
    provider: str = ""
    on_stopped: OnStopped | None = None
    port: int = 0
    state: TaskState = field(default_factory=TaskState)

    def __post_init__(self) -> None:
        self._running: Running | None = None
        self._ask_to_stop: tuple[str, str] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._live, name=f"task-{self.id[:8]}", daemon=True)

    @property
    def id(self) -> str:
        """Return the last part of its ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def is_stopped(self) -> bool:
        """Whether it is over."""
        return self.state.status == "STOPPED"

    def start(self) -> None:
        """Begin."""
        if self.workload.port:
            self.port = free_port()
        self._thread.start()

    def stop(self, reason: str, code: str = "UserInitiated", *, grace_s: float | None = None) -> None:
        """Send SIGTERM, and SIGKILL after the definition's stopTimeout; returns at once."""
        with self._lock:
            if self._ask_to_stop is not None or self.is_stopped:
                return
            self._ask_to_stop = (code, reason)
            running = self._running
        if running is not None:
            running.terminate()
            patience = self.workload.stop_timeout_s if grace_s is None else grace_s
            threading.Thread(target=self._kill_after, args=(running, patience), daemon=True).start()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until it is over; False when it is not in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _kill_after(self, running: Running, patience_s: float) -> None:
        if running.wait(patience_s) is None:
            self.hall.machine.kill(self.name)
            running.kill()

    @property
    def name(self) -> str:
        """Return what its container is called."""
        return f"{self.workload.name}-{self.id[:12]}"

    # --- in its thread ---

    def _live(self) -> None:
        try:
            self._run()
        except Exception as error:
            self.hall.error.record(f"the task {self.name}", error)

    def _run(self) -> None:
        try:
            running = self._begin()
        except Stop as stop:
            code, reason = stop.args
            self._over(TaskState("STOPPED", code, reason))
            return
        self._carry(running)
        code = running.wait()
        running.kill()  # what it left in its group
        self.hall.guard.forget(running.pid)
        stop_code, reason = self._ask_to_stop or ("EssentialContainerExited", "Essential container in task exited")
        why = "OutOfMemoryError: Container killed due to memory usage" if code == 137 and not self._ask_to_stop else ""
        self._over(TaskState("STOPPED", stop_code, reason, why, code))

    def _begin(self) -> Running:
        hall, workload = self.hall, self.workload
        try:
            who = hall.roles.credentials(workload.execution_role, f"ecs-{self.id[:20]}")
        except Exception as error:
            raise Stop("TaskFailedToStart", f"ECS was unable to assume the role '{workload.execution_role}'") from error
        try:
            hall.pull(workload.image, who)
        except Exception as error:
            raise Stop("TaskFailedToStart", f"CannotPullContainerError: {error}") from error
        if hall.injected.spoilt(workload):
            raise Stop("TaskFailedToStart", f"CannotPullContainerError: image {workload.image} cannot be read")
        secrets = self._secrets(who)
        self._open_log(who)
        time.sleep(hall.injected.slowed_s(workload))
        try:
            command = hall.machine.command(workload, {**self._added(), **secrets}, self.port, self.name)
            with self._lock:
                if self._ask_to_stop is not None:
                    raise Stop(*self._ask_to_stop)
                self._running = Running(command)
            hall.guard.watch(self._running.pid)
        except (ImageMissingError, OSError) as error:
            raise Stop("TaskFailedToStart", f"CannotPullContainerError: {error}") from error
        self.state = TaskState("RUNNING")
        return self._running

    def _secrets(self, who: Credentials) -> dict[str, str]:
        found = {}
        for variable, source in self.workload.secrets.items():
            try:
                found[variable] = _read_secret(self.hall.agents, source, who)
            except Exception as error:
                reason = f"ResourceInitializationError: unable to pull secrets or registry auth: {error}"
                raise Stop("TaskFailedToStart", reason) from error
        return found

    @property
    def _stream(self) -> str:
        return f"{self.workload.log_prefix}/{self.workload.container}/{self.id}"

    def _open_log(self, who: Credentials) -> None:
        if not self.workload.log_group:
            return
        try:
            self.hall.logs.open(self.workload.log_group, self._stream, who)
        except Exception as error:
            reason = f"ResourceInitializationError: failed to validate logger args: create stream: {error}"
            raise Stop("TaskFailedToStart", reason) from error

    def _added(self) -> dict[str, str]:
        hall, role = self.hall, self.workload.role
        added = aws_variables(hall.region, hall.endpoint)
        if role:
            address = hall.tokens.address(hall.endpoint, role, f"task-{self.id[:20]}")
            added["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = address
        return added

    def _carry(self, running: Running) -> None:
        for line in running.output:
            if self.workload.log_group:
                self.hall.logs.write(self.workload.log_group, self._stream, line.decode("utf-8", "replace").rstrip())

    def _over(self, state: TaskState) -> None:
        self.state = state
        if self.on_stopped is not None:
            self.on_stopped(self)


def _read_secret(clients: Clients, source: str, who: Credentials) -> str:
    """Return a secret of a task: `source` is the ARN of one of Secrets Manager, or the ARN or name of a parameter."""
    if ":secretsmanager:" in source:
        return str(clients("secretsmanager", who).get_secret_value(SecretId=source)["SecretString"])
    name = source.rpartition(":parameter")[2] or source
    found = clients("ssm", who).get_parameters(Names=[name], WithDecryption=True)["Parameters"]
    if not found:
        raise LookupError(f"invalid ssm parameters: {name}")
    return str(found[0]["Value"])


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def shown(task: Mapping[str, Json], state: TaskState) -> dict[str, Json]:
    """Return a task as DescribeTasks shows it: the emulator's record with what really happened."""
    seen: dict[str, Json] = {**task, "lastStatus": state.status}
    if state.stop_code:
        seen |= {"desiredStatus": "STOPPED", "stopCode": state.stop_code, "stoppedReason": state.reason}
    containers = []
    for container in task.get("containers", ()):
        one = {**container, "lastStatus": state.status}
        one.pop("exitCode", None)
        if state.exit_code is not None:
            one["exitCode"] = state.exit_code
        if state.container_reason:
            one["reason"] = state.container_reason
        containers.append(one)
    seen["containers"] = containers
    return seen


def aws_variables(region: str, endpoint: str) -> dict[str, str]:
    """Return where AWS is: for us, and for what a component itself does with an SDK."""
    return {"AWS_REGION": region, AWS_ENDPOINT: endpoint, "AWS_ENDPOINT_URL": endpoint}


# --- logs of workloads ------------------------------------------------------------------------------------------------
# What workloads print, carried to the log groups their templates name, with the permissions of their roles.
#
# Fargate writes as the execution role and Lambda as the function's own. A stream that cannot be made keeps a task from
# starting, as on AWS; lines that cannot be written are lost, as on AWS, and said once.

_EVERY_S = 0.25
_AT_ONCE = 1000

log = logging.getLogger(__name__)


class LogCarrier:
    """One thread for all streams; `open` makes a stream, `write` is quick and safe from any thread."""

    def __init__(self, clients: Clients, error: FirstError) -> None:
        self._clients = clients
        self._error = error
        self._lines: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        self._writers: dict[tuple[str, str], Credentials] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.refused: list[str] = []
        self._thread = threading.Thread(target=self._run, name="rehearsal-logs", daemon=True)
        self._thread.start()

    def open(self, group: str, stream: str, who: Credentials) -> None:
        """Make the stream as this caller; ClientError when it may not, or there is no such group."""
        client = self._clients("logs", who)
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        self._writers[group, stream] = who

    def write(self, group: str, stream: str, line: str) -> None:
        """Keep a line; empty ones are none, to CloudWatch."""
        if line:
            with self._lock:
                self._lines[group, stream].append({"timestamp": int(time.time() * 1000), "message": line})

    def stop(self) -> None:
        """Write what is left."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.wait(_EVERY_S):
                self._flush()
            self._flush()
        except Exception as error:
            self._error.record("what carries log lines", error)

    def _flush(self) -> None:
        with self._lock:
            waiting, self._lines = self._lines, defaultdict(list)
        for (group, stream), events in waiting.items():
            for start in range(0, len(events), _AT_ONCE):
                self._put(group, stream, events[start : start + _AT_ONCE])

    def _put(self, group: str, stream: str, events: list[dict[str, Any]]) -> None:
        who = self._writers.get((group, stream))
        if who is None:
            return
        try:
            self._clients("logs", who).put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        except ClientError as error:  # the group may be gone with its stack: nobody reads it then
            if not is_vanishing(error) and not any(group in line for line in self.refused):
                self.refused.append(f"{group}: {error}")
                log.warning("Lines of %s could not be written: %s", group, error)
