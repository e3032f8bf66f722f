"""Renews src/matinee/stack/limits.json: what AWS takes of each string of a template, and what its regions lack.

    .venv/bin/python scripts/limits.py        (`make limits`)

Two sources that are data: the resource schemas that cfn-lint carries, and botocore's service models. Rules that only
AWS's documentation has are in `matinee.stack.limits`, each with its page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
from cfnlint.data.schemas.extensions import aws_ec2_instance
from cfnlint.helpers import REGIONS
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from matinee.stack.inventory import COSTS_NOTHING, PRICED

Json = Any
TABLE = Path(__file__).parents[1] / "src" / "matinee" / "stack" / "limits.json"
TYPES = sorted(PRICED | COSTS_NOTHING)
DEEPEST = 9
# The calls that CloudFormation makes for a resource: service, operation, and where its arguments are in the resource.
CALLS = {
    "AWS::ApplicationAutoScaling::ScalableTarget": [
        ("application-autoscaling", "RegisterScalableTarget", ""),
        ("application-autoscaling", "PutScheduledAction", "ScheduledActions/*"),
    ],
    "AWS::ApplicationAutoScaling::ScalingPolicy": [("application-autoscaling", "PutScalingPolicy", "")],
    "AWS::Batch::ComputeEnvironment": [("batch", "CreateComputeEnvironment", "")],
    "AWS::Batch::JobDefinition": [("batch", "RegisterJobDefinition", "")],
    "AWS::Batch::JobQueue": [("batch", "CreateJobQueue", "")],
    "AWS::Budgets::Budget": [("budgets", "CreateBudget", "")],
    "AWS::CloudFront::Distribution": [("cloudfront", "CreateDistribution", "")],
    "AWS::CloudFront::OriginAccessControl": [("cloudfront", "CreateOriginAccessControl", "")],
    "AWS::CloudFront::VpcOrigin": [("cloudfront", "CreateVpcOrigin", "")],
    "AWS::CloudWatch::Alarm": [("cloudwatch", "PutMetricAlarm", "")],
    "AWS::CloudWatch::Dashboard": [("cloudwatch", "PutDashboard", "")],
    "AWS::DynamoDB::Table": [("dynamodb", "CreateTable", "")],
    "AWS::ECR::Repository": [
        ("ecr", "CreateRepository", ""),
        ("ecr", "PutLifecyclePolicy", "LifecyclePolicy"),
        ("ecr", "SetRepositoryPolicy", ""),
    ],
    "AWS::ECS::Cluster": [("ecs", "CreateCluster", "")],
    "AWS::ECS::Service": [("ecs", "CreateService", "")],
    "AWS::ECS::TaskDefinition": [("ecs", "RegisterTaskDefinition", "")],
    "AWS::ElasticLoadBalancingV2::Listener": [("elbv2", "CreateListener", "")],
    "AWS::ElasticLoadBalancingV2::LoadBalancer": [("elbv2", "CreateLoadBalancer", "")],
    "AWS::ElasticLoadBalancingV2::TargetGroup": [("elbv2", "CreateTargetGroup", "")],
    "AWS::Events::Rule": [("events", "PutRule", ""), ("events", "PutTargets", "")],
    "AWS::IAM::InstanceProfile": [("iam", "CreateInstanceProfile", "")],
    "AWS::IAM::Role": [("iam", "CreateRole", ""), ("iam", "PutRolePolicy", "Policies/*")],
    "AWS::Lambda::Alias": [("lambda", "CreateAlias", "")],
    "AWS::Lambda::Function": [("lambda", "CreateFunction", ""), ("lambda", "PutFunctionConcurrency", "")],
    "AWS::Lambda::Permission": [("lambda", "AddPermission", "")],
    "AWS::Logs::LogGroup": [("logs", "CreateLogGroup", "")],
    "AWS::Logs::MetricFilter": [("logs", "PutMetricFilter", "")],
    "AWS::Route53::RecordSet": [("route53", "ListResourceRecordSets", "")],
    "AWS::Scheduler::Schedule": [("scheduler", "CreateSchedule", "")],
    "AWS::Scheduler::ScheduleGroup": [("scheduler", "CreateScheduleGroup", "")],
    "AWS::SecretsManager::Secret": [("secretsmanager", "CreateSecret", "")],
    "AWS::SNS::Topic": [("sns", "CreateTopic", ""), ("sns", "Subscribe", "Subscription/*")],
}
# What is a property of CloudFormation's and an argument of another name.
RENAMED = {"topicname": "name", "repositorypolicytext": "policytext"}
Rule = tuple[int, int, str]  # at least, at most (0: no limit), pattern ("": anything)


def strings_of_schema(schema: Json, node: Json, path: str = "", depth: int = 0) -> Iterator[tuple[str, Rule]]:
    """Yield path and rule of each string that a resource schema limits."""
    while "$ref" in node:
        target: Json = schema
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    if depth > DEEPEST:
        return
    rule = (node.get("minLength", 0), node.get("maxLength", 0), node.get("pattern", ""))
    if "string" in node.get("type", "") and any(rule):
        yield path, rule
    for name, inner in node.get("properties", {}).items():
        yield from strings_of_schema(schema, inner, _below(path, name), depth + 1)
    if isinstance(node.get("items"), dict):
        yield from strings_of_schema(schema, node["items"], _below(path, "*"), depth + 1)
    for keys, inner in node.get("patternProperties", {}).items():
        if keys not in ("", ".*", "^.*$"):
            yield _below(path, "{key}"), (0, 0, keys)
        yield from strings_of_schema(schema, inner, _below(path, "{}"), depth + 1)


def strings_of_call(schema: Json, node: Json, shape: Any, path: str, depth: int = 0) -> Iterator[tuple[str, Rule]]:
    """Yield path and rule of each string of a resource that botocore's model of a call limits: names that agree."""
    while "$ref" in node:
        node = schema["definitions"][node["$ref"].rsplit("/", 1)[-1]]
    if depth > DEEPEST:
        return
    if shape.type_name == "string":
        limits = shape.metadata
        pattern = limits.get("pattern", "")
        yield path, (limits.get("min", 0), limits.get("max", 0), rf"^(?:{pattern})\Z" if pattern else "")
    elif shape.type_name == "list" and "items" in node:
        yield from strings_of_call(schema, node["items"], shape.member, _below(path, "*"), depth + 1)
    elif shape.type_name == "map" and "patternProperties" in node:
        [inner] = node["patternProperties"].values()
        yield from strings_of_call(schema, {"type": "string"}, shape.key, _below(path, "{key}"), depth + 1)
        yield from strings_of_call(schema, inner, shape.value, _below(path, "{}"), depth + 1)
    elif shape.type_name == "structure" and "items" in node and "Items" in shape.members:  # CloudFront's lists
        yield from strings_of_call(schema, node, shape.members["Items"], path, depth)
    elif shape.type_name == "structure":
        members = {name.lower(): member for name, member in shape.members.items()}
        for name, inner in node.get("properties", {}).items():
            member = members.get(RENAMED.get(name.lower(), name.lower()))
            if member is not None:
                yield from strings_of_call(schema, inner, member, _below(path, name), depth + 1)


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def at_path(schema: Json, path: str) -> Json:
    """Return the part of a resource schema that a path leads to."""
    node = schema
    for name in filter(None, path.split("/")):
        node = node["items"] if name == "*" else node["properties"][name]
        while "$ref" in node:
            node = schema["definitions"][node["$ref"].rsplit("/", 1)[-1]]
    return node


