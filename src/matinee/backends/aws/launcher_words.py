"""What ECS and Batch say when a worker does not start or has ended, in plain words.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
"""

from __future__ import annotations

import re
from typing import Any

from matinee.backends.aws.launcher_settings import CONTAINER
from matinee.errors import BackendError

OUT_OF_MEMORY = 137  # 128 + SIGKILL: what the kernel does to a container over its memory
_ASKED = 143  # 128 + SIGTERM
_Rule = tuple[str, str, str]  # what AWS says (a pattern), the sentence, what to do

_REFUSALS: tuple[_Rule, ...] = (
    (
        r"limit on the number of vCPUs|Max spot instance count|vCPU limit",
        "the account's Fargate vCPU quota is used up",
        "Raise it under Service Quotas (AWS Fargate), or wait until other tasks end.",
    ),
    (
        r"Capacity is unavailable|RESOURCE:FARGATE|capacity provider.*unavailable",
        "AWS has no Fargate capacity at the moment",
        "It is tried again; more subnets in other zones help.",
    ),
    (
        r"RESOURCE:(CPU|MEMORY|ENI|GPU|PORTS)|^AGENT|^ATTRIBUTE",
        "the cluster has no room for its CPU, memory or network interface",
        "It is tried again; ask for less, or let the cluster grow.",
    ),
    (
        r"task ?definition.*(is inactive|not found|not exist)|Unable to describe task definition|job definition.*not",
        "its task definition does not exist or is no longer active",
        "Deploy the app again.",
    ),
    (
        r"service.linked role",
        "the account lacks the service-linked role of ECS",
        "Run `aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com`.",
    ),
    (
        r"(subnet|security group).*(not exist|not found|invalid)|InvalidSubnet|InvalidGroup",
        "its subnets or security groups do not exist",
        "Deploy the app again; look at the network it names.",
    ),
    (
        r"No Fargate configuration exists",
        "Fargate has no task of this CPU and memory",
        "Choose a pair that Fargate offers: cpu 0.25 to 16 with 2 to 8 times as many GB.",
    ),
    (r"account.*blocked|BlockedException", "AWS has blocked the account", "Ask AWS Support."),
    (r"ServerException|Server\.|InternalError", "the service itself failed", "It is tried again."),
)

_ENDS: tuple[tuple[str, str], ...] = (
    (
        r"CannotPullContainer.*(platform|architecture)|exec format error",
        "Its image is for another processor architecture: deploy it again for this one",
    ),
    (
        r"CannotPullContainer.*(not found|manifest unknown|no such|does not exist)",
        "Its image does not exist any more: deploy the app again",
    ),
    (
        r"CannotPullContainer.*(denied|403|not authorized|AccessDenied)",
        "Its image may not be pulled: look at ecr:BatchGetImage and ecr:GetDownloadUrlForLayer of its execution role",
    ),
    (
        r"(CannotPullContainer|ResourceInitializationError).*(timeout|timed out|dial tcp|no such host|connect)",
        "AWS's services cannot be reached from its subnet: it needs a public address and an internet gateway",
    ),
    (r"CannotPullContainer.*no space left|disk", "Its image is too large for its disk"),
    (r"CannotPullContainer", "Its image cannot be pulled"),
    (
        r"ResourceInitializationError.*(secret|ssm|parameter)",
        "A secret of it cannot be read: look whether it exists, and at ssm:GetParameters of its execution role",
    ),
    (
        r"ResourceInitializationError.*(log|awslogs)",
        "Its log group cannot be written: look whether it exists, and at logs:CreateLogStream and logs:PutLogEvents",
    ),
    (r"OutOfMemory", "It ran out of memory: give the predictor more memory_mb"),
    (r"Capacity is unavailable", "AWS has no Fargate capacity at the moment"),
    (r"Host EC2.*terminated|instance.*terminated", "Its machine was taken away"),
)


def refused(predictor: str, error: BaseException) -> BackendError | None:
    """Return why AWS starts no worker, None when there is no better word than `errors.told_of` has."""
    response = getattr(error, "response", None)  # None where there was no answer
    told = response.get("Error", {}) if isinstance(response, dict) else {}
    return _known(predictor, f"{told.get('Code', '')} {told.get('Message', '')}")


def _known(predictor: str, said: str) -> BackendError | None:
    for pattern, sentence, hint in _REFUSALS:
        if re.search(pattern, said, re.IGNORECASE):
            return BackendError(f"No worker of {predictor} can start: {sentence}.", hint=f"{hint}{_quoted(said)}")
    return None


def failed(predictor: str, failure: dict[str, Any]) -> BackendError:
    """Return a failure of RunTask's answer (HTTP 200, no task) as an error."""
    reason, detail = str(failure.get("reason", "")), str(failure.get("detail", ""))
    said = f"{reason} {detail}".strip() or "it did not say why"
    return _known(predictor, said) or BackendError(
        f"No worker of {predictor} can start: ECS says {said}.", hint="It is tried again."
    )


def _quoted(said: str) -> str:
    return f" (AWS: {' '.join(said.split())[:300]})"


def is_spot_loss(task: dict[str, Any]) -> bool:
    """Whether Spot took the task's capacity back, or had none for it."""
    text = f"{task.get('stopCode', '')} {task.get('stoppedReason', '')}"
    of_spot = task.get("capacityProviderName") == "FARGATE_SPOT"
    return bool(re.search("spot", text, re.IGNORECASE) or (of_spot and "Capacity is unavailable" in text))


def ended_by_aws(task: dict[str, Any]) -> bool:
    """Whether a task ended by no fault of the app's: no capacity, its machine taken away, told to end."""
    told = f"{task.get('stopCode', '')} {task.get('stoppedReason', '')}"
    codes = {container.get("exitCode") for container in task.get("containers", [])}
    return is_spot_loss(task) or is_passing(told) or not codes.isdisjoint({0, _ASKED})


def is_passing(told: str) -> bool:
    """Whether AWS's words say that the next worker may do better."""
    pattern = r"UserInitiated|ServiceScheduler|TerminationNotice|Capacity is unavailable|Host EC2|instance.*terminated"
    return re.search(pattern, told, re.IGNORECASE) is not None


def why_task_ended(task: dict[str, Any]) -> str:
    """Return why a stopped ECS task ended."""
    if re.search(r"spot", f"{task.get('stopCode', '')} {task.get('stoppedReason', '')}", re.IGNORECASE):
        return "AWS took its Spot capacity back"
    if task.get("stopCode") == "UserInitiated":
        return "It was told to end"
    containers = task.get("containers", [])
    worker = next((c for c in containers if c.get("name") == CONTAINER), containers[0] if containers else {})
    return why_ended(f"{task.get('stoppedReason', '')} {worker.get('reason', '')}", worker.get("exitCode"))


def why_ended(text: str, exit_code: int | None) -> str:
    """Return why a container ended, from what AWS says of it and its exit code."""
    for pattern, sentence in _ENDS:
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            return sentence + ("" if "memory_mb" in sentence else _quoted(text))
    if exit_code == OUT_OF_MEMORY:
        return "It ran out of memory (exit code 137): give the predictor more memory_mb"
    if exit_code == _ASKED:
        return "It was told to end"
    if exit_code is not None:
        return f"It ended with exit code {exit_code}"
    return f"It did not start{_quoted(text)}" if text.strip() else "AWS does not say why it ended"
