"""What the account gives: quotas that fresh accounts are caught by, and the network that `[aws] vpc` names.

Quota codes: https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from matinee.deploy.cloud import Cloud, Finding
from matinee.manifest import PredictorManifest
from matinee.project.aws import Aws
from matinee.stack.blueprint import ZONES_WITHOUT_ORIGINS, Blueprint

Json = Any
LAMBDA = "L-B99A9384"  # Concurrent executions
FARGATE = "L-3032A538"  # Fargate On-Demand vCPU resource count
GPU_FAMILIES = "L-DB2E81BA"  # Running On-Demand G and VT instances, in vCPUs
VPCS = "L-F678F1CE"  # VPCs per Region
UNRESERVED = (
    100  # concurrent executions that Lambda keeps for functions without a reservation, or all of a small account
)
FEW = 10  # concurrent executions of a new account
VCPUS_OF_A_GPU = 4  # the smallest machine with one has as many
_DEFAULT_VPCS = 5
_UNKNOWN_QUOTA = frozenset(
    {"AccessDenied", "AccessDeniedException", "NoSuchResourceException", "UnrecognizedClientException", "404"}
)


def check_quotas(cloud: Cloud, blueprint: Blueprint, live: Iterable[PredictorManifest] = ()) -> list[Finding]:
    """Return what the account's quotas do not allow of the app; `live` are the predictors that run now."""
    if cloud.endpoint:
        return []  # emulators have none
    predictors = blueprint.predictors
    return [
        *check_lambda(cloud, predictors, live),
        *check_fargate(cloud, predictors, blueprint.aws.ui.cpu),
        *check_gpu(cloud, predictors),
    ]


def check_lambda(
    cloud: Cloud, predictors: Iterable[PredictorManifest], live: Iterable[PredictorManifest] = ()
) -> list[Finding]:
    """Return what Lambda's concurrency does not allow: new accounts have 10, and of 10 none can be reserved.

    `live` are the stage's predictors that run now: what they have reserved is free for what comes in their place.
    """
    answer = cloud.call("lambda", "get_account_settings", absent=_UNKNOWN_QUOTA)
    if answer is None:
        return []
    limit = int(answer["AccountLimit"]["ConcurrentExecutions"])
    unreserved = int(answer["AccountLimit"].get("UnreservedConcurrentExecutions", limit))
    stays = min(UNRESERVED, limit)
    free = unreserved + sum(p.resources.concurrency for p in live if p.kind == "realtime") - stays
    asks = {p.name: max(p.resources.concurrency, p.resources.provisioned) for p in predictors if p.kind == "realtime"}
    asks = {name: count for name, count in asks.items() if count}
    if asks and sum(asks.values()) > free:
        names = ", ".join(f"{name} {count}" for name, count in asks.items())
        taken = f" Other functions have reserved {limit - unreserved}." if unreserved < limit else ""
        return [
            Finding(
                f"Lambda lets this account run {limit} functions at once and keeps {stays} of them unreserved, "
                f"but `concurrency` and `provisioned` ask for {sum(asks.values())} ({names}).{taken}",
                f"Leave them out, or raise the quota {LAMBDA} (Concurrent executions) under Service Quotas.",
            )
        ]
    if limit <= FEW:
        text = f"Lambda lets this account run {limit} functions at once: more people than that will wait."
        return [Finding(text, f"Raise the quota {LAMBDA} (Concurrent executions) under Service Quotas.", stops=False)]
    return []


