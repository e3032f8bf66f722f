"""Why tasks of a service stop, read while it happens: the roll-back takes the service and its history away.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-errors.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from matinee.backends.aws.launcher_words import why_task_ended
from matinee.errors import MatineeError
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Report, TaskFailed
from matinee.ops.deploy.stacks.model import StackEvent

Json = Any
SERVICE = "AWS::ECS::Service"
LINES = 20  # of a stopped task's log
AT_MOST = 5  # tasks per service: the later ones say the same again


@dataclass(frozen=True)
class StoppedTask:
    """A task of a service that ended."""

    service: str  # its logical name in the template
    arn: str
    reason: str
    log: tuple[str, ...] = ()


class TaskWatch:
    """Looks at the services that are being created or updated, and remembers every task of theirs that stopped."""

    def __init__(self, cloud: Cloud, report: Report) -> None:
        self._cloud = cloud
        self._report = report
        self._services: dict[str, str] = {}  # logical name -> ARN, while in progress
        self._found: dict[str, StoppedTask] = {}

    @property
    def stopped(self) -> tuple[StoppedTask, ...]:
        """Those that were seen, in the order in which they were."""
        return tuple(self._found.values())

    def note(self, event: StackEvent) -> None:
        """Hear of an event of the stack."""
        if event.type != SERVICE:
            return
        if event.status in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS") and event.physical:
            self._services[event.resource] = event.physical
        elif not event.status.endswith("_IN_PROGRESS"):
            self._look_at(event.resource, self._services.pop(event.resource, ""))

    def look(self) -> None:
        """Look once at every service in progress."""
        for name, arn in self._services.items():
            self._look_at(name, arn)

    def _look_at(self, name: str, arn: str) -> None:
        """Look at one service; what cannot be read is no reason for a deployment to fail."""
        if not arn or sum(task.service == name for task in self._found.values()) >= AT_MOST:
            return
        try:
            for task in self._stopped(arn):
                if task["taskArn"] not in self._found:
                    self._take(name, task)
        except MatineeError:
            return

    def _stopped(self, arn: str) -> list[Json]:
        cluster, _, service = arn.rpartition("service/")[2].partition("/")
        listed = self._cloud.call(
            "ecs",
            "list_tasks",
            absent=("ServiceNotFoundException",),
            cluster=cluster,
            serviceName=service,
            desiredStatus="STOPPED",
        )
        arns = (listed or {}).get("taskArns", [])[:AT_MOST]
        if not arns:
            return []
        tasks: list[Json] = self._cloud.call("ecs", "describe_tasks", cluster=cluster, tasks=arns)["tasks"]
        return [task for task in tasks if not _was_asked(task)]

    def _take(self, name: str, task: Json) -> None:
        found = StoppedTask(name, task["taskArn"], _why(task), last_lines(self._cloud, task))
        self._found[found.arn] = found
        self._report(TaskFailed(f"service {name}", found.reason, found.log))


def _was_asked(task: Json) -> bool:
    """Whether the task ended because its service wanted it to: an old one after an update."""
    return "scaling activity" in str(task.get("stoppedReason", "")).lower()


def _why(task: Json) -> str:
    said = str(task.get("stoppedReason", ""))
    if "health check" in said.lower() or "is unhealthy" in said.lower():
        return f"It did not answer its health check (AWS: {said})"
    return why_task_ended(task)


def last_lines(cloud: Cloud, task: Json) -> tuple[str, ...]:
    """Return the last lines a task wrote, () where it has none or they cannot be read."""
    try:
        definition = cloud.call("ecs", "describe_task_definition", taskDefinition=task["taskDefinitionArn"])
        container = definition["taskDefinition"]["containerDefinitions"][0]
        options = container["logConfiguration"]["options"]
        stream = f"{options['awslogs-stream-prefix']}/{container['name']}/{task['taskArn'].rpartition('/')[2]}"
        answer = cloud.call(
            "logs",
            "get_log_events",
            absent=("ResourceNotFoundException",),
            logGroupName=options["awslogs-group"],
            logStreamName=stream,
            limit=LINES,
        )
    except (MatineeError, KeyError, IndexError):
        return ()
    return tuple(re.sub(r"\s+$", "", event["message"]) for event in (answer or {}).get("events", []))
