"""The load balancer before the UI: internal behind CloudFront, or public by itself.

Idle connections are kept longer than CloudFront keeps them, and shorter than the UI's server does: who closes first
must be who would send next, or a request meets a closed door (502).
"""

from __future__ import annotations

from typing import Any

from troposphere import GetAtt, Join, Ref, Select, Sub, ec2, route53
from troposphere import elasticloadbalancingv2 as elb

from matinee.stack import parameters as p
from matinee.stack.blueprint import Blueprint
from matinee.stack.sheet import Sheet

PORT = 8501
HEALTH = "/_stcore/health"
IDLE_S = 130
DRAIN_S = 45  # of a task that leaves: browsers connect again by themselves
STICKY_S = 86_400
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


def add(sheet: Sheet, b: Blueprint) -> elb.TargetGroup:
    """Add the load balancer with its listeners; return the group that the UI's tasks join."""
    inside = sheet.add(_security_group(b))
    balancer = sheet.add(_balancer(b, inside))
    group = sheet.add(_target_group(group_id(b)))
    _listeners(sheet, b, balancer, group)
    sheet.give(p.BALANCER, Ref(balancer), "The load balancer")
    sheet.give(p.BALANCER_DNS, GetAtt(balancer, "DNSName"), "Its name")
    if b.aws.edge == "alb":
        _record(sheet, b, balancer)
        host = b.aws.domain or Sub("${LoadBalancer.DNSName}")
        scheme = "https://" if b.aws.certificate else "http://"
        sheet.give(p.URL, Join("", [scheme, host]), "Where people open the app")
    return group


def group_id(b: Blueprint) -> str:
    """Return the logical id of the group: another `edge` is another load balancer, and no group can belong to two."""
    return "PublicTargetGroup" if b.aws.edge == "alb" else "TargetGroup"


def _security_group(b: Blueprint) -> ec2.SecurityGroup:
    return ec2.SecurityGroup(
        "LoadBalancerSecurityGroup",
        GroupDescription="Who reaches the load balancer",
        VpcId=Ref(p.VPC),
        SecurityGroupIngress=_ingress(b),
        SecurityGroupEgress=[
            ec2.SecurityGroupRule(
                IpProtocol="tcp", FromPort=PORT, ToPort=PORT, CidrIp=Ref(p.VPC_CIDR), Description="To the UI's tasks"
            )
        ],
    )


def _ingress(b: Blueprint) -> list[ec2.SecurityGroupRule]:
    if b.aws.edge == "cloudfront":
        # A VPC origin's interfaces are in the network, and their addresses are in this list.
        told: dict[str, Any] = {"SourcePrefixListId": Ref(p.PREFIX_LIST), "Description": "From CloudFront"}
        return [ec2.SecurityGroupRule(IpProtocol="tcp", FromPort=80, ToPort=80, **told)]
    ports = (80, 443) if b.aws.certificate else (80,)
    return [
        ec2.SecurityGroupRule(IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="0.0.0.0/0", Description="From all")
        for port in ports
    ]


def _balancer(b: Blueprint, inside: Any) -> elb.LoadBalancer:
    is_public = b.aws.edge == "alb"
    # Each zone of a public one has an address that is paid for; two are the least there may be.
    subnets: Any = [Select(number, Ref(p.SUBNETS)) for number in (0, 1)] if is_public else Ref(p.SUBNETS)
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
        VpcId=Ref(p.VPC),
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