# --- patterns ---------------------------------------------------------------------------------------------------------

_SPACES = r" \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


def python_pattern(pattern: str) -> str:
    """Return a pattern of Java or ECMAScript as Python reads it; "" where it cannot be carried over."""
    for known, python in ((r"\p{L}", r"\w"), (r"\p{N}", r"\w"), (r"\p{Z}", _SPACES), (r"\p{IsLetter}", r"\w")):
        pattern = pattern.replace(known, python)
    pattern = pattern.replace("(?i)", "")  # Python wants it at the start, and none of ours needs it
    pattern = re.sub(r"\\u\{?([0-9A-Fa-f]{4})\}?", r"\\u\1", pattern)
    pattern = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")  # pairs of Java's
    pattern = pattern.replace(r"\p{Print}+", r"[\x20-\x7e]+").replace(r"\p{Graph}", r"\x21-\x7e")
    try:
        re.compile(pattern)
    except re.error:
        print(f"left out: {pattern}")
        return ""
    return pattern


# --- tables -----------------------------------------------------------------------------------------------------------


def limits_of(kind: str) -> dict[str, list[Json]]:
    """Return the rules of a type of resource by path: `[at least, at most, pattern]`."""
    session = botocore.session.get_session()
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    found = list(strings_of_schema(schema, schema))
    for service, operation, path in CALLS.get(kind, []):
        shape = session.get_service_model(service).operation_model(operation).input_shape
        found += strings_of_call(schema, at_path(schema, path), shape, path)
    rules: dict[str, list[Json]] = {}
    for path, (least, most, pattern) in found:
        rule = [least, most, python_pattern(pattern)]
        if path in read_only(schema):
            continue
        if any(rule) and rule != [1, 0, ""] and rule not in rules.setdefault(path, []):
            rules[path].append(rule)
    return {path: rules[path] for path in sorted(rules) if rules[path]}


def read_only(schema: Json) -> set[str]:
    """Return the paths that nobody can set."""
    return {path.removeprefix("/properties/") for path in schema.get("readOnlyProperties", [])}


def regions() -> dict[str, Json]:
    """Return of each region the types it lacks and the machines with a GPU that it has."""
    file = Path(aws_ec2_instance.__path__[0]) / "instancetype_enum.json"
    machines = json.loads(file.read_text("utf-8"))
    found = {}
    for region in sorted(REGIONS):
        there = PROVIDER_SCHEMA_MANAGER.get_resource_types(region)
        gpus = [one for one in machines.get(region, {}).get("enum", ()) if re.match(r"(g|p)\d", one)]
        found[region] = {"lacks": [kind for kind in TYPES if kind not in there], "gpus": sorted(gpus)}
    return found


def table() -> str:
    """Return the table as text, one type or region a line."""
    types = {kind: limits_of(kind) for kind in TYPES}
    lines = ["{", '"types": {', _lines(types), "},", '"regions": {', _lines(regions()), "}", "}"]
    return "\n".join(lines) + "\n"


def _lines(rows: dict[str, Json]) -> str:
    return ",\n".join(f"{json.dumps(key)}: {json.dumps(row, separators=(',', ':'))}" for key, row in rows.items())


if __name__ == "__main__":
    TABLE.write_text(table(), "utf-8")
    print(f"{TABLE.name}: {TABLE.stat().st_size:,} bytes")
