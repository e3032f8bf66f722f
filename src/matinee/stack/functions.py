"""Realtime predictors: a Lambda function each, from its component's image."""

from __future__ import annotations

import json
import math
from typing import Any

from troposphere import GetAtt, Join, Ref, awslambda, ec2, events, scheduler

from matinee.manifest import PredictorManifest
from matinee.schedule import UTC_ZONE
from matinee.settings import DISPATCHER, LIVE, launch_environment
from matinee.stack import blueprint, permissions
from matinee.stack.blueprint import UI_COMPONENT, Blueprint, logical, shortened
from matinee.stack.builder import Sheet, environment, for_a_function, predictor_environment
from matinee.stack.ui import everywhere


def add_realtime(sheet: Sheet, b: Blueprint) -> None:
    """Add the function of every realtime predictor, with its alias."""
    for predictor in b.realtime:
        _add(sheet, b, predictor)


def _add(sheet: Sheet, b: Blueprint, predictor: PredictorManifest) -> None:
    resources = predictor.resources
    reserved = {"ReservedConcurrentExecutions": resources.concurrency} if resources.concurrency else {}
    function = sheet.add(
        awslambda.Function(
            f"Function{logical(predictor.name)}",
            **image_of(b, predictor.component, "" if predictor.plain == "image" else "realtime"),
            FunctionName=b.names.resource(predictor.name),
            Description=predictor.doc.strip().partition("\n")[0][:256],
            Role=GetAtt(permissions.role_id(predictor.name), "Arn"),
            MemorySize=resources.memory_mb,
            Timeout=max(1, math.ceil(resources.timeout_s)),
            Environment=awslambda.Environment(
                Variables={**predictor_environment(b, predictor), **for_a_function(b, resources.secrets)}
            ),
            LoggingConfig=logging_to(b, predictor.name),
            **reserved,
        )
    )
    sheet.add(live_alias(f"Alias{logical(predictor.name)}", function))


def image_of(b: Blueprint, component: str, command: str) -> dict[str, Any]:
    """Return the properties that say which image a function runs, and what of it ("" = as the image says)."""
    return {
        "PackageType": "Image",
        "Code": awslambda.Code(ImageUri=Ref(blueprint.image_parameter(component))),
        **({"ImageConfig": awslambda.ImageConfig(Command=[command])} if command else {}),
        "Architectures": [b.architecture(component)],
    }


def logging_to(b: Blueprint, name: str) -> awslambda.LoggingConfig:
    """Return where a function's lines go: lines as they are, since they are read by run as a worker's are."""
    return awslambda.LoggingConfig(LogGroup=b.names.log_group(name))


def live_alias(title: str, function: Any) -> awslambda.Alias:
    """Return the alias `live`, by which alone functions are called.

    It is made here so that what points at it can be made too, on $LATEST as no version exists yet. Versions are the
    tool's: one exists only after the update that makes it, so it can be no parameter of that update. CloudFormation
    changes only what a template changes, and nothing here ever does: the tool moves the alias, and it stays.
    """
    return awslambda.Alias(title, FunctionName=Ref(function), FunctionVersion="$LATEST", Name=LIVE)


# --- the dispatcher ---------------------------------------------------------------------------------------------------
# The dispatcher: the one function that starts workers, and what calls it by the clock and when a task ends.

MEMORY_MB = 512
TIMEOUT_S = 120  # it may have many pools to look at, and tasks to start one by one


def add_dispatcher(sheet: Sheet, b: Blueprint) -> None:
    """Add the dispatcher, its alias, its schedules and the rule of tasks that stop."""
    workers = sheet.add(
        ec2.SecurityGroup(
            "WorkersSecurityGroup",
            GroupDescription="Workers: nobody reaches them",
            VpcId=Ref(blueprint.VPC),
            SecurityGroupEgress=everywhere(),
        )
    )
    function = sheet.add(
        awslambda.Function(
            "DispatcherFunction",
            **image_of(b, UI_COMPONENT, "dispatcher"),
            FunctionName=b.names.resource(DISPATCHER),
            Description="Starts workers for what is queued",
            Role=GetAtt("DispatcherRole", "Arn"),
            MemorySize=MEMORY_MB,
            Timeout=TIMEOUT_S,
            Environment=awslambda.Environment(Variables=_variables(b, workers)),
            LoggingConfig=logging_to(b, DISPATCHER),
        )
    )
    alias = sheet.add(live_alias("DispatcherAlias", function))
    add_schedules(sheet, b, alias)
    _rule(sheet, b, alias)


