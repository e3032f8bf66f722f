"""Follows what CloudFormation does to a stack until it has ended, and keeps what a failure will be explained by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from matinee.backends.aws.errors import why_task_ended
from matinee.deploy.cloud import Cloud, Report, ResourceMoved, TaskFailed
from matinee.deploy.stack_state import StackEvent, StackState, describe, events
from matinee.errors import BackendError, MatineeError

LONGEST_S = 5400.0  # a CloudFront distribution takes minutes, a service that never settles is ended by its own breaker
_BEGINS = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "REVIEW_IN_PROGRESS")


@dataclass(frozen=True)
class Followed:
    """How an operation ended. `events` are its own, oldest first; `tasks` those of its services that stopped."""

    state: StackState
    events: tuple[StackEvent, ...]
    tasks: tuple[StoppedTask, ...]


def newest_event(cloud: Cloud, stack: str) -> str:
    """Return the id of the newest event, for `follow` to go on after; "" when there is none."""
    newest = next(iter(events(cloud, stack)), None)
    return newest.id if newest else ""


def follow(cloud: Cloud, stack_id: str, report: Report, *, after: str | None = None) -> Followed:
    """Report every event until the stack has come to rest. `after` None: the operation that is under way already.

    Raises BackendError when it does not end in LONGEST_S.
    """
    begun = cloud.clock()
    seen: list[StackEvent] = []
    watch = TaskWatch(cloud, report)
    while True:
        new = _new_events(cloud, stack_id, {event.id for event in seen}, after)
        seen += new
        for event in new:
            report(_moved(event, seen[0]))
            watch.note(event)
        watch.look()
        if seen and _may_be_the_end(seen[-1]):
            state = describe(cloud, stack_id)
            if state is not None and not state.is_busy:
                return Followed(state, tuple(seen), watch.stopped)
        if cloud.clock() - begun > LONGEST_S:
            raise BackendError(
                f"CloudFormation has been at work on {seen[0].resource if seen else stack_id} for {LONGEST_S / 60:.0f} "
                "minutes.",
                hint="It goes on by itself. Look at the stack's events in the AWS console, then deploy again.",
            )
        cloud.pause()


def _new_events(cloud: Cloud, stack_id: str, seen: set[str], after: str | None) -> list[StackEvent]:
    """Return what happened since the last look, oldest first."""
    new = list(takewhile(lambda event: event.id not in seen and event.id != after, _own(cloud, stack_id, after)))
    return new[::-1]


def _own(cloud: Cloud, stack_id: str, after: str | None) -> list[StackEvent]:
    if after is not None:
        return list(takewhile(lambda event: event.id != after, events(cloud, stack_id)))
    found: list[StackEvent] = []
    for event in events(cloud, stack_id):  # newest first: back to where this operation began
        found.append(event)
        if event.is_of_stack and event.status in _BEGINS:
            break
    return found


def _may_be_the_end(event: StackEvent) -> bool:
    return event.is_of_stack and not event.status.endswith("_IN_PROGRESS")


def _moved(event: StackEvent, first: StackEvent) -> ResourceMoved:
    stack = event.stack_id.split("/")[1] if "/" in event.stack_id else event.stack_id
    what = f"stack {stack}" if event.is_of_stack else describe_resource(event.type, event.resource)
    elapsed_s = max(0.0, (event.at - first.at).total_seconds())
    return ResourceMoved(stack, what, event.status, elapsed_s, event.reason)


# --- causes of stack failures -----------------------------------------------------------------------------------------
# Why an operation on a stack failed: the first thing that went wrong, in plain words, and the likely mend.
#
# CloudFormation cancels what else is going on when something fails, and says so of each: the cause is the earliest
# failure that is no cancellation.

_CONSEQUENCES = re.compile(r"cancelled|The following resource\(s\) failed|Rollback requested", re.IGNORECASE)
_Rule = tuple[str, str]  # what AWS says (a pattern), what to do

_MENDS: tuple[_Rule, ...] = (
    (
        r"account must be verified",
        (
            "CloudFront does not take new accounts at once: ask AWS Support to verify it, and until then use "
            'edge = "alb" under [aws].'
        ),
    ),
    (
        r"ReservedConcurrentExecutions|UnreservedConcurrentExecution",
        (
            "The account's Lambda concurrency is too low to reserve any: leave out `concurrency`, or raise the quota "
            "L-B99A9384 (Concurrent executions) under Service Quotas."
        ),
    ),
    (
        r"MemorySize.*(3008|less than or equal)|Member must have value less than or equal to 3008",
        "New accounts get 3,008 MB a function: ask for less memory_mb, or ask AWS Support for more.",
    ),
    (
        r"maximum number of VPCs|VpcLimitExceeded",
        (
            "An account has 5 networks a region at first: remove one that is not used, name subnets of your own under "
            "[aws], or raise the quota L-F678F1CE (VPCs per Region)."
        ),
    ),
    (
        r"not authorized to perform:? ?(?P<what>[\w-]+:\w+)|AccessDenied|UnauthorizedOperation|is not authorized",
        "Allow it to who deploys: `matinee iam-policy` prints the smallest policy that is enough.",
    ),
    (
        r"Source image .* does not exist|image.*(not found|does not exist)|ImageNotFound",
        "The image is no longer in the repository: deploy again, which pushes it.",
    ),
    (
        r"image manifest.*not supported|media type",
        "Lambda takes no image index: build with `--provenance=false --sbom=false`, as `matinee build` does.",
    ),
    (
        r"service.linked role|AWSServiceRoleFor|assume.*service linked",
        "A role of AWS's own was made a moment ago and is not known everywhere yet: deploy again.",
    ),
    (
        r"cannot be assumed by|role.*not.*(valid|assum)",
        "AWS does not know the new role everywhere yet: deploy again in a minute.",
    ),
    (
        r"already exists|AlreadyExists|BucketAlreadyOwnedByYou",
        (
            "Something of this name is there already, from an earlier deployment or of somebody else: remove it, or "
            "give the app another name in matinee.toml."
        ),
    ),
    (
        r"bucket you tried to delete is not empty|not empty",
        "`matinee destroy --data` empties it first.",
    ),
    (
        r"has dependencies|DependencyViolation|in use|has a dependent object",
        "Network interfaces of AWS's own hold it and go away by themselves: run the command again later.",
    ),
    (
        r"circuit breaker|did not stabilize|NotStabilized|exceeded max wait|timed? ?out",
        "What was to start did not stay up: `matinee test --containers` runs the same image here.",
    ),
    (
        r"vCPU|quota|limit exceeded|LimitExceeded|Cannot exceed",
        "Raise the quota it names under Service Quotas in this region, then deploy again.",
    ),
    (r"Rate exceeded|Throttl", "AWS was asked too often: deploy again."),
    (
        r"No Fargate configuration exists|Invalid 'cpu'|Invalid 'memory'",
        (
            "Fargate has fixed pairs: cpu 0.25 with 512 to 2,048 MB, 0.5 with up to 4 GB, 1 with 2 to 8 GB, 2 with 4 "
            "to 16 GB, 4 with 8 to 30 GB."
        ),
    ),
)


def first_cause(events: Sequence[StackEvent]) -> StackEvent | None:
    """Return the earliest failure that is not the consequence of another, of a resource rather than of the stack."""
    failed = [e for e in events if e.status.endswith("_FAILED") and not _CONSEQUENCES.search(e.reason)]
    return next((e for e in failed if not e.is_of_stack), failed[0] if failed else None)


def mend_of(reason: str) -> str:
    """Return what most likely helps, "" where nothing is known."""
    return next((mend for pattern, mend in _MENDS if re.search(pattern, reason, re.IGNORECASE)), "")


def failure(followed: Followed, doing: str) -> BackendError:
    """Return why the operation failed as an error. `doing` is what was tried, as in "updated"."""
    stack, cause = followed.state.name, first_cause(followed.events)
    if cause is None:
        return BackendError(
            f"The stack {stack} could not be {doing}: {followed.state.reason or followed.state.status}.",
            hint="Its events in the AWS console may say more.",
        )
    reason = _without_ids(cause.reason) or cause.status
    tasks = [task for task in followed.tasks if task.service == cause.resource]
    lines = [
        f"The stack {stack} could not be {doing}: the {describe_resource(cause.type, cause.resource)} failed: {reason}"
    ]
    if tasks:
        lines.append(f"Its task stopped: {tasks[0].reason}.")
        if tasks[0].log:
            lines.append("It wrote last:\n" + "\n".join(f"    {line}" for line in tasks[0].log[-8:]))
    return BackendError("\n".join(lines), hint=mend_of(" ".join([tasks[0].reason if tasks else "", cause.reason])))


def _without_ids(reason: str) -> str:
    """Return AWS's sentence without what only AWS can use."""
    text = re.sub(r"\(?\s*(Request ?ID|RequestToken|HandlerErrorCode|SDK Attempt Count|Service: \w+, Status Code)"
                  r":? ?[^,;)]*[,;)]?", "", reason, flags=re.IGNORECASE)  # fmt: skip
    return re.sub(r"\s{2,}", " ", text).strip(" ,;(") or reason


