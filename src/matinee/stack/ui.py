"""The UI: a service of one smallest task or more on Fargate, behind the load balancer.

The first task is on-demand and further ones on Spot, since no capacity provider falls back by itself. How many there
are is never said here: a stack that says it undoes what the autoscaling did, at every update.
"""

from __future__ import annotations

import json
from typing import Any

from troposphere import GetAtt, Join, Ref, Select, Sub, applicationautoscaling, ec2, ecs, route53
from troposphere import elasticloadbalancingv2 as elb

from matinee.project.aws import Aws, OfficeHours
from matinee.settings import AUTH, OIDC_REDIRECT_URI, PASSWORD, ui_environment
from matinee.stack import blueprint
from matinee.stack.batch import task
from matinee.stack.blueprint import RETAINED, UI, UI_COMPONENT, Blueprint, FargateSize
from matinee.stack.builder import Sheet, container, environment, from_parameters

# --- the load balancer ------------------------------------------------------------------------------------------------
# The load balancer before the UI: internal behind CloudFront, or public by itself.
#
# Idle connections are kept longer than CloudFront keeps them, and shorter than the UI's server does: who closes first
# must be who would send next, or a request meets a closed door (502).

PORT = 8501
HEALTH = "/_stcore/health"
IDLE_S = 130
DRAIN_S = 45  # of a task that leaves: browsers connect again by themselves
STICKY_S = 86_400
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


def add_balancer(sheet: Sheet, b: Blueprint) -> elb.TargetGroup:
    """Add the load balancer with its listeners; return the group that the UI's tasks join."""
    inside = sheet.add(_balancer_security_group(b))
    balancer = sheet.add(_balancer(b, inside))
    group = sheet.add(_target_group(group_id(b)))
    _listeners(sheet, b, balancer, group)
    sheet.give(blueprint.BALANCER, Ref(balancer), "The load balancer")
    sheet.give(blueprint.BALANCER_DNS, GetAtt(balancer, "DNSName"), "Its name")
    if b.aws.edge == "alb":
        _record(sheet, b, balancer)
        host = b.aws.domain or Sub("${LoadBalancer.DNSName}")
        scheme = "https://" if b.aws.certificate else "http://"
        sheet.give(blueprint.URL, Join("", [scheme, host]), "Where people open the app")
    return group


def group_id(b: Blueprint) -> str:
    """Return the logical id of the group: another `edge` is another load balancer, and no group can belong to two."""
    return "PublicTargetGroup" if b.aws.edge == "alb" else "TargetGroup"


def _balancer_security_group(b: Blueprint) -> ec2.SecurityGroup:
    return ec2.SecurityGroup(
        "LoadBalancerSecurityGroup",
        GroupDescription="Who reaches the load balancer",
        VpcId=Ref(blueprint.VPC),
        SecurityGroupIngress=_ingress(b),
        SecurityGroupEgress=[
            ec2.SecurityGroupRule(
                IpProtocol="tcp",
                FromPort=PORT,
                ToPort=PORT,
                CidrIp=Ref(blueprint.VPC_CIDR),
                Description="To the tasks of the UI",
            )
        ],
    )


def _ingress(b: Blueprint) -> list[ec2.SecurityGroupRule]:
    if b.aws.edge == "cloudfront":
        # A VPC origin's interfaces are in the network, and their addresses are in this list.
        source: dict[str, Any] = {"SourcePrefixListId": Ref(blueprint.PREFIX_LIST), "Description": "From CloudFront"}
        return [ec2.SecurityGroupRule(IpProtocol="tcp", FromPort=80, ToPort=80, **source)]
    ports = (80, 443) if b.aws.certificate else (80,)
    return [
        ec2.SecurityGroupRule(IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="0.0.0.0/0", Description="From all")
        for port in ports
    ]


def _balancer(b: Blueprint, inside: Any) -> elb.LoadBalancer:
    is_public = b.aws.edge == "alb"
    # Each zone of a public one has an address that is paid for; two are the least there may be.
    subnets: Any = (
        [Select(number, Ref(blueprint.SUBNETS)) for number in (0, 1)] if is_public else Ref(blueprint.SUBNETS)
    )
    return elb.LoadBalancer(
        "LoadBalancer",
        Type="application",
        Scheme="internet-facing" if is_public else "internal",
        Subnets=subnets,
        SecurityGroups=[Ref(inside)],
        LoadBalancerAttributes=[
            elb.LoadBalancerAttributes(Key="idle_timeout.timeout_seconds", Value=str(IDLE_S)),
            elb.LoadBalancerAttributes(Key="routing.http.drop_invalid_header_fields.enabled", Value="true"),
        ],
    )


def _target_group(title: str) -> elb.TargetGroup:
    attributes = {
        "deregistration_delay.timeout_seconds": str(DRAIN_S),
        "stickiness.enabled": "true",  # an upload must reach the task that has the session
        "stickiness.type": "lb_cookie",
        "stickiness.lb_cookie.duration_seconds": str(STICKY_S),
    }
    return elb.TargetGroup(
        title,
        VpcId=Ref(blueprint.VPC),
        Protocol="HTTP",
        Port=PORT,
        TargetType="ip",
        HealthCheckPath=HEALTH,
        HealthCheckIntervalSeconds=15,
        HealthCheckTimeoutSeconds=10,
        HealthyThresholdCount=2,
        UnhealthyThresholdCount=4,
        Matcher=elb.Matcher(HttpCode="200"),
        TargetGroupAttributes=[elb.TargetGroupAttribute(Key=key, Value=value) for key, value in attributes.items()],
    )


