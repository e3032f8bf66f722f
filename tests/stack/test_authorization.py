"""What AWS's Service Authorization Reference says of each call, held against the printed policy and every role.

By action *and* by type of resource: a grant on a cluster allows no action that AWS checks on container instances. The
reference as data is policy_sentry's; what CloudFormation calls for a resource is in the resource's schema.
"""

from __future__ import annotations

import ast
import fnmatch
import json
import re
from functools import cache
from pathlib import Path

import botocore.session
import policy_sentry
import pytest
from botocore import xform_name
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

import matinee
from matinee.names import Names
from matinee.project.aws import DAYS, Aws, OfficeHours
from matinee.stack.deployer_policy import LONGEST_POLICY, Scope, length, policy, statements
from matinee.stack.permissions import roles
from matinee.stack.templates import app_template, data_template, edge_template, network_template

from .variants import blueprint, choices

SOURCE = Path(matinee.__file__).parent
TOOLS = sorted(file for folder in ("deploy", "operate") for file in (SOURCE / folder).rglob("*.py"))
REFERENCE = json.loads((Path(policy_sentry.__file__).parent / "shared/data/iam-definition.json").read_text("utf-8"))
EVERYTHING = {
    "office_hours": OfficeHours(DAYS, "08:00", "18:00"),
    "alarms_to": "me@example.com",
    "budget_usd": 40,
    "password_in": "secrets-manager",
    "permissions_boundary": "arn:aws:iam::111122223333:policy/limits",
    "domain": "app.example.com",
    "certificate": "arn:aws:acm:us-east-1:111122223333:certificate/abc",
    "hosted_zone": "Z0A1B2",
}
# boto3's name of a service or an operation, where IAM's is another.
SERVICES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas", "resourcegroupstaggingapi": "tag"}
OPERATIONS = {
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:HeadBucket": "s3:ListBucket",
    "lambda:Invoke": "lambda:InvokeFunction",
}
# What CloudFormation may call for a resource and does not for ours, by the feature that we do not use.
UNUSED = {
    "batch:SetCapacityTags": "no action that the reference has",
    "billing:*": "billing views",
    "cloudfront:CreateConnectionGroup": "distributions of tenants",
    "cloudfront:CreateDistributionWithTags": "no action: CreateDistribution and TagResource are",
    "cloudwatch:GetMetricData": "scaling that foresees",
    "codedeploy:*": "an alias with an update policy",
    "cognito-idp:*": "a listener that signs people in",
    "ecs:PutAccountSetting*": "the account's default for Container Insights",
    "eks:*": "Kubernetes",
    "elasticfilesystem:*": "file systems",
    "firehose:*": "delivery of logs",
    "iam:DeleteRolePermissionsBoundary": "it would set a role free of its boundary",
    "kinesis:*": "streams",
    "kms:*": "keys of one's own",
    "lambda:AssociateRuntimeAlias": "no action that the reference has",
    "lambda:GetCodeSigningConfig": "signed code",
    "lambda:GetLayerVersion": "layers",
    "lambda:PassCapacityProvider": "functions on machines of one's own",
    "logs:*Delivery": "delivery of logs",
    "logs:*IndexPolicy": "index policies",
    "logs:*ResourcePolicy": "resource policies",
    "s3:DeleteBucket?*": "no actions: Put… with nothing is",
    "s3:GetObjectMetadata": "imports into a table",
    "s3:PutBucketReplication": "replication",
    "s3:PutObjectLockConfiguration": "locks",
    "s3:REST.PUT.OBJECT": "no action",
    "s3:UpdateBucketMetadataAnnotationTableConfiguration": "metadata tables",
    "s3files:*": "file systems",
    "s3tables:*": "tables of S3",
    "sts:AssumeRole": "CloudFront takes its own service-linked role on",
    "vpc-lattice:*": "service networks",
    "vpce:*": "endpoints over regions",
}


def scope():
    return Scope(Names("shop", "dev"), Aws().changed(EVERYTHING), "eu-central-1", "111122223333", True, True)


# --- the reference ----------------------------------------------------------------------------------------------------


@cache
def privilege(action):
    """Return what the reference says of an action, None for one it does not have."""
    service, _, name = action.partition(":")
    known = {key.lower(): value for key, value in REFERENCE.get(service, {}).get("privileges", {}).items()}
    return known.get(name.lower())


def types_of(action):
    """Return the types of resources an action is checked on, as the beginnings of their ARN's last part."""
    service, found = action.partition(":")[0], privilege(action)["resource_types"]
    named = [name for name in found if name]
    needed = [name for name in named if found[name]["required"]] or named
    known = REFERENCE[service]["resources"]
    return {name: known[name]["arn"].split(":", 5)[5].partition("${")[0] for name in needed if name in known}


def is_granted(granted, action, *, by_name=True):
    """Whether statements allow an action on a resource of a type that it is checked on.

    `by_name` False: the call names no resource, so AWS checks it on all of them.
    """
    found = [s for s in granted if any(fnmatch.fnmatchcase(action.lower(), one.lower()) for one in s.actions)]
    resources = {resource for statement in found for resource in statement.resources}
    types = types_of(action)
    if "*" in resources:
        return True
    return bool(types) and by_name and any(_is_of(start, one) for start in types.values() for one in resources)


