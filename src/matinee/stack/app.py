"""The app's stack: what runs. Subject by subject, in the order in which people read it."""

from __future__ import annotations

from typing import Any

from troposphere import Join, Ref, Select, Sub, ec2, ecs, iam

from matinee.stack import alarms, batch, blueprint, functions, permissions, ui
from matinee.stack.blueprint import Blueprint, tags_of
from matinee.stack.builder import Sheet


def app_template(b: Blueprint) -> dict[str, Any]:
    """Return the app's template."""
    title = f"Matinee: {b.title} ({b.names.stage})"
    sheet = Sheet(title, blueprint.app_parameters(b), tags_of(b))
    for role in permissions.roles(b):
        sheet.add(_role(b, role))
    cluster = sheet.add(_cluster(b))
    functions.add_realtime(sheet, b)
    batch.add_batch(sheet, b)
    functions.add_dispatcher(sheet, b)
    batch.add_gpu(sheet, b)
    ui.add_ui(sheet, b)
    alarms.add_alarms(sheet, b)
    sheet.give("Cluster", Ref(cluster), "The cluster of UI and workers")
    return sheet.done()


def _cluster(b: Blueprint) -> ecs.Cluster:
    return ecs.Cluster(
        "Cluster",
        ClusterName=b.names.base,
        CapacityProviders=["FARGATE", "FARGATE_SPOT"],
        DefaultCapacityProviderStrategy=[ecs.CapacityProviderStrategyItem(CapacityProvider="FARGATE", Weight=1)],
        # Container Insights are dear for a prototype: what is watched is counted elsewhere.
        ClusterSettings=[ecs.ClusterSetting(Name="containerInsights", Value="disabled")],
    )


def _role(b: Blueprint, role: permissions.Role) -> iam.Role:
    made = iam.Role(
        role.id,
        RoleName=role.name,
        AssumeRolePolicyDocument=permissions.trust_policy(role),
    )
    if role.statements:
        made.Policies = [iam.Policy(PolicyName="own", PolicyDocument=permissions.policy_document(role.statements))]
    if role.managed:
        made.ManagedPolicyArns = [Sub(f"arn:${{AWS::Partition}}:iam::aws:policy/{name}") for name in role.managed]
    if b.aws.permissions_boundary:
        made.PermissionsBoundary = b.aws.permissions_boundary
    forced = {statement.sid: statement.forced for statement in role.statements if statement.forced}
    if forced:
        made.Metadata = {"EveryResourceBecause": forced}
    return made


# --- the shared network -----------------------------------------------------------------------------------------------
# The network: one VPC per account and region, shared by all apps. Public subnets and no NAT gateway, which costs $33.
#
# What is in it has no inbound rule unless the app's stack gives it one, so a public subnet is a route out, not a way
# in. CloudFront reaches a VPC only through an internet gateway, and only in some zones: the tool chooses them by zone
# id. https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html

CIDR = "10.87.0.0/16"
_TAGS = {"matinee:network": "shared"}


def network_template(zones: int = 3) -> dict[str, Any]:
    """Return the network's template with one subnet in each of so many zones."""
    sheet = Sheet("Matinee: the network of all apps of this account and region", blueprint.network_parameters(), _TAGS)
    vpc = sheet.add(ec2.VPC("Vpc", CidrBlock=CIDR, EnableDnsSupport=True, EnableDnsHostnames=True))
    gateway = sheet.add(ec2.InternetGateway("Gateway"))
    attached = sheet.add(ec2.VPCGatewayAttachment("GatewayAttachment", VpcId=Ref(vpc), InternetGatewayId=Ref(gateway)))
    table = sheet.add(ec2.RouteTable("Routes", VpcId=Ref(vpc)))
    sheet.add(
        ec2.Route(
            "RouteOut",
            RouteTableId=Ref(table),
            DestinationCidrBlock="0.0.0.0/0",
            GatewayId=Ref(gateway),
            DependsOn=attached.title,
        )
    )
    subnets = [_subnet(sheet, vpc, table, number) for number in range(zones)]
    _endpoints(sheet, vpc, table)
    sheet.give(blueprint.VPC, Ref(vpc), "The network")
    sheet.give(blueprint.VPC_CIDR, CIDR, "Its addresses")
    sheet.give(blueprint.SUBNETS, Join(",", [Ref(subnet) for subnet in subnets]), "Its subnets, with commas")
    return sheet.done()


def _subnet(sheet: Sheet, vpc: Any, table: Any, number: int) -> Any:
    subnet = sheet.add(
        ec2.Subnet(
            f"Subnet{number + 1}",
            VpcId=Ref(vpc),
            CidrBlock=f"10.87.{number * 16}.0/20",
            AvailabilityZone=Select(number, Ref(blueprint.ZONES)),
            # Tasks are given an address one by one; AWS Batch has no such switch and asks the subnet.
            MapPublicIpOnLaunch=True,
        )
    )
    sheet.add(
        ec2.SubnetRouteTableAssociation(f"SubnetRoutes{number + 1}", SubnetId=Ref(subnet), RouteTableId=Ref(table))
    )
    return subnet


def _endpoints(sheet: Sheet, vpc: Any, table: Any) -> None:
    """Gateway endpoints are free, and spare S3 (images too) and DynamoDB the way over the internet."""
    for service in ("s3", "dynamodb"):
        sheet.add(
            ec2.VPCEndpoint(
                f"Endpoint{service.capitalize()}",
                VpcId=Ref(vpc),
                VpcEndpointType="Gateway",
                ServiceName=Sub(f"com.amazonaws.${{AWS::Region}}.{service}"),
                RouteTableIds=[Ref(table)],
            )
        )