def check_fargate(cloud: Cloud, predictors: Iterable[PredictorManifest], ui_cpu: float) -> list[Finding]:
    """Return what Fargate's quota does not allow: the UI twice while it is replaced, and the largest worker."""
    batch = [p.resources for p in predictors if p.kind == "batch" and not p.resources.gpu]
    least = 2 * ui_cpu + max((r.cpu for r in batch), default=0.0)
    limit = _quota(cloud, "fargate", FARGATE)
    if limit is None:
        return []
    if least > limit:
        return [
            Finding(
                f"Fargate gives this account {limit:g} vCPU at once, and the app needs {least:g}.",
                f"Raise the quota {FARGATE} (Fargate On-Demand vCPU resource count) under Service Quotas.",
            )
        ]
    most = 2 * ui_cpu + sum(r.cpu * r.max_workers for r in batch)
    if most > limit:
        text = (
            f"All workers at once would take {most:g} vCPU, and Fargate gives this account {limit:g}: some will wait."
        )
        return [Finding(text, f"Raise the quota {FARGATE} under Service Quotas.", stops=False)]
    return []


def check_gpu(cloud: Cloud, predictors: Iterable[PredictorManifest]) -> list[Finding]:
    """Return what the quota of machines with a GPU does not allow: it usually starts at 0."""
    asks = {p.name: p.resources.gpu for p in predictors if p.resources.gpu}
    if not asks:
        return []
    limit = _quota(cloud, "ec2", GPU_FAMILIES)
    needed = VCPUS_OF_A_GPU * max(asks.values())
    if limit is None or limit >= needed:
        return []
    return [
        Finding(
            f"{', '.join(asks)} asks for a GPU: a machine with one has {needed} vCPU at least, and this account "
            f"may run {math.floor(limit)} of that kind.",
            f"Raise the quota {GPU_FAMILIES} (Running On-Demand G and VT instances) under Service Quotas: it takes "
            "days.",
        )
    ]


def check_vpcs(cloud: Cloud) -> list[Finding]:
    """Return whether there is room for one network more: five a region at first."""
    answer = cloud.call("ec2", "describe_vpcs", absent=("UnauthorizedOperation",))
    limit = _quota(cloud, "vpc", VPCS) or _DEFAULT_VPCS
    if answer is None or len(answer["Vpcs"]) < limit:
        return []
    return [
        Finding(
            f"This region has {len(answer['Vpcs'])} networks (VPCs) of {limit:g}, and Matinee's would be one more.",
            f"Remove one, name `vpc` and `subnets` of your own under [aws], or raise the quota {VPCS}.",
        )
    ]


def _quota(cloud: Cloud, service: str, code: str) -> float | None:
    """Return a quota's value, None when it cannot be read."""
    answer = cloud.call(
        "service-quotas", "get_service_quota", absent=_UNKNOWN_QUOTA, ServiceCode=service, QuotaCode=code
    )
    return None if answer is None else float(answer["Quota"]["Value"])


# --- checks of an own network -----------------------------------------------------------------------------------------
# What CloudFormation and Fargate would find out after minutes: zones, subnets, the way to the internet.

_EVERYWHERE = "0.0.0.0/0"
_IN_MATINEE_TOML = "Look at `vpc`, `subnets` and `public_ip` under [aws] in matinee.toml."


def check_own_network(cloud: Cloud, aws: Aws) -> list[Finding]:
    """Return what is wrong with the app's own network; nothing where it has none, or it may not be looked at."""
    if not aws.vpc:
        return []
    denied = ("UnauthorizedOperation",)
    absent = ("InvalidVpcID.NotFound", "InvalidSubnetID.NotFound", *denied)
    found = cloud.call("ec2", "describe_subnets", absent=denied, Filters=_filter("vpc-id", [aws.vpc]))
    if found is None:
        return []
    if cloud.call("ec2", "describe_vpcs", absent=absent, on=aws.vpc, VpcIds=[aws.vpc]) is None:
        return [Finding(f"There is no network {aws.vpc} in {cloud.region}.", _IN_MATINEE_TOML)]
    subnets = [subnet for subnet in found["Subnets"] if subnet["SubnetId"] in aws.subnets]
    missing = sorted(set(aws.subnets) - {subnet["SubnetId"] for subnet in subnets})
    if missing:
        return [Finding(f"The network {aws.vpc} has no subnet {', '.join(missing)}.", _IN_MATINEE_TOML)]
    gateways = _filter("attachment.vpc-id", [aws.vpc])
    has_gateway = bool(cloud.call("ec2", "describe_internet_gateways", Filters=gateways)["InternetGateways"])
    findings = _check_zones(aws, subnets)
    if not has_gateway and (aws.public_ip or aws.edge in ("cloudfront", "alb")):
        text = f'The network {aws.vpc} has no internet gateway, which edge = "{aws.edge}" needs.'
        findings.append(Finding(text, "Attach one to it, or leave `vpc` out: Matinee then makes a network."))
    return findings or _check_routes(cloud, aws)


