"""The values of the stack driver: what is wanted, what there is, what would change, what happened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from matinee.deploy.cloud import Cloud

Json = Any
Effect = Literal["add", "change", "replace", "remove", "import"]
MARK = "MatineeTemplate"  # the output that says which template a stack was made from
STACK = "AWS::CloudFormation::Stack"
DONE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})
USABLE = DONE | {"UPDATE_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"}  # can be updated from here


@dataclass(frozen=True)
class StackSpec:
    """A stack as it is to be. `adopts`: what already exists under its names is taken into it, not refused."""

    name: str
    template: Mapping[str, Json]
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    adopts: bool = False

    @property
    def mark(self) -> str:
        """The template's hash: a stack that has it among its outputs need not be compared by AWS."""
        text = json.dumps(self.template, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def body(self) -> str:
        """The template as AWS gets it: compact, since 51,200 bytes may come along and the rest goes by the bucket."""
        outputs = {**self.template.get("Outputs", {}), MARK: {"Value": self.mark}}
        return json.dumps({**self.template, "Outputs": outputs}, separators=(",", ":"))


@dataclass(frozen=True)
class StackState:
    """A stack as it is."""

    id: str
    name: str
    status: str
    reason: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Whether something is being done to it."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    def matches(self, spec: StackSpec) -> bool:
        """Whether it is exactly what is wanted: then AWS need not be asked for the difference."""
        return (
            self.status in USABLE
            and self.outputs.get(MARK) == spec.mark
            and _declared(spec) == dict(self.parameters)
            and self.tags == dict(spec.tags)
        )


def _declared(spec: StackSpec) -> dict[str, str]:
    """Return the parameters as CloudFormation will hold them: those not given have their defaults."""
    declared: Mapping[str, Json] = spec.template.get("Parameters", {})
    return {name: spec.parameters.get(name, str(of.get("Default", ""))) for name, of in declared.items()}


@dataclass(frozen=True)
class Change:
    """What would happen to one resource. `properties` are those that cause it.

    `may_replace`: CloudFormation knows only while it works whether a property really changes.
    """

    effect: Effect
    resource: str  # the logical name in the template
    type: str
    physical: str = ""
    properties: tuple[str, ...] = ()
    may_replace: bool = False


@dataclass(frozen=True)
class ChangeSet:
    """What CloudFormation would do, kept there under `id` until it is executed or discarded."""

    id: str
    stack_id: str
    stack: str
    is_new: bool
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class StackEvent:
    """One line of a stack's history."""

    id: str
    at: datetime
    resource: str
    type: str
    status: str
    physical: str = ""
    reason: str = ""
    stack_id: str = ""

    @property
    def is_of_stack(self) -> bool:
        """Whether it speaks of the stack as a whole."""
        return self.type == STACK and self.physical == self.stack_id


# --- reading CloudFormation -------------------------------------------------------------------------------------------
# Reads what there is: a stack, its resources, its history.

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
