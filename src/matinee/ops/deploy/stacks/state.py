"""Reads what there is: a stack, its resources, its history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.stacks.model import StackEvent, StackState

Json = Any
_ABSENT = frozenset({"ValidationError"})  # how CloudFormation says that there is no such stack


def describe(cloud: Cloud, stack: str) -> StackState | None:
    """Return the stack of that name or id; None when there is none (one that is deleted is known by its id only)."""
    answer = cloud.call("cloudformation", "describe_stacks", absent=_ABSENT, on=stack, StackName=stack)
    if not answer or not answer["Stacks"]:
        return None
    found = answer["Stacks"][0]
    return StackState(
        id=found["StackId"],
        name=found["StackName"],
        status=found["StackStatus"],
        reason=found.get("StackStatusReason", ""),
        parameters={p["ParameterKey"]: p.get("ParameterValue", "") for p in found.get("Parameters", [])},
        outputs={o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])},
        tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
    )


def events(cloud: Cloud, stack: str) -> Iterator[StackEvent]:
    """Yield the stack's history, newest first, page by page as far as it is read."""
    for event in cloud.pages("cloudformation", "describe_stack_events", "StackEvents", StackName=stack):
        yield StackEvent(
            id=event["EventId"],
            at=event["Timestamp"],
            resource=event.get("LogicalResourceId", ""),
            type=event.get("ResourceType", ""),
            status=event.get("ResourceStatus", ""),
            physical=event.get("PhysicalResourceId", ""),
            reason=event.get("ResourceStatusReason", ""),
            stack_id=event["StackId"],
        )


def refusals(cloud: Cloud, stack: str) -> tuple[StackEvent, ...]:
    """Return what CloudFormation refused before it began: names that are taken, values that cannot be.

    The history says only how many there are. https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeEvents.html
    """
    answer = cloud.call(
        "cloudformation",
        "describe_events",
        absent=("ValidationError", "AccessDenied", "AccessDeniedException"),
        on=stack,
        StackName=stack,
        Filters={"FailedEvents": True},
    )
    return tuple(
        StackEvent(
            id=event["EventId"],
            at=event["Timestamp"],
            resource=event.get("LogicalResourceId", ""),
            type=event.get("ResourceType", ""),
            status="VALIDATION_FAILED",
            reason=event.get("ValidationStatusReason", ""),
            stack_id=event["StackId"],
        )
        for event in (answer or {}).get("OperationEvents", [])
        if event.get("EventType") == "VALIDATION_ERROR"
    )


def resources(cloud: Cloud, stack: str) -> tuple[dict[str, Json], ...]:
    """Return the stack's resources as CloudFormation lists them: logical and physical name, type, status."""
    found = cloud.pages("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack)
    return tuple(found)