def _check_zones(aws: Aws, subnets: Sequence[Json]) -> list[Finding]:
    zones = {subnet["AvailabilityZone"] for subnet in subnets}
    if len(zones) < 2:
        text = f"The subnets are all in {', '.join(zones)}: a load balancer takes two zones at least."
        return [Finding(text, _IN_MATINEE_TOML)]
    bad = [s["SubnetId"] for s in subnets if s.get("AvailabilityZoneId") in ZONES_WITHOUT_ORIGINS]
    if bad and aws.edge == "cloudfront":
        text = f"{', '.join(bad)} is in a zone in which CloudFront takes no load balancer inside a network."
        return [Finding(text, 'Use a subnet of another zone, or edge = "alb".')]
    return []


def _check_routes(cloud: Cloud, aws: Aws) -> list[Finding]:
    """Return the subnets from which nothing reaches the internet: no image can be pulled there."""
    tables = cloud.call("ec2", "describe_route_tables", Filters=_filter("vpc-id", [aws.vpc]))["RouteTables"]
    ways = {subnet: _way_out(tables, subnet) for subnet in aws.subnets}
    without = [subnet for subnet, way in ways.items() if not way]
    private = [subnet for subnet, way in ways.items() if way and not way.startswith("igw-")]
    public = [subnet for subnet, way in ways.items() if way.startswith("igw-")]
    if without:
        text = f"{', '.join(without)} has no route to the internet ({_EVERYWHERE}): no image could be pulled there."
        return [Finding(text, "Add a route to a NAT gateway or an internet gateway.", stops=aws.public_ip)]
    if private and aws.public_ip:
        text = f"{', '.join(private)} is private: a public address is of no use there."
        return [Finding(text, "Add public_ip = false under [aws].", stops=False)]
    if public and not aws.public_ip:
        text = f"{', '.join(public)} reaches the internet by public addresses alone, and public_ip is false."
        return [Finding(text, "Leave public_ip out, or name subnets with a NAT gateway.")]
    if aws.edge == "alb" and any(subnet in private for subnet in aws.subnets[:2]):
        text = "A public load balancer must be in public subnets, and the first two of `subnets` are not."
        return [Finding(text, 'Use edge = "cloudfront": it reaches a load balancer inside the network.')]
    return []


def _way_out(tables: Sequence[Json], subnet: str) -> str:
    """Return what the subnet's default route leads to ("igw-…", "nat-…"), "" where it has none."""

    def is_of(table: Json, key: str, value: object) -> bool:
        return any(one.get(key) == value for one in table.get("Associations", []))

    own = [table for table in tables if is_of(table, "SubnetId", subnet)]
    main = [table for table in tables if is_of(table, "Main", True)]
    table = (*own, *main, {})[0]
    routes = [r for r in table.get("Routes", []) if r.get("DestinationCidrBlock") == _EVERYWHERE]
    targets = ("GatewayId", "NatGatewayId", "TransitGatewayId", "NetworkInterfaceId", "VpcPeeringConnectionId")
    return next((str(route[key]) for route in routes for key in targets if route.get(key)), "")


def _filter(name: str, values: list[str]) -> list[dict[str, Json]]:
    return [{"Name": name, "Values": values}]
