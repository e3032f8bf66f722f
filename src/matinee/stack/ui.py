"""The UI: a service of one smallest task or more on Fargate, behind the load balancer.

The first task is on-demand and further ones on Spot, since no capacity provider falls back by itself. How many there
are is never said here: a stack that says it undoes what the autoscaling did, at every update.
"""

from __future__ import annotations

import json
from typing import Any

from troposphere import GetAtt, Join, Ref, applicationautoscaling, ec2, ecs

from matinee.project.aws import Aws, OfficeHours
from matinee.settings import AUTH, OIDC_REDIRECT_URI, PASSWORD, ui_environment
from matinee.stack import balancer
from matinee.stack import parameters as p
from matinee.stack.batch import task
from matinee.stack.blueprint import UI, UI_COMPONENT, Blueprint
from matinee.stack.sheet import RETAINED, Sheet
from matinee.stack.sizes import FargateSize
from matinee.stack.workloads import container, environment, from_parameters

CPU_PERCENT = 60  # more tasks from here on
REQUESTS_PER_MINUTE = 1200  # of one task; a first page view is some 60, most of them kept by CloudFront
# Non-blocking: people wait for this process. What is dropped when CloudWatch does not take it is the UI's own chatter.
LOG_MODE = {"mode": "non-blocking", "max-buffer-size": "4m"}
_ASK = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{balancer.PORT}{balancer.HEALTH}', timeout=5)"


def add(sheet: Sheet, b: Blueprint) -> None:
    """Add load balancer, task definition, service and scaling."""
    group = balancer.add(sheet, b)
    definition = sheet.add(_definition(b))
    inside = sheet.add(_security_group())
    service = sheet.add(_service(b, definition, group, inside))
    sheet.give("UiService", GetAtt(service, "Name"), "The service of the UI")
    _scaling(sheet, b, service, group)


def _definition(b: Blueprint) -> ecs.TaskDefinition:
    size = FargateSize(b.aws.ui.cpu, b.aws.ui.memory_mb)
    definition = task(
        b,
        "UiDefinition",
        UI_COMPONENT,
        size.cpu_units,
        size.memory_mb,
        Family=b.names.resource(UI),
        TaskRoleArn=GetAtt("UiRole", "Arn"),
        ExecutionRoleArn=GetAtt("UiExecutionRole", "Arn"),
        ContainerDefinitions=[_container(b)],
    )
    definition.DeletionPolicy = definition.UpdateReplacePolicy = RETAINED
    return definition


def _container(b: Blueprint) -> ecs.ContainerDefinition:
    secrets = from_parameters(b, b.ui_secrets)
    if p.is_password_in_secrets_manager(b):
        secrets[PASSWORD] = Ref(p.PASSWORD_SECRET)
    return container(
        b,
        UI,
        UI_COMPONENT,
        {**environment(b), **_sign_in(b), **_reached(b)},
        log_name=UI,
        log_mode=LOG_MODE,
        secrets=secrets,
        # Without `[auth]` everybody who has the address gets in. A deployment says so; the UI is told that it is meant.
        Command=["ui", "--without-sign-in"] if b.auth.sign_in_mode.is_open else ["ui"],
        PortMappings=[ecs.PortMapping(ContainerPort=balancer.PORT, Protocol="tcp")],
        HealthCheck=ecs.HealthCheck(
            Command=["CMD", "python", "-c", _ASK], Interval=30, Timeout=10, Retries=3, StartPeriod=60
        ),
    )


def _sign_in(b: Blueprint) -> dict[str, str]:
    """Return what the UI asks people for. Not from the release: the first one comes after the UI is up."""
    told = {AUTH: json.dumps(vars(b.auth), sort_keys=True)}
    if OIDC_REDIRECT_URI in b.auth.sign_in_mode.variables and b.aws.domain:
        told[OIDC_REDIRECT_URI] = f"https://{b.aws.domain}/oauth2callback"
    return told


def _reached(b: Blueprint) -> dict[str, Any]:
    """Return how people reach it: which proxies are believed, and that it is by https where the last one says http."""
    is_https = b.aws.edge == "cloudfront" or bool(b.aws.certificate)
    return ui_environment(Ref(p.VPC_CIDR), https=is_https, behind_cloudfront=b.aws.edge == "cloudfront")


def _security_group() -> ec2.SecurityGroup:
    return ec2.SecurityGroup(
        "UiSecurityGroup",
        GroupDescription="The tasks of the UI",
        VpcId=Ref(p.VPC),
        SecurityGroupIngress=[
            ec2.SecurityGroupRule(
                IpProtocol="tcp",
                FromPort=balancer.PORT,
                ToPort=balancer.PORT,
                SourceSecurityGroupId=Ref("LoadBalancerSecurityGroup"),
                Description="From the load balancer",
            )
        ],
        SecurityGroupEgress=everywhere(),
    )


