"""The four stacks as they are to be: each template with what it is told, from the app and what AWS has already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matinee.errors import BackendError, UsageError
from matinee.names import NETWORK_STACK
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.stacks.model import StackSpec, StackState
from matinee.ops.deploy.tools import UI_COMPONENT, Tools
from matinee.stack import Blueprint, app_template, data_template, edge_template, network_template
from matinee.stack import parameters as p
from matinee.stack.sheet import tags_of

Json = Any
ZONES = 3
# VPC origins of CloudFront are not to be had in these zones (as AWS listed them in 2025; not seen on an account):
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html
_WITHOUT_ORIGINS = frozenset({"use1-az3", "usw1-az2", "apne1-az3", "apne2-az1", "cac1-az3"})
_PREFIX_LIST = "com.amazonaws.global.cloudfront.origin-facing"


def network_spec(cloud: Cloud, tools: Tools, now: StackState | None) -> StackSpec:
    """Return the shared network; the zones it was made in are kept, or its subnets would move."""
    zones = now.parameters[p.ZONES].split(",") if now and now.parameters.get(p.ZONES) else _zones(cloud)
    template = tools.adapt(NETWORK_STACK, network_template(len(zones)))
    return StackSpec(NETWORK_STACK, template, {p.ZONES: ",".join(zones)}, {"matinee:network": "shared"})


def _zones(cloud: Cloud) -> list[str]:
    answer = cloud.call(
        "ec2",
        "describe_availability_zones",
        Filters=[{"Name": "state", "Values": ["available"]}, {"Name": "zone-type", "Values": ["availability-zone"]}],
    )
    usable = [z["ZoneName"] for z in answer["AvailabilityZones"] if z.get("ZoneId") not in _WITHOUT_ORIGINS]
    return sorted(usable)[:ZONES]


def data_spec(cloud: Cloud, tools: Tools, blueprint: Blueprint) -> StackSpec:
    """Return what is kept; what a destroyed stage left behind is taken into it."""
    name, template = cloud.names.data_stack, data_template(blueprint)
    # What exists is found by a name that is written out: one that refers to a parameter would be made anew, and fail.
    template["Resources"]["Bucket"]["Properties"]["BucketName"] = cloud.bucket
    return StackSpec(name, tools.adapt(name, template), {p.BUCKET: cloud.bucket}, tags_of(blueprint), adopts=True)


def network_facts(cloud: Cloud, blueprint: Blueprint, network: StackState | None) -> dict[str, str]:
    """Return what the app is told of the network: the shared one's, or the one that `[aws]` names."""
    aws = blueprint.aws
    if aws.vpc:
        found = cloud.call("ec2", "describe_vpcs", on=aws.vpc, VpcIds=[aws.vpc])["Vpcs"]
        return {p.VPC: aws.vpc, p.VPC_CIDR: found[0]["CidrBlock"], p.SUBNETS: ",".join(aws.subnets)}
    assert network is not None, "the network is made before the app"
    return {name: network.outputs[name] for name in (p.VPC, p.VPC_CIDR, p.SUBNETS)}


def app_spec(
    cloud: Cloud,
    tools: Tools,
    blueprint: Blueprint,
    now: StackState | None,
    facts: Mapping[str, str],
    images: Mapping[str, str],
) -> StackSpec:
    """Return what runs. `facts`: outputs of the network and the data; `images`: references by component, the UI's too.

    The blueprint's components have the labels of their versions. Raises UsageError for another network than it is in.
    """
    _check_network(blueprint, now, facts)
    known: dict[str, str] = {**facts, p.BUCKET: cloud.bucket, p.image_parameter(UI_COMPONENT): images[UI_COMPONENT]}
    for component in blueprint.components:
        known[p.image_parameter(component.name)] = images[component.name]
        known[p.label_parameter(component.name)] = component.label
    if blueprint.aws.edge == "cloudfront":
        known[p.PREFIX_LIST] = (now.parameters.get(p.PREFIX_LIST) if now else "") or _prefix_list(cloud)
    name = cloud.names.base
    told = {one.name: known[one.name] for one in p.app_parameters(blueprint)}
    return StackSpec(name, tools.adapt(name, app_template(blueprint)), told, tags_of(blueprint))


def _check_network(blueprint: Blueprint, now: StackState | None, facts: Mapping[str, str]) -> None:
    """Load balancer and security groups cannot move to another network, and CloudFormation would find out half-way."""
    before = now.parameters.get(p.VPC) if now else None
    if before and before != facts[p.VPC]:
        stage = blueprint.names.stage
        raise UsageError(
            f"The stage {stage} is in the network {before} and cannot move to {facts[p.VPC]}.",
            hint=f"Leave `vpc` under [aws] as it was, or make the stage anew: matinee destroy --stage {stage} "
            "(its data is kept), then deploy it.",
        )


def _prefix_list(cloud: Cloud) -> str:
    answer = cloud.call(
        "ec2", "describe_managed_prefix_lists", Filters=[{"Name": "prefix-list-name", "Values": [_PREFIX_LIST]}]
    )
    found = [item["PrefixListId"] for item in answer.get("PrefixLists", []) if item["PrefixListName"] == _PREFIX_LIST]
    if found:
        return str(found[0])
    if cloud.endpoint:
        return "pl-00000000"  # emulators know no such list, and have no CloudFront in front either
    raise BackendError(
        f"The list of CloudFront's addresses is not to be had in {cloud.region}.",
        hint='Use edge = "alb" under [aws], or another region.',
    )


def edge_spec(cloud: Cloud, tools: Tools, blueprint: Blueprint, app: StackState) -> StackSpec | None:
    """Return the public address; None where the load balancer is public itself."""
    template = edge_template(blueprint)
    if template is None:
        return None
    name = cloud.names.edge_stack
    adapted = tools.adapt(name, template)
    if not adapted.get("Resources"):
        return None  # an emulator takes nothing of it
    known = {**app.outputs, p.BUCKET: cloud.bucket}
    told = {one.name: known[one.name] for one in p.edge_parameters(blueprint)}
    return StackSpec(name, adapted, told, tags_of(blueprint))


def sketch(tools: Tools, blueprint: Blueprint) -> tuple[StackSpec, ...]:
    """Return the app's stack and the edge's without what they are told: enough to say what they will make."""
    names = blueprint.names
    app = StackSpec(names.base, tools.adapt(names.base, app_template(blueprint)))
    template = edge_template(blueprint)
    edge = tools.adapt(names.edge_stack, template) if template else {}
    return (app, StackSpec(names.edge_stack, edge)) if edge.get("Resources") else (app,)
