"""EventBridge and its Scheduler, played: stopped tasks and the clock call the functions that rules and schedules name.

Rules and schedules are read back, so one that was left out, disabled or refused does nothing here either. A schedule
calls with its role's credentials; a rule needs the function's resource policy to say so.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from matinee.ops.rehearse.functions import Functions, called
from matinee.ops.rehearse.policies import allows, statements_in
from matinee.ops.rehearse.tasks import Hall, Task
from matinee.schedule import parse

Json = Any
_READ_S = 2.0  # how often schedules and rules are read back
_TICK_S = 0.5
_EVENT = {"x-amz-invocation-type": "Event"}
SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"

log = logging.getLogger(__name__)


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
        event = state_change(task, self._clients.region, self._clients.account)
        try:
            self._send(event)
        except Exception as error:
            log.warning("The end of %s reached nobody: %s", task.name, error)

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
        except Exception:  # it has none
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
                log.debug("a tick of the schedules failed: %s", error)

    def _read(self) -> None:
        client = self._clients("scheduler")
        found = set()
        for told in client.list_schedules()["Schedules"]:
            full = client.get_schedule(Name=told["Name"], GroupName=told.get("GroupName", "default"))
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
    return parse(schedule.expression).next_after(after) or float("inf")


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
        matches(wanted, event.get(name) or {}) if isinstance(wanted, dict) else _is_one(event.get(name), wanted)
        for name, wanted in pattern.items()
    )


def _is_one(value: Json, wanted: list[Json]) -> bool:
    return any(
        str(value or "").startswith(one["prefix"]) if isinstance(one, dict) and "prefix" in one else value == one
        for one in wanted
    )
