"""The policy of who deploys: everything on what bears the stage's name, and little beside it.

What has a name is allowed by its name; what AWS names itself (networks, load balancers, distributions) by the tag that
is given when it is made. Roles are the weak point: who may make roles and policies can give themselves everything,
unless a permissions boundary must be on every role they make.
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from matinee.names import NETWORK_STACK, Names, partition_of
from matinee.project.aws import Aws
from matinee.stack.permissions import Statement

Json = Any
LONGEST_POLICY = 6144  # of a managed policy, white space not counted
_PAGES = "https://docs.aws.amazon.com/service-authorization/latest/reference/list_"
LINKED_SERVICES = (  # whose service-linked roles a deployment makes
    *("ecs", "ecs.application-autoscaling", "elasticloadbalancing", "vpcorigin.cloudfront"),
    *("batch", "ecs-compute"),  # for a GPU
)
_PASSED_TO = ("ecs-tasks", "ecs", "lambda", "scheduler", "batch", "ec2")


@dataclass(frozen=True)
class Scope:
    """For whom a policy is: one stage of an app in one account and region; "*" = any."""

    names: Names
    aws: Aws
    region: str = "*"
    account: str = "*"
    gpu: bool = False
    remote_builds: bool = False

    def arn(self, service: str, resource: str, *, region: str | None = None, account: str | None = None) -> str:
        """Return an ARN in this scope."""
        where = self.region if region is None else region
        whose = self.account if account is None else account
        return f"arn:{partition_of(self.region)}:{service}:{where}:{whose}:{resource}"


def statements(s: Scope) -> tuple[Statement, ...]:
    """Return the statements of the policy."""
    return (
        *_stacks(s),
        *_roles(s),
        *_named(s),
        *_tagged(s),
        *_address(s),
        *_looking(s),
    )


def policy(s: Scope) -> dict[str, Json]:
    """Return the policy as IAM takes it."""
    return {"Version": "2012-10-17", "Statement": [_as_json(statement) for statement in statements(s)]}


def length(document: dict[str, Json]) -> int:
    """Return a policy's length as IAM counts it for a managed policy."""
    return len("".join(json.dumps(document, separators=(",", ":")).split()))


def _as_json(statement: Statement) -> dict[str, Json]:
    document = statement.as_json()
    for key in ("Action", "Resource"):
        if len(document[key]) == 1:
            document[key] = document[key][0]
    return document


# --- resources with our names -----------------------------------------------------------------------------------


def _stacks(s: Scope) -> tuple[Statement, ...]:
    stacks = (s.names.base, f"{s.names.base}-*", NETWORK_STACK)
    own = tuple(s.arn("cloudformation", f"stack/{name}/*") for name in stacks)
    return (Statement("Stacks", ("cloudformation:*",), own),)


def _roles(s: Scope) -> tuple[Statement, ...]:
    own = (s.arn("iam", f"role/{s.names.prefix}*", region=""),)
    boundary = s.aws.permissions_boundary
    bounded = {"StringEquals": {"iam:PermissionsBoundary": boundary}} if boundary else {}
    making = ["AttachRolePolicy", "CreateRole", "DeleteRolePolicy", "DetachRolePolicy", "PutRolePolicy"]
    making += ["PutRolePermissionsBoundary"] if boundary else []
    keeping = ["DeleteRole", "GetRole*", "List*RolePolicies", "TagRole", "UntagRole", "UpdateAssumeRolePolicy"]
    keeping += ["UpdateRole*"]
    services = {"StringEquals": {"iam:PassedToService": [f"{name}.amazonaws.com" for name in _PASSED_TO]}}
    linked = {"StringEquals": {"iam:AWSServiceName": [f"{name}.amazonaws.com" for name in LINKED_SERVICES]}}
    profiles = (s.arn("iam", f"instance-profile/{s.names.prefix}*", region=""),)
    in_profiles = ("AddRoleTo", "Create", "Delete", "Get", "RemoveRoleFrom")
    return (
        Statement("MakeRoles", tuple(f"iam:{a}" for a in making), own, bounded),
        Statement("KeepRoles", tuple(f"iam:{a}" for a in keeping), own),
        Statement("GiveRoles", ("iam:PassRole",), own, services),
        Statement(
            "RolesOfServices",
            ("iam:CreateServiceLinkedRole",),
            (s.arn("iam", "role/aws-service-role/*", region=""),),
            linked,
        ),
        *((Statement("Profiles", tuple(f"iam:{a}InstanceProfile" for a in in_profiles), profiles),) if s.gpu else ()),
    )