def _is_of(start, arn):
    """Whether a resource that a policy names can be one whose ARN's last part starts so."""
    last = re.sub(r"\$\{AWS::\w+\}", "any", arn).split(":", 5)[5]
    return last.startswith(start) or fnmatch.fnmatchcase(start, last)


# --- the tool ---------------------------------------------------------------------------------------------------------


@cache
def operations(service):
    known = botocore.session.get_session().get_service_model(service).operation_names
    return {xform_name(name): name for name in known}


def called():
    """Yield service, operation and whether it names something, of every call the tool makes."""
    for file in TOOLS:
        for function in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef):
                yield from _calls_of(function)


def _calls_of(function):
    words = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)} | {
        node.value for node in ast.walk(function) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for node in ast.walk(function):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        service = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
        if node.func.attr in ("call", "pages") and isinstance(service, str) and len(node.args) > 1:
            operation = node.args[1]
            named = {word.arg for word in node.keywords} - {"absent", "on"}
            names = {operation.value} if isinstance(operation, ast.Constant) else words & operations(service).keys()
            yield from ((service, name, bool(named)) for name in names)
        elif node.func.attr == "client" and isinstance(service, str):
            yield from ((service, name, True) for name in words & operations(service).keys())


def action_of(service, operation):
    action = f"{SERVICES.get(service, service)}:{operations(service)[operation]}"
    return OPERATIONS.get(action, action)


def test_every_call_of_the_tool_is_allowed_on_the_type_of_resource_that_aws_checks_it_on():
    found = set(called())
    actions = {action_of(service, operation) for service, operation, _ in found}
    assert {"ecs:ListTaskDefinitionFamilies", "ecs:ListTasks", "ssm:PutParameter", "s3:ListBucketVersions"} <= actions
    assert [action for action in actions if privilege(action) is None] == []
    granted = statements(scope())
    missing = {
        (action_of(service, operation), is_named)
        for service, operation, is_named in found
        if not is_granted(granted, action_of(service, operation), by_name=is_named)
    }
    assert missing == set()


def test_a_call_that_names_nothing_is_one_of_them():
    assert ("cloudformation", "describe_stacks", False) in set(called())


# --- CloudFormation ---------------------------------------------------------------------------------------------------


def handled():
    """Yield each action that CloudFormation may call for a resource of ours, and for what."""
    made = (
        f(b) for choice in choices() for b in [blueprint(choice)] for f in (data_template, app_template, edge_template)
    )
    kinds = {r["Type"] for t in (network_template(), *made) if t for r in t["Resources"].values()}
    for kind in sorted(kinds):
        handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema.get("handlers", {})
        for handler in ("create", "read", "update", "delete"):
            for action in handlers.get(handler, {}).get("permissions", ()):
                service, _, name = action.partition(":")
                yield f"{service.lower()}:{name}", f"{handler} of {kind}"


def test_every_call_of_cloudformation_is_allowed_on_the_type_of_resource_that_aws_checks_it_on():
    granted, missing = statements(scope()), {}
    for action, purpose in handled():
        if "*" in action or any(fnmatch.fnmatchcase(action, pattern) for pattern in UNUSED):
            continue
        if privilege(action) is None or not is_granted(granted, action):
            missing.setdefault(action, []).append(purpose)
    assert missing == {}


def test_what_is_not_used_is_no_longer_than_needed():
    actions = {action for action, _ in handled()}
    assert [pattern for pattern in UNUSED if not fnmatch.filter(actions, pattern)] == []


# --- roles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(0, 24, 5))
def test_no_statement_of_a_role_is_for_a_type_of_resource_that_its_action_is_not_checked_on(number):
    for role in roles(blueprint(choices()[number])):
        for statement in role.statements:
            for action in statement.actions:
                assert privilege(action), action
                if not any(one.startswith("${") for one in statement.resources):  # what a parameter names
                    assert is_granted([statement], action), (role.id, statement.sid, action)


@pytest.mark.parametrize("number", range(0, 24, 5))
def test_a_condition_is_one_that_the_action_knows(number):
    found = [s for role in roles(blueprint(choices()[number])) for s in role.statements] + list(statements(scope()))
    for statement in found:
        keys = {key for test in statement.conditions.values() for key in test if key != "aws:SourceAccount"}
        for action in (one for one in statement.actions if "*" not in one):
            for key in keys:
                assert key in conditions_of(action), (statement.sid, action, key)


def conditions_of(action):
    """Return the condition keys of an action and its resources, without what stands for a tag's name."""
    found = {key for one in privilege(action)["resource_types"].values() for key in one["condition_keys"]}
    tags = {key.replace("${TagKey}", name) for key in found for name in ("matinee:name", "matinee:network")}
    return found | tags


def test_the_policy_of_an_app_without_extras_fits_into_one_managed_policy():
    usual = Aws().changed({"permissions_boundary": EVERYTHING["permissions_boundary"]})
    assert length(policy(Scope(Names("activity", "prod"), usual, "ap-southeast-2", "111122223333"))) <= LONGEST_POLICY