def _listeners(sheet: Sheet, b: Blueprint, balancer: Any, group: Any) -> None:
    """Add one listener for each port, that keeps it: while a certificate comes or goes, two would want the same."""
    forward = elb.Action(Type="forward", TargetGroupArn=Ref(group))
    if forwarding(b) == "Listener":
        sheet.add(_listener("Listener", balancer, 80, forward))
        return
    redirect = elb.RedirectConfig(Protocol="HTTPS", Port="443", StatusCode="HTTP_301")
    sheet.add(_listener("Listener", balancer, 80, elb.Action(Type="redirect", RedirectConfig=redirect)))
    certificates = [elb.Certificate(CertificateArn=b.aws.certificate)]
    more: dict[str, Any] = {"Certificates": certificates, "SslPolicy": TLS_POLICY}
    sheet.add(_listener(forwarding(b), balancer, 443, forward, **more))


def forwarding(b: Blueprint) -> str:
    """Return the logical id of the listener that leads to the UI."""
    return "HttpsListener" if b.aws.edge == "alb" and b.aws.certificate else "Listener"


def _listener(title: str, balancer: Any, port: int, action: Any, **more: Any) -> elb.Listener:
    protocol = "HTTPS" if port == 443 else "HTTP"
    return elb.Listener(
        title, LoadBalancerArn=Ref(balancer), Port=port, Protocol=protocol, DefaultActions=[action], **more
    )


def _record(sheet: Sheet, b: Blueprint, balancer: Any) -> None:
    if not b.aws.hosted_zone:
        return
    sheet.add(
        route53.RecordSetType(
            "Record",
            HostedZoneId=b.aws.hosted_zone,
            Name=b.aws.domain,
            Type="A",
            AliasTarget=route53.AliasTarget(
                HostedZoneId=GetAtt(balancer, "CanonicalHostedZoneID"), DNSName=GetAtt(balancer, "DNSName")
            ),
        )
    )


# --- the service of the UI --------------------------------------------------------------------------------------------

CPU_PERCENT = 60  # more tasks from here on
REQUESTS_PER_MINUTE = 1200  # of one task; a first page view is some 60, most of them kept by CloudFront
# Non-blocking: people wait for this process. What is dropped when CloudWatch does not take it is the UI's own chatter.
LOG_MODE = {"mode": "non-blocking", "max-buffer-size": "4m"}
_ASK = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{PORT}{HEALTH}', timeout=5)"


def add_ui(sheet: Sheet, b: Blueprint) -> None:
    """Add load balancer, task definition, service and scaling."""
    group = add_balancer(sheet, b)
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
    if blueprint.is_password_in_secrets_manager(b):
        secrets[PASSWORD] = Ref(blueprint.PASSWORD_SECRET)
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
        PortMappings=[ecs.PortMapping(ContainerPort=PORT, Protocol="tcp")],
        HealthCheck=ecs.HealthCheck(
            Command=["CMD", "python", "-c", _ASK], Interval=30, Timeout=10, Retries=3, StartPeriod=60
        ),
    )


def _sign_in(b: Blueprint) -> dict[str, str]:
    """Return what the UI asks people for. Not from the release: the first one comes after the UI is up."""
    variables = {AUTH: json.dumps(vars(b.auth), sort_keys=True)}
    if OIDC_REDIRECT_URI in b.auth.sign_in_mode.variables and b.aws.domain:
        variables[OIDC_REDIRECT_URI] = f"https://{b.aws.domain}/oauth2callback"
    return variables


def _reached(b: Blueprint) -> dict[str, Any]:
    """Return how people reach it: which proxies are believed, and that it is by https where the last one says http."""
    is_https = b.aws.edge == "cloudfront" or bool(b.aws.certificate)
    return ui_environment(Ref(blueprint.VPC_CIDR), https=is_https, behind_cloudfront=b.aws.edge == "cloudfront")


def _security_group() -> ec2.SecurityGroup:
    return ec2.SecurityGroup(
        "UiSecurityGroup",
        GroupDescription="The tasks of the UI",
        VpcId=Ref(blueprint.VPC),
        SecurityGroupIngress=[
            ec2.SecurityGroupRule(
                IpProtocol="tcp",
                FromPort=PORT,
                ToPort=PORT,
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
        DependsOn=forwarding(b),  # a group without a listener takes no tasks
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
        LoadBalancers=[ecs.LoadBalancer(ContainerName=UI, ContainerPort=PORT, TargetGroupArn=Ref(group))],
        NetworkConfiguration=ecs.NetworkConfiguration(
            AwsvpcConfiguration=ecs.AwsvpcConfiguration(
                # Matinee's network has no NAT: without an address no image can be pulled.
                AssignPublicIp="ENABLED" if b.aws.public_ip else "DISABLED",
                SecurityGroups=[Ref(inside)],
                Subnets=Ref(blueprint.SUBNETS),
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


# --- scaling and office hours -----------------------------------------------------------------------------------


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