def _named(s: Scope) -> tuple[Statement, ...]:
    n = s.names
    found = {
        "ecr": (s.arn("ecr", f"repository/{n.base}"),),
        "dynamodb": (s.arn("dynamodb", f"table/{n.base}"), s.arn("dynamodb", f"table/{n.base}/index/*")),
        "s3": tuple(s.arn("s3", f"{n.base}-*{below}", region="", account="") for below in ("", "/*")),
        "lambda": (s.arn("lambda", f"function:{n.prefix}*"),),
        "ecs": tuple(
            s.arn("ecs", f"{kind}/{name}")
            for kind, name in (
                ("cluster", n.base),
                ("service", f"{n.base}/*"),
                ("task", f"{n.base}/*"),
                ("task-definition", f"{n.prefix}*:*"),
                ("service-deployment", f"{n.base}/*"),
            )
        ),
        "logs": (s.arn("logs", f"log-group:{n.log_group('*')}"),),
        "ssm": (s.arn("ssm", "parameter" + n.parameter("*")),),
        "scheduler": (s.arn("scheduler", f"schedule-group/{n.base}"), s.arn("scheduler", f"schedule/{n.base}/*")),
        "events": (s.arn("events", f"rule/{n.prefix}*"),),
        "cloudwatch": (
            s.arn("cloudwatch", f"alarm:{n.prefix}*"),
            s.arn("cloudwatch", f"dashboard/{n.base}", region=""),
        ),
    }
    if s.aws.alarms_to:
        found["sns"] = (s.arn("sns", n.resource("alarms")),)
    if s.aws.budget_usd:
        found["budgets"] = (s.arn("budgets", f"budget/{n.base}-*", region=""),)
    if s.aws.password_in == "secrets-manager":  # noqa: S105
        found["secretsmanager"] = (s.arn("secretsmanager", f"secret:{n.parameter('*').lstrip('/')}"),)
    if s.gpu:
        found["batch"] = (
            s.arn("batch", f"job-queue/{n.base}"),
            s.arn("batch", f"job-definition/{n.prefix}*"),
            s.arn("batch", "compute-environment/*"),
            s.arn("batch", "job/*"),
        )
    if s.remote_builds:
        found["codebuild"] = (s.arn("codebuild", f"project/{n.prefix}*"),)
    # One statement for all, since a service's actions fit only its own resources; so the policy stays short enough.
    actions = tuple(f"{service}:*" for service in found)
    return (Statement("WhatBearsTheName", actions, tuple(arn for arns in found.values() for arn in arns)),)


# --- resources that AWS names -----------------------------------------------------------------------------------

_EC2_KEEP = (
    "Associate*", "Attach*", "Authorize*", "Create*", "Delete*", "Detach*", "Disassociate*", "Modify*", "Revoke*",
    "Replace*", "Update*",
)  # fmt: skip


def _tagged(s: Scope) -> tuple[Statement, ...]:
    """Return what bears one of our tags, put on when it is made; and, whole, the parts of a network it is made in."""
    request_tag, resource_tag = _by_tag("Request", "name", s.names.base), _by_tag("Resource", "name", s.names.base)
    keep = tuple(f"ec2:{action}" for action in _EC2_KEEP)
    ec2, balancers = s.arn("ec2", "*"), s.arn("elasticloadbalancing", "*")
    make = ("ec2:CreateSecurityGroup", "elasticloadbalancing:AddTags", "elasticloadbalancing:Create*")
    changed, resources = [*keep, "elasticloadbalancing:*"], [ec2, balancers]
    if s.aws.edge == "cloudfront":
        changed.append("cloudfront:*")
        resources += [s.arn("cloudfront", f"{kind}/*", region="") for kind in ("distribution", "vpcorigin")]
    return (
        *_network(s, keep),
        Statement("MakeWithTheTag", make, (ec2, balancers), request_tag),
        Statement("ChangeWhatHasTheTag", tuple(changed), tuple(resources), resource_tag),
        Statement("TagWhatIsMade", ("ec2:CreateTags",), (ec2,), {"StringLike": {"ec2:CreateAction": "Create*"}}),
        Statement("Scale", ("application-autoscaling:*",), (s.arn("application-autoscaling", "scalable-target/*"),)),
    )