# --- why tasks stop ---------------------------------------------------------------------------------------------------
# Why tasks of a service stop, read while it happens: the roll-back takes the service and its history away.
#
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-errors.html

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
    lines = str(task.get("stoppedReason", ""))
    if "health check" in lines.lower() or "is unhealthy" in lines.lower():
        return f"It did not answer its health check (AWS: {lines})"
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


# --- names of resources -----------------------------------------------------------------------------------------------
# What resources are called among people: their kind from CloudFormation's type, their name from ours.

_KINDS = {
    "AWS::ApplicationAutoScaling::ScalableTarget": "scaling",
    "AWS::ApplicationAutoScaling::ScalingPolicy": "scaling rule",
    "AWS::CloudFormation::Stack": "stack",
    "AWS::CloudFront::Distribution": "CloudFront distribution",
    "AWS::CloudFront::VpcOrigin": "CloudFront VPC origin",
    "AWS::CloudWatch::Alarm": "alarm",
    "AWS::CloudWatch::Dashboard": "dashboard",
    "AWS::DynamoDB::Table": "table",
    "AWS::EC2::InternetGateway": "internet gateway",
    "AWS::EC2::Route": "route",
    "AWS::EC2::RouteTable": "route table",
    "AWS::EC2::SecurityGroup": "security group",
    "AWS::EC2::Subnet": "subnet",
    "AWS::EC2::SubnetRouteTableAssociation": "route",
    "AWS::EC2::VPC": "network",
    "AWS::EC2::VPCEndpoint": "network endpoint",
    "AWS::EC2::VPCGatewayAttachment": "gateway attachment",
    "AWS::ECR::Repository": "image repository",
    "AWS::ECS::Cluster": "cluster",
    "AWS::ECS::Service": "service",
    "AWS::ECS::TaskDefinition": "task definition",
    "AWS::ElasticLoadBalancingV2::Listener": "listener",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "load balancer",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "target group",
    "AWS::Events::Rule": "event rule",
    "AWS::IAM::Role": "role",
    "AWS::Lambda::Alias": "alias",
    "AWS::Lambda::Function": "function",
    "AWS::Lambda::Permission": "permission",
    "AWS::Logs::LogGroup": "log group",
    "AWS::Logs::MetricFilter": "log metric",
    "AWS::S3::Bucket": "bucket",
    "AWS::S3::BucketPolicy": "bucket policy",
    "AWS::Scheduler::Schedule": "schedule",
    "AWS::Scheduler::ScheduleGroup": "schedule group",
}


def kind_of(type_: str) -> str:
    """Return what people call a resource of this type: "AWS::SNS::Topic" is an "sns topic"."""
    known = _KINDS.get(type_)
    if known:
        return known
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", " ".join(type_.split("::")[1:]))
    return words.lower()


def describe_resource(type_: str, logical: str) -> str:
    """Return kind and name: "function RecommendFunction"."""
    return f"{kind_of(type_)} {logical}"
