"""Task definitions of workers: those of the stack, and a new revision of one outside it for `--only`.

The stack keeps old revisions (`Retain`), since INACTIVE ones cannot run and a former release may be needed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matinee.errors import BackendError
from matinee.ops.deploy.cloud import Cloud
from matinee.settings import LABEL

Json = Any
_GIVEN_BACK = (  # what DescribeTaskDefinition says and RegisterTaskDefinition does not take
    *("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt"),
    *("registeredBy", "deregisteredAt", "enableFaultInjection"),
)
_OF_A_JOB = ("jobDefinitionArn", "revision", "status", "containerOrchestrationType")


def is_job(arn: str) -> bool:
    """Whether it is a job definition of AWS Batch: what predictors with a GPU have."""
    return ":job-definition/" in arn


def with_image(cloud: Cloud, arn: str, image: str, label: str) -> str:
    """Register a revision that is as this one but for its image and label, and return its ARN."""
    if is_job(arn):
        return _job_with_image(cloud, arn, image, label)
    found = cloud.call("ecs", "describe_task_definition", on=arn, taskDefinition=arn, include=["TAGS"])
    known = {key: value for key, value in found["taskDefinition"].items() if key not in _GIVEN_BACK}
    tags = {"tags": found["tags"]} if found.get("tags") else {}
    made = cloud.call("ecs", "register_task_definition", on=arn, **changed(known, image, label), **tags)
    return str(made["taskDefinition"]["taskDefinitionArn"])


def _job_with_image(cloud: Cloud, arn: str, image: str, label: str) -> str:
    found = cloud.call("batch", "describe_job_definitions", on=arn, jobDefinitions=[arn])["jobDefinitions"][0]
    known = {key: value for key, value in found.items() if key not in _OF_A_JOB}
    made = cloud.call("batch", "register_job_definition", on=arn, **changed(known, image, label))
    return str(made["jobDefinitionArn"])


def changed(definition: Mapping[str, Json], image: str, label: str) -> dict[str, Json]:
    """Return a definition of ECS or Batch with this image and label in every container."""

    def walk(value: Json) -> Json:
        if isinstance(value, list):
            return [walk(item) for item in value]
        if not isinstance(value, dict):
            return value
        new = {key: walk(item) for key, item in value.items()}
        if isinstance(value.get("image"), str):
            new["image"] = image
        if value.get("name") == LABEL:
            new["value"] = label
        return new

    return {key: walk(value) for key, value in definition.items()}


def check_active(cloud: Cloud, arns: Mapping[str, str]) -> None:
    """Raise BackendError for a definition that cannot run any more; `arns` are by predictor."""
    for predictor, arn in arns.items():
        if is_job(arn):
            found = cloud.call("batch", "describe_job_definitions", on=arn, jobDefinitions=[arn])["jobDefinitions"]
            status = found[0]["status"] if found else ""
        else:
            answer = cloud.call("ecs", "describe_task_definition", absent=("ClientException",), taskDefinition=arn)
            status = answer["taskDefinition"]["status"] if answer else ""
        if status != "ACTIVE":
            raise BackendError(
                f"The workers of {predictor} cannot go back: {arn.rpartition('/')[2]} is no longer there.",
                hint="Deploy that version from its source.",
            )
