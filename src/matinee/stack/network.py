"""The network: one VPC per account and region, shared by all apps. Public subnets and no NAT gateway, which costs $33.

What is in it has no inbound rule unless the app's stack gives it one, so a public subnet is a route out, not a way in.
CloudFront reaches a VPC only through an internet gateway, and only in some zones: the tool chooses them by zone id.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html
"""

from __future__ import annotations

from typing import Any

from troposphere import Join, Ref, Select, Sub, ec2

from matinee.stack import parameters as p
from matinee.stack.sheet import Sheet

CIDR = "10.87.0.0/16"
_TAGS = {"matinee:network": "shared"}


def template(zones: int = 3) -> dict[str, Any]:
    """Return the network's template with one subnet in each of so many zones."""
    sheet = Sheet("Matinee: the network of all apps of this account and region", p.network_parameters(), _TAGS)
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
    sheet.give(p.VPC, Ref(vpc), "The network")
    sheet.give(p.VPC_CIDR, CIDR, "Its addresses")
    sheet.give(p.SUBNETS, Join(",", [Ref(subnet) for subnet in subnets]), "Its subnets, with commas")
    return sheet.done()


def _subnet(sheet: Sheet, vpc: Any, table: Any, number: int) -> Any:
    subnet = sheet.add(
        ec2.Subnet(
            f"Subnet{number + 1}",
            VpcId=Ref(vpc),
            CidrBlock=f"10.87.{number * 16}.0/20",
            AvailabilityZone=Select(number, Ref(p.ZONES)),
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
