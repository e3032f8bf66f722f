"""What each stack is told when it is deployed (`Parameters`), and what it gives back (`Outputs`): names, never exports.

Exports would lock the stacks together: none could change what another imports.
"""

from __future__ import annotations

from dataclasses import dataclass

from matinee.settings import PASSWORD
from matinee.stack.blueprint import UI_COMPONENT, Blueprint
from matinee.stack.ids import logical

# The network: told which zones to use, gives what the app's stack is told.
ZONES = "Zones"
VPC = "VpcId"
VPC_CIDR = "VpcCidr"
SUBNETS = "SubnetIds"
# The data: told the bucket's name; gives, with `password_in = "secrets-manager"`, where the password is.
BUCKET = "BucketName"
PASSWORD_SECRET = "PasswordSecretArn"  # noqa: S105 - a parameter's name
PUBLIC_PREFIX = "edge/"  # of the bucket: what CloudFront may read
SLEEPING_KEY = f"{PUBLIC_PREFIX}sleeping.html"
DEPLOY_PREFIX = "deploy/"  # of the bucket: templates and build contexts of deployments, kept for a week
# The app: all of these, one image a component, and with CloudFront the prefix list of its servers.
PREFIX_LIST = "CloudFrontPrefixList"
# The app gives, and the edge is told:
BALANCER = "LoadBalancerArn"
BALANCER_DNS = "LoadBalancerDns"
BUCKET_DOMAIN = "BucketDomainName"
URL = "Url"  # the app gives it with `edge = "alb"`, else the edge


@dataclass(frozen=True)
class Told:
    """A parameter: its CloudFormation type, and what it is."""

    name: str
    type: str
    description: str


def image_parameter(component: str) -> str:
    """Return the parameter of a component's image, as `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:…`."""
    return "UiImage" if component == UI_COMPONENT else f"Image{logical(component)}"


def label_parameter(component: str) -> str:
    """Return the parameter of what people call a component's version, as "v7"."""
    return f"Label{logical(component)}"


def definition_output(predictor: str) -> str:
    """Return the output of the ARN of a predictor's task definition (or job definition), revision included."""
    return f"Definition{logical(predictor)}"


def network_parameters() -> tuple[Told, ...]:
    """Return what the network's stack is told."""
    return (Told(ZONES, "List<AWS::EC2::AvailabilityZone::Name>", "Zones that CloudFront reaches, by name"),)


def data_parameters() -> tuple[Told, ...]:
    """Return what the data's stack is told."""
    return (_BUCKET,)


def app_parameters(b: Blueprint) -> tuple[Told, ...]:
    """Return what the app's stack is told."""
    told = [
        Told(VPC, "AWS::EC2::VPC::Id", "The network"),
        Told(VPC_CIDR, "String", "Its addresses: what the UI believes of X-Forwarded-For comes from there"),
        Told(SUBNETS, "List<AWS::EC2::Subnet::Id>", "Its subnets with a route to the internet, two at least"),
        _BUCKET,
        Told(image_parameter(UI_COMPONENT), "String", "The image of UI and dispatcher, by digest"),
    ]
    for component in b.components:
        told.append(Told(image_parameter(component.name), "String", f"The image of {component.name}, by digest"))
        told.append(Told(label_parameter(component.name), "String", f"What its version is called, of {component.name}"))
    if b.aws.edge == "cloudfront":
        told.append(Told(PREFIX_LIST, "String", "The prefix list of CloudFront's servers in this region"))
    if is_password_in_secrets_manager(b):
        told.append(Told(PASSWORD_SECRET, "String", "The secret of Secrets Manager that holds the password"))
    return tuple(told)


def edge_parameters(b: Blueprint) -> tuple[Told, ...]:
    """Return what the edge's stack is told."""
    told = [
        Told(BALANCER, "String", "The internal load balancer"),
        Told(BALANCER_DNS, "String", "Its name in the network"),
    ]
    return (*told, _BUCKET) if b.aws.office_hours else tuple(told)


def is_password_in_secrets_manager(b: Blueprint) -> bool:
    """Whether the password is in Secrets Manager: it is asked for, and it is to be there."""
    return PASSWORD in b.auth.sign_in_mode.variables and b.aws.password_in == "secrets-manager"  # noqa: S105


_BUCKET = Told(BUCKET, "String", "The bucket of the app's files")
