"""Lambda, played: a caller is authorised by the emulator, the function read back, and run by the local Lambda service.

Invoke → a dry run of it, signed as the caller, on `function:NAME:QUALIFIER` → alias → version → its processes. Each
version has processes of its own, with the credentials of its own role; they are replaced before those expire.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import urllib3

from matinee.backends.local.lambda_service.function import LocalFunction
from matinee.backends.local.lambda_service.service import LambdaService
from matinee.rehearsal.credentials import Credentials
from matinee.rehearsal.iam import allows, statements_in
from matinee.rehearsal.machines import ImageMissingError, Workload, of_function
from matinee.rehearsal.proxies import Call, Reply
from matinee.rehearsal.tasks import Hall, Task, aws_variables, is_vanishing
from matinee.schedule import parse

Json = Any
PREFIX = "/2015-03-31/functions/"
SUFFIX = "/invocations"
LATEST = "$LATEST"
_PASSED = ("x-amz-invocation-type", "x-amz-client-context", "x-amz-log-type")
_READ_TIMEOUT_S = 905.0


class Functions:
    """A `Player` of Invoke; `call` is for the services that invoke functions themselves."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._clients = hall.clients
        self._roles = hall.roles
        self._logs = hall.logs
        self._put: dict[str, Credentials] = {}
        self._streams: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()
        self._http = urllib3.PoolManager(maxsize=64, retries=False)
        self._service = LambdaService(on_log=self._log)
        self._service.start()

    def stop(self) -> None:
        """End every process."""
        self._service.stop()
        self._http.clear()

    def wants(self, call: Call) -> bool:
        """Whether a function is invoked."""
        path = call.head.target.partition("?")[0]
        return call.head.method == "POST" and path.startswith(PREFIX) and path.endswith(SUFFIX)

    def play(self, call: Call) -> Reply | None:
        """Invoke the function as this caller. A caller the emulator does not know is left to it."""
        who = self._roles.known(call.key)
        if who is None:
            return None
        name, qualifier = called(call.head.target)
        headers = {n: call.head.get(n) for n in _PASSED if call.head.get(n)}
        return self.call(name, qualifier, call.body, who, headers)

    def call(
        self, name: str, qualifier: str, body: bytes, who: Credentials, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Invoke as this caller."""
        client = self._clients("lambda", who)
        try:
            client.invoke(FunctionName=f"{name}:{qualifier}" if qualifier else name, InvocationType="DryRun")
        except Exception as error:
            return _as_reply(error)
        if (headers or {}).get("x-amz-invocation-type") == "DryRun":
            return Reply(204)
        return self.run(name, qualifier, body, headers)

    def run(self, name: str, qualifier: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Invoke, whoever asks."""
        try:
            local = self._ready(name, self._version(name, qualifier))
        except ImageMissingError as error:
            return _error(502, "EC2UnexpectedException", f"The image of {name} cannot be run: {error}")
        except Exception as error:
            return _as_reply(error)
        answer = self._http.request(
            "POST",
            f"{self._service.endpoint}{PREFIX}{quote(local, safe='')}{SUFFIX}",
            body=body,
            headers={**(headers or {}), "Authorization": f"Bearer {self._service.secret}"},
            timeout=_READ_TIMEOUT_S,
        )
        passed_on = {
            n.lower(): v for n, v in answer.headers.items() if n.lower() not in ("content-length", "connection")
        }
        return Reply(answer.status, answer.data, passed_on)

    def _version(self, name: str, qualifier: str) -> str:
        """Return what a qualifier means now; an alias may send a share of the calls to another version."""
        if not qualifier or qualifier == LATEST or qualifier.isdigit():
            return qualifier or LATEST
        alias = self._clients("lambda").get_alias(FunctionName=name, Name=qualifier)
        drawn = random.random()  # noqa: S311 - not a secret
        for version, share in (alias.get("RoutingConfig", {}).get("AdditionalVersionWeights") or {}).items():
            if drawn < share:
                return str(version)
            drawn -= share
        return str(alias["FunctionVersion"])

    def _ready(self, name: str, version: str) -> str:
        """Put the version at the Lambda service, again when its credentials get old; return its name there."""
        found = self._clients("lambda").get_function(FunctionName=name, Qualifier=version)
        configuration = found["Configuration"]
        local = f"{name}.{version.strip('$')}.{configuration.get('RevisionId', '')[:8]}"
        with self._lock:
            known = self._put.get(local)
            if known is None or known.is_old:
                workload = of_function(configuration, found["Code"]["ImageUri"])
                self._put[local] = self._start(local, version, workload)
        return local

    def _start(self, local: str, version: str, workload: Workload) -> Credentials:
        who = self._roles.credentials(workload.role, local[-64:].replace("$", ""))
        stream = f"{version.strip('$')}/{local.rpartition('.')[2]}"
        self._streams[local] = (workload.log_group, stream)
        try:
            self._logs.open(workload.log_group, stream, who)
        except Exception as error:  # Lambda runs a function that may not log; its lines are lost
            self._logs.refused.append(f"{workload.log_group}: {error}")
        region, endpoint = self._hall.region, self._hall.endpoint
        reserved = {
            **who.environment(),
            **aws_variables(region, endpoint),
            "AWS_DEFAULT_REGION": region,
            "AWS_LAMBDA_FUNCTION_NAME": workload.name,
            "AWS_LAMBDA_FUNCTION_VERSION": version,
            "AWS_LAMBDA_LOG_GROUP_NAME": workload.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        }
        command = self._hall.machine.command(workload, reserved, 0, local.replace("$", ""))
        arguments = list(command.arguments)
        if delay := self._hall.injected.slowed_s(workload):
            arguments = ["/bin/sh", "-c", f'sleep {delay:g}; exec "$@"', "sh", *arguments]
        self._service.put_function(
            LocalFunction(
                name=local,
                command=arguments,
                environment=dict(command.environment),
                memory_mb=workload.memory_mb,
                timeout_s=workload.timeout_s,
                cwd=command.cwd,
                version=version,
                reserved=reserved,
                contained=command.is_contained,
            )
        )
        return who

    def forget(self) -> None:
        """Start every function anew with its next call: after a failure was injected."""
        with self._lock:
            for local in self._put:
                self._service.remove_function(local)
            self._put.clear()

    def _log(self, local: str, _run: str, line: str) -> None:
        where = self._streams.get(local)
        if where is not None:
            self._logs.write(*where, line)


def called(target: str) -> tuple[str, str]:
    """Return the function and the qualifier of an Invoke's path and query."""
    parts = urlsplit(target)
    named = unquote(parts.path.removeprefix(PREFIX).removesuffix(SUFFIX)).rpartition("function:")[2]
    name, _, qualifier = named.partition(":")
    return name, qualifier or parse_qs(parts.query).get("Qualifier", [""])[0]


def _error(status: int, kind: str, message: str) -> Reply:
    headers = {"content-type": "application/json", "x-amzn-errortype": kind}
    return Reply(status, json.dumps({"Type": "Service", "Message": message, "message": message}).encode(), headers)


def _as_reply(error: Exception) -> Reply:
    response = getattr(error, "response", None)
    if response is None:
        raise error
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return _error(status, response["Error"]["Code"], response["Error"]["Message"])


# --- EventBridge and its Scheduler ------------------------------------------------------------------------------------
# EventBridge and its Scheduler, played: stopped tasks and the clock call the functions that rules and schedules name.
#
# Rules and schedules are read back, so one that was left out, disabled or refused does nothing here either. A schedule
# calls with its role's credentials; a rule needs the function's resource policy to say so.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html

_READ_S = 2.0  # how often schedules and rules are read back
_TICK_S = 0.5
_EVENT = {"x-amz-invocation-type": "Event"}
SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"


@dataclass(frozen=True)
class Schedule:
    """One schedule as it is on record."""

    name: str
    expression: str
    target: str
    role: str
    input: str = ""
    zone: str = "UTC"


class Events:
    """Plays both services in a thread of its own; `refused` collects what was not allowed."""

    def __init__(self, hall: Hall, functions: Functions) -> None:
        self._clients = hall.clients
        self._agents = hall.agents
        self._error = hall.error
        self._roles = hall.roles
        self._functions = functions
        self._due: dict[Schedule, float] = {}
        self._stopping = threading.Event()
        self.refused: list[str] = []
        self.fired: list[str] = []
        self._thread = threading.Thread(target=self._run, name="rehearsal-events", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join()

    def task_stopped(self, task: Task) -> None:
        """Send "ECS Task State Change" to every rule whose pattern it matches."""
        try:
            self._send(state_change(task, self._clients.region, self._clients.account))
        except Exception as error:
            if not is_vanishing(error):
                self._error.record("what sends the end of a task", error)

    def _send(self, event: Json) -> None:
        client = self._clients("events")
        for rule in client.list_rules()["Rules"]:
            pattern = rule.get("EventPattern")
            if rule.get("State") == "DISABLED" or not pattern or not matches(json.loads(pattern), event):
                continue
            for target in client.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                self._call_by_rule(rule, target, event)

    def _call_by_rule(self, rule: Json, target: Json, event: Json) -> None:
        name, qualifier = called(target["Arn"])
        if not self._is_permitted(name, qualifier, rule["Arn"]):
            self.refused.append(f"The rule {rule['Name']} may not call {name}")
            return
        self._functions.run(name, qualifier, json.dumps(event).encode(), _EVENT)
        self.fired.append(rule["Name"])

    def _is_permitted(self, name: str, qualifier: str, rule: str) -> bool:
        client = self._clients("lambda")
        asked = {"FunctionName": name, **({"Qualifier": qualifier} if qualifier else {})}
        try:
            policy = statements_in(client.get_policy(**asked)["Policy"])
        except client.exceptions.ResourceNotFoundException:  # it has none
            return False
        service = [s for s in policy if s.get("Principal", {}).get("Service") == "events.amazonaws.com"]
        resource = service[0]["Resource"] if service else ""
        account = self._clients.account
        context = {"aws:sourcearn": rule, "aws:sourceaccount": account}
        return allows(service, "lambda:InvokeFunction", str(resource), context)

    # --- the clock ---

    def _run(self) -> None:
        read_at = 0.0
        while not self._stopping.wait(_TICK_S):
            try:
                if time.monotonic() >= read_at:
                    self._read()
                    read_at = time.monotonic() + _READ_S
                self._fire_due()
            except Exception as error:  # what is being created or deleted at this moment is there at the next tick
                if not is_vanishing(error):
                    self._error.record("the clock of schedules", error)
                    return

    def _read(self) -> None:
        client = self._clients("scheduler")
        found = set()
        for listed in client.list_schedules()["Schedules"]:
            full = client.get_schedule(Name=listed["Name"], GroupName=listed.get("GroupName", "default"))
            if full.get("State") != "DISABLED":
                found.add(_schedule(full))
        now = time.time()
        self._due = {s: self._due.get(s) or next_time(s, now) for s in found}

    def _fire_due(self) -> None:
        now = time.time()
        for schedule, due in list(self._due.items()):
            if due <= now:
                self._due[schedule] = next_time(schedule, now)
                self.fire(schedule, due)

    def fire(self, schedule: Schedule, due: float) -> None:
        """Call a schedule's target as its role."""
        name, qualifier = called(schedule.target)
        moment = datetime.fromtimestamp(int(due), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = schedule.input.replace(SCHEDULED_TIME, moment) or "{}"
        who = self._roles.credentials(schedule.role, f"schedule-{schedule.name}"[-64:])
        client = self._agents("lambda", who)
        try:
            client.invoke(FunctionName=f"{name}:{qualifier}", InvocationType="Event", Payload=body.encode())
            self.fired.append(schedule.name)
        except client.exceptions.ClientError as error:
            self.refused.append(f"The schedule {schedule.name} may not call {name}: {error}")

    def schedules(self) -> list[Schedule]:
        """Return what is on record."""
        return list(self._due)


def _schedule(full: Json) -> Schedule:
    target = full["Target"]
    return Schedule(
        full["Name"],
        full["ScheduleExpression"],
        target["Arn"],
        target["RoleArn"],
        target.get("Input", ""),
        full.get("ScheduleExpressionTimezone") or "UTC",
    )


def next_time(schedule: Schedule, after: float) -> float:
    """Return when a schedule is due next, as EventBridge Scheduler reads its expression; never, if no more."""
    return parse(schedule.expression, schedule.zone).next_after(after) or float("inf")


def state_change(task: Task, region: str, account: str) -> Json:
    """Return the event of a task that has stopped."""
    cluster = task.arn.split("/")[1]
    state = task.state
    detail = {
        "clusterArn": f"arn:aws:ecs:{region}:{account}:cluster/{cluster}",
        "taskArn": task.arn,
        "group": task.group,
        "lastStatus": "STOPPED",
        "desiredStatus": "STOPPED",
        "stopCode": state.stop_code,
        "stoppedReason": state.reason,
        "capacityProviderName": task.provider,
        "containers": [{"name": task.workload.container, "lastStatus": "STOPPED", "exitCode": state.exit_code}],
    }
    return {
        "version": "0",
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": account,
        "region": region,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "resources": [task.arn],
        "detail": detail,
    }


def matches(pattern: Mapping[str, Json], event: Mapping[str, Json]) -> bool:
    """Whether an event has what a pattern asks for: values that are listed, and prefixes."""
    return all(
        matches(expected, event.get(name) or {}) if isinstance(expected, dict) else _is_one(event.get(name), expected)
        for name, expected in pattern.items()
    )


def _is_one(value: Json, expected: list[Json]) -> bool:
    return any(
        str(value or "").startswith(one["prefix"]) if isinstance(one, dict) and "prefix" in one else value == one
        for one in expected
    )