def everywhere() -> list[ec2.SecurityGroupRule]:
    """Return the rule of what pulls images, calls AWS and whatever an algorithm asks."""
    return [ec2.SecurityGroupRule(IpProtocol="-1", CidrIp="0.0.0.0/0", Description="To AWS and the internet")]


def _service(b: Blueprint, definition: Any, group: Any, inside: Any) -> ecs.Service:
    return ecs.Service(
        "UiService",
        DependsOn=balancer.forwarding(b),  # a group without a listener takes no tasks
        ServiceName=UI,
        Cluster=Ref("Cluster"),
        TaskDefinition=Ref(definition),
        CapacityProviderStrategy=_capacity(b.aws),
        DeploymentConfiguration=ecs.DeploymentConfiguration(
            DeploymentCircuitBreaker=ecs.DeploymentCircuitBreaker(Enable=True, Rollback=True),
            MinimumHealthyPercent=100,
            MaximumPercent=200,
        ),
        HealthCheckGracePeriodSeconds=60,
        LoadBalancers=[ecs.LoadBalancer(ContainerName=UI, ContainerPort=balancer.PORT, TargetGroupArn=Ref(group))],
        NetworkConfiguration=ecs.NetworkConfiguration(
            AwsvpcConfiguration=ecs.AwsvpcConfiguration(
                AssignPublicIp="ENABLED",  # there is no NAT: without an address no image can be pulled
                SecurityGroups=[Ref(inside)],
                Subnets=Ref(p.SUBNETS),
            )
        ),
        EnableECSManagedTags=True,
        PropagateTags="SERVICE",
    )


def _capacity(aws: Aws) -> list[ecs.CapacityProviderStrategyItem]:
    first = ecs.CapacityProviderStrategyItem(CapacityProvider="FARGATE", Base=1, Weight=1)
    if not aws.spot:
        return [first]
    return [first, ecs.CapacityProviderStrategyItem(CapacityProvider="FARGATE_SPOT", Weight=100)]


# --- how many ---------------------------------------------------------------------------------------------------


def _scaling(sheet: Sheet, b: Blueprint, service: Any, group: Any) -> None:
    ui = b.aws.ui
    if ui.max == 1 and not b.aws.office_hours:
        return
    target = applicationautoscaling.ScalableTarget(
        "UiScaling",
        ServiceNamespace="ecs",
        ScalableDimension="ecs:service:DesiredCount",
        ResourceId=Join("/", ["service", Ref("Cluster"), GetAtt(service, "Name")]),
        MinCapacity=ui.min,
        MaxCapacity=ui.max,
    )
    if b.aws.office_hours:
        target.ScheduledActions = _hours(b.aws.office_hours, b.aws)
    sheet.add(target)
    if ui.max > ui.min:
        sheet.add(_policy("UiScalingByCpu", target, CPU_PERCENT, "ECSServiceAverageCPUUtilization"))
        label = Join("/", [GetAtt("LoadBalancer", "LoadBalancerFullName"), GetAtt(group, "TargetGroupFullName")])
        metric = "ALBRequestCountPerTarget"
        sheet.add(_policy("UiScalingByRequests", target, REQUESTS_PER_MINUTE, metric, ResourceLabel=label))


def _policy(title: str, target: Any, value: int, metric: str, **more: Any) -> applicationautoscaling.ScalingPolicy:
    return applicationautoscaling.ScalingPolicy(
        title,
        PolicyName=title,
        PolicyType="TargetTrackingScaling",
        ScalingTargetId=Ref(target),
        TargetTrackingScalingPolicyConfiguration=applicationautoscaling.TargetTrackingScalingPolicyConfiguration(
            TargetValue=value,
            ScaleInCooldown=300,
            ScaleOutCooldown=60,
            PredefinedMetricSpecification=applicationautoscaling.PredefinedMetricSpecification(
                PredefinedMetricType=metric, **more
            ),
        ),
    )


def _hours(hours: OfficeHours, aws: Aws) -> list[applicationautoscaling.ScheduledAction]:
    """Return what wakes the UI and puts it to sleep: target tracking alone cannot leave zero."""
    return [
        _at("wake", hours, hours.start, aws.ui.min, aws.ui.max),
        _at("sleep", hours, hours.end, 0, 0),
    ]


def _at(name: str, hours: OfficeHours, clock: str, least: int, most: int) -> applicationautoscaling.ScheduledAction:
    hour, minute = clock.split(":")
    return applicationautoscaling.ScheduledAction(
        ScheduledActionName=name,
        Schedule=f"cron({int(minute)} {int(hour)} ? * {','.join(hours.days)} *)",
        Timezone=hours.timezone,
        ScalableTargetAction=applicationautoscaling.ScalableTargetAction(MinCapacity=least, MaxCapacity=most),
    )
