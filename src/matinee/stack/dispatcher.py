"""The dispatcher: the one function that starts workers, and what calls it by the clock and when a task ends."""

from __future__ import annotations

from typing import Any

from troposphere import GetAtt, Join, Ref, awslambda, ec2, events

from matinee.settings import DISPATCHER, launch_environment
from matinee.stack import parameters as p
from matinee.stack.blueprint import UI_COMPONENT, Blueprint
from matinee.stack.realtime import image_of, live_alias, logging_to
from matinee.stack.schedules import add_schedules
from matinee.stack.sheet import Sheet
from matinee.stack.ui import everywhere
from matinee.stack.workloads import environment, for_a_function

MEMORY_MB = 512
TIMEOUT_S = 120  # it may have many pools to look at, and tasks to start one by one


def add(sheet: Sheet, b: Blueprint) -> None:
    """Add the dispatcher, its alias, its schedules and the rule of tasks that stop."""
    workers = sheet.add(
        ec2.SecurityGroup(
            "WorkersSecurityGroup",
            GroupDescription="Workers: nobody reaches them",
            VpcId=Ref(p.VPC),
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
            Join(",", Ref(p.SUBNETS)),
            Ref(workers),
            b.names.base if b.on_gpu else "",
            spot=b.aws.spot,
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