def _variables(b: Blueprint, workers: Any) -> dict[str, Any]:
    """Return its environment; `settings.LaunchSettings` reads what is beyond everybody's."""
    return {
        **environment(b),
        **for_a_function(b, b.dispatcher_secrets),
        **launch_environment(
            b.names.base,
            Join(",", Ref(blueprint.SUBNETS)),
            Ref(workers),
            b.names.base if b.on_gpu else "",
            spot=b.aws.spot,
            public_ip=b.aws.public_ip,
        ),
    }


def _rule(sheet: Sheet, b: Blueprint, alias: Any) -> None:
    """https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html."""
    rule = sheet.add(
        events.Rule(
            "TaskStoppedRule",
            Name=b.names.resource("task-stopped"),
            Description="A worker has ended: is another one needed?",
            State="ENABLED",
            EventPattern={
                "source": ["aws.ecs"],
                "detail-type": ["ECS Task State Change"],
                "detail": {
                    "clusterArn": [GetAtt("Cluster", "Arn")],
                    "lastStatus": ["STOPPED"],
                    "group": [{"prefix": "matinee:"}],  # of workers; the UI's tasks have another
                },
            },
            Targets=[events.Target(Id="dispatcher", Arn=Ref(alias))],
        )
    )
    sheet.add(
        awslambda.Permission(
            "TaskStoppedPermission",
            Action="lambda:InvokeFunction",
            FunctionName=Ref(alias),
            Principal="events.amazonaws.com",
            SourceArn=GetAtt(rule, "Arn"),
        )
    )


# --- schedules --------------------------------------------------------------------------------------------------------
# EventBridge Scheduler: the dispatcher's backstop, and predictors that run by the clock.
#
# A predictor's schedule submits an ordinary run; the scheduled time is the run's idempotency key, so that a call which
# comes twice is one run. Expressions are Scheduler's own, here as in `matinee.schedule`.
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html


def add_schedules(sheet: Sheet, b: Blueprint, dispatcher: Any) -> None:
    """Add the group of schedules, the backstop, and one for each predictor with a schedule."""
    group = sheet.add(scheduler.ScheduleGroup("ScheduleGroup", Name=b.names.base))
    sheet.add(_schedule(group, dispatcher, "BackstopSchedule", "backstop", "rate(1 minute)", "{}"))
    for predictor in b.scheduled:
        sheet.add(_of(group, dispatcher, predictor))


def _of(group: Any, dispatcher: Any, predictor: PredictorManifest) -> scheduler.Schedule:
    payload = {"predictor": predictor.name, "scheduled": "<aws.scheduler.scheduled-time>"}
    title = f"Schedule{logical(predictor.name)}"
    name = shortened(predictor.name)
    resources = predictor.resources
    zone = resources.timezone or UTC_ZONE
    return _schedule(group, dispatcher, title, name, resources.schedule, json.dumps(payload), zone)


def _schedule(
    group: Any, dispatcher: Any, title: str, name: str, when: str, payload: str, zone: str = UTC_ZONE
) -> scheduler.Schedule:
    return scheduler.Schedule(
        title,
        GroupName=Ref(group),
        Name=name,
        ScheduleExpression=when,
        ScheduleExpressionTimezone=zone,
        FlexibleTimeWindow=scheduler.FlexibleTimeWindow(Mode="OFF"),
        State="ENABLED",
        Target=scheduler.Target(
            Arn=Ref(dispatcher),
            RoleArn=GetAtt("SchedulerRole", "Arn"),
            Input=payload,
            # What cannot be delivered for so long is stale: the next call does the same.
            RetryPolicy=scheduler.RetryPolicy(MaximumEventAgeInSeconds=300, MaximumRetryAttempts=3),
        ),
    )
