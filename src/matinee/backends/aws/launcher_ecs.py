"""Batch workers as Fargate tasks: RunTask with the slot's token as client token, so a token is one task.

Spot first; on-demand when Spot has no capacity or took a worker's back, since no capacity provider does that by itself.
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matinee.backends.aws.errors import as_settled, code_of, explained, log_failure
from matinee.backends.aws.launcher_settings import container_override, was_alive_lately
from matinee.backends.aws.launcher_words import ended_by_aws, failed, is_spot_loss, refused, why_task_ended
from matinee.backends.aws.session import Session
from matinee.errors import BackendError
from matinee.ports import LaunchStatus
from matinee.runs import Slot
from matinee.settings import LaunchSettings

AT_ONCE = 100  # tasks that one DescribeTasks takes
SPOT_PAUSE_S = 900.0  # how long workers are on-demand after Spot had no capacity, or took a worker's back
GROUP = "matinee:"  # with the predictor's name, a task's group: what its end is told by
NEVER = LaunchStatus(True, "It was never started", passes=True)
GONE = LaunchStatus(True, "AWS does not know it any more", passes=True)


class EcsLauncher:
    """Implements `ports.Launcher` on a cluster. A handle is a task's ARN.

    `definition_of(predictor)` names the task definition; `environment` is told every worker beside its slot.
    """

    def __init__(
        self,
        session: Session,
        settings: LaunchSettings,
        definition_of: Callable[[str], str],
        *,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._settings = settings
        self._definition_of = definition_of
        self._environment = dict(environment or {})
        self._clock = clock
        self._no_spot_until = 0.0

    def launch(self, slot: Slot) -> str:
        """Start a task for the slot, the same one however often; BackendError with why none starts.

        Raises UnansweredError when one may have started: asked again, the token finds it.
        """
        error: BackendError | None = None
        for provider in self._providers():
            answer = self._run(slot, provider)
            if isinstance(answer, str):
                return answer
            error = answer
            if provider == "FARGATE_SPOT":
                self._pause_spot()
        raise error or BackendError(f"No worker of {slot.predictor} can start.")

    def _providers(self) -> list[str]:
        is_spot_tried = self._settings.spot and self._clock() >= self._no_spot_until
        return ["FARGATE_SPOT", "FARGATE"] if is_spot_tried else ["FARGATE"]

    def _pause_spot(self) -> None:
        self._no_spot_until = self._clock() + SPOT_PAUSE_S

    def _run(self, slot: Slot, provider: str) -> str | BackendError:
        """Return the task's ARN, or what RunTask said in place of one; raises when it refused the call itself."""
        request = self._request(slot, provider)
        definition = request["taskDefinition"]
        with explained(f"ECS, for a worker of {slot.predictor},", "ecs:RunTask", f"task-definition/{definition}"):
            try:
                answer = self._client().run_task(**request)
            except Exception as error:
                return self._taken(slot, error, definition)
        if answer.get("tasks"):
            return str(answer["tasks"][0]["taskArn"])
        failure: dict[str, Any] = next(iter(answer.get("failures", [])), {})
        log_failure(_as_error(failure), "ecs:RunTask", f"task-definition/{definition}")
        return failed(slot.predictor, failure)

    def _taken(self, slot: Slot, error: Exception, definition: str) -> str | BackendError:
        """Return the task that this token has already, by another request for it; raises what is wrong otherwise."""
        if code_of(error) == "ConflictException":
            known = getattr(error, "response", {}).get("resourceIds", [])
            return (str(known[0]) if known else self._arn_of(slot)) or self._unsettled(slot)
        told = refused(slot.predictor, error)
        if told is None:
            raise error
        log_failure(error, "ecs:RunTask", f"task-definition/{definition}")
        raise as_settled(told, error) from error

    def _unsettled(self, slot: Slot) -> BackendError:
        return BackendError(
            f"No worker of {slot.predictor} can start: ECS has not settled an earlier request for it.",
            hint="It is tried again under another token.",
        )

    def _request(self, slot: Slot, provider: str) -> dict[str, Any]:
        settings = self._settings
        network = {
            "subnets": list(settings.subnets),  # all: ECS chooses a zone that has room
            "securityGroups": list(settings.security_groups),
            "assignPublicIp": "ENABLED",  # there is no NAT: without an address no image can be pulled
        }
        return {
            "cluster": settings.cluster,
            "taskDefinition": self._definition_of(slot.predictor),
            "count": 1,
            "clientToken": slot.token,
            "startedBy": slot.token,
            "group": GROUP + slot.predictor,
            "capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}],
            "networkConfiguration": {"awsvpcConfiguration": network},
            "overrides": {"containerOverrides": [container_override(slot, self._environment)]},
            "propagateTags": "TASK_DEFINITION",
        }

    def status(self, slots: Sequence[Slot]) -> dict[str, LaunchStatus]:
        """Return by token whether each task has ended and why; one that is not found, when its slot is quiet too."""
        arns = {slot.token: self._arn_of(slot) for slot in slots}
        tasks = self._tasks(sorted({arn for arn in arns.values() if arn}))
        return {slot.token: self._status(slot, tasks.get(arns[slot.token])) for slot in slots}

    def _status(self, slot: Slot, task: dict[str, Any] | None) -> LaunchStatus:
        if task is None:
            if slot.handle and not is_task(slot.handle):
                return NEVER
            return LaunchStatus(False) if was_alive_lately(slot, self._clock()) else GONE
        if task.get("lastStatus") != "STOPPED":
            return LaunchStatus(False)
        if is_spot_loss(task):
            self._pause_spot()
        return LaunchStatus(True, why_task_ended(task), passes=ended_by_aws(task))

    def _tasks(self, arns: Sequence[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(arns), AT_ONCE):
            with explained(f"The cluster {self._settings.cluster}", "ecs:DescribeTasks", self._resource()):
                answer = self._client().describe_tasks(
                    cluster=self._settings.cluster, tasks=list(arns[start : start + AT_ONCE])
                )
            found |= {task["taskArn"]: task for task in answer["tasks"]}  # its `failures` are those not found
        return found

    def stop(self, slot: Slot) -> None:
        """Ask the task to end; no error if it has ended or never was."""
        arn = self._arn_of(slot)
        if not arn:
            return
        with explained(f"The cluster {self._settings.cluster}", "ecs:StopTask", self._resource()):
            try:
                self._client().stop_task(cluster=self._settings.cluster, task=arn, reason="Matinee told it to end")
            except Exception as error:
                if code_of(error) != "InvalidParameterException" or "not found" not in str(error):
                    raise

    def _arn_of(self, slot: Slot) -> str:
        """Return the slot's task, asked for by its token where its dispatcher died before it wrote the handle."""
        if slot.handle:
            return slot.handle if is_task(slot.handle) else ""
        for status in ("RUNNING", "STOPPED"):
            with explained(f"The cluster {self._settings.cluster}", "ecs:ListTasks", "*"):
                answer = self._client().list_tasks(
                    cluster=self._settings.cluster, startedBy=slot.token, desiredStatus=status
                )
            if answer["taskArns"]:
                return str(answer["taskArns"][0])
        return ""

    def _resource(self) -> str:
        return f"task/{self._settings.cluster}/*"

    def _client(self) -> Any:
        return self._session.client("ecs")


def is_task(handle: str) -> bool:
    """Whether a handle is a task's ARN."""
    return ":task/" in handle


def _as_error(failure: dict[str, Any]) -> Exception:
    """Return a failure as the error it would be, had ECS not answered 200."""
    from botocore.exceptions import ClientError

    said = {"Code": failure.get("reason", "no reason"), "Message": json.dumps(failure)}
    error: Exception = ClientError({"Error": said, "ResponseMetadata": {"HTTPStatusCode": 200}}, "RunTask")
    return error