def _network(s: Scope, keep: tuple[str, ...]) -> tuple[Statement, ...]:
    if s.aws.vpc:
        return (Statement("InYourNetwork", ("ec2:CreateSecurityGroup",), (s.arn("ec2", f"vpc/{s.aws.vpc}"),)),)
    ec2 = (s.arn("ec2", "*"),)
    return (
        Statement("MakeTheNetwork", ("ec2:Create*",), ec2, _by_tag("Request", "network", "shared")),
        Statement("KeepTheNetwork", keep, ec2, _by_tag("Resource", "network", "shared")),
    )


def _by_tag(of: str, key: str, value: str) -> dict[str, dict[str, Json]]:
    return {"StringEquals": {f"aws:{of}Tag/matinee:{key}": value}}


def _address(s: Scope) -> tuple[Statement, ...]:
    found: list[Statement] = []
    if s.aws.edge == "cloudfront":
        making = ("cloudfront:CreateDistribution", "cloudfront:CreateVpcOrigin", "cloudfront:TagResource")
        by_tag = _by_tag("Request", "name", s.names.base)
        found.append(Statement("MakeTheAddress", making, ("*",), by_tag, forced=_PAGES + "amazoncloudfront.html"))
        if s.aws.office_hours:
            page = _PAGES + "amazoncloudfront.html"
            found.append(Statement("SleepingPage", ("cloudfront:*OriginAccessControl*",), ("*",), forced=page))
    if s.aws.hosted_zone:
        records = ("route53:ChangeResourceRecordSets", "route53:GetHostedZone", "route53:ListResourceRecordSets")
        found.append(
            Statement("Records", records, (s.arn("route53", f"hostedzone/{s.aws.hosted_zone}", region="", account=""),))
        )
        found.append(
            Statement("RecordsDone", ("route53:GetChange",), (s.arn("route53", "change/*", region="", account=""),))
        )
    return tuple(found)


# --- permissions to read ----------------------------------------------------------------------------------------


def _looking(s: Scope) -> tuple[Statement, ...]:
    """Return what only reads, or signs in, and what AWS knows no resource for."""
    actions = [
        "cloudformation:DescribeStacks", "cloudformation:ListStacks", "cloudformation:ValidateTemplate",
        "cloudformation:GetTemplateSummary", "cloudwatch:Describe*", "ec2:Describe*",
        "ec2:GetManagedPrefixListEntries", "ecr:GetAuthorizationToken", "ecs:DeregisterTaskDefinition",
        "ecs:DescribeTaskDefinition", "ecs:ListTask*", "elasticloadbalancing:Describe*", "iam:ListRoles",
        "iam:SimulatePrincipalPolicy", "lambda:GetAccountSettings", "logs:Describe*", "servicequotas:GetServiceQuota",
        "ssm:DescribeParameters", "sts:GetCallerIdentity", "tag:GetResources", "ce:GetCostAndUsage",
        "ce:UpdateCostAllocationTagsStatus", "application-autoscaling:Describe*",
    ]  # fmt: skip
    if s.aws.edge == "cloudfront":
        actions += ["cloudfront:Get*", "cloudfront:List*"]
    if s.aws.hosted_zone:
        actions.append("route53:ListHostedZones")
    if s.aws.alarms_to:
        actions.append("sns:Unsubscribe")
    if s.aws.password_in == "secrets-manager":  # noqa: S105
        actions.append("secretsmanager:GetRandomPassword")
    if s.gpu:
        actions += ["batch:Describe*", "batch:List*", "batch:DeregisterJobDefinition"]
    return (Statement("Look", tuple(actions), ("*",), forced=_PAGES + "awscloudformation.html"),)
