"""What of a template the emulator does not take, taken out of it: types, and conditions that only AWS itself meets.

Everything else is deployed as it stands. What is taken out is checked as template only (`tests/stack`).
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from typing import Any

Json = Any
SOURCE_ACCOUNT = "aws:SourceAccount"  # said by a service that assumes a role; here the administrator plays the service
SECURE_TRANSPORT = "aws:SecureTransport"  # here the wire is loopback
# Types of ours that MiniStack's CloudFormation rejects (1.5.33). A test holds that it is these and no others.
NOT_ON_MINISTACK = frozenset(
    {
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::Batch::ComputeEnvironment",
        "AWS::Batch::JobDefinition",
        "AWS::Batch::JobQueue",
        "AWS::Budgets::Budget",
        "AWS::CloudFront::VpcOrigin",
    }
)


def adapt(_stack: str, template: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the template as the emulator takes it."""
    adapted = without_types(copy.deepcopy(dict(template)))
    for resource in adapted.get("Resources", {}).values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Role":
            _forget(properties["AssumeRolePolicyDocument"], SOURCE_ACCOUNT)
        elif resource["Type"] == "AWS::S3::BucketPolicy":
            document = properties["PolicyDocument"]
            document["Statement"] = [s for s in document["Statement"] if SECURE_TRANSPORT not in str(s)]
    policies = [n for n, r in adapted["Resources"].items() if r["Type"] == "AWS::S3::BucketPolicy"]
    for name in policies:
        if not adapted["Resources"][name]["Properties"]["PolicyDocument"]["Statement"]:
            del adapted["Resources"][name]
    return adapted


def _forget(document: Json, key: str) -> None:
    """Take the conditions on one key out of a policy."""
    for statement in document["Statement"]:
        kept = {op: {k: v for k, v in keys.items() if k != key} for op, keys in statement.get("Condition", {}).items()}
        kept = {operator: keys for operator, keys in kept.items() if keys}
        statement.pop("Condition", None)
        if kept:
            statement["Condition"] = kept


def without_types(template: dict[str, Json], types: Collection[str] = NOT_ON_MINISTACK) -> dict[str, Json]:
    """Return the template without resources of these types, and without what cannot be said any more without them."""
    gone = {title for title, resource in template["Resources"].items() if resource["Type"] in types}
    while more := {
        title
        for title, resource in template["Resources"].items()
        if title not in gone and gone & set(_named({k: v for k, v in resource.items() if k != "DependsOn"}))
    }:
        gone |= more
    kept = {title: _free(resource, gone) for title, resource in template["Resources"].items() if title not in gone}
    outputs = {n: output for n, output in template.get("Outputs", {}).items() if not gone & set(_named(output))}
    return {**template, "Resources": kept, **({"Outputs": outputs} if outputs else {})}


def _named(value: Json) -> Iterator[str]:
    """Yield what a value refers to."""
    if isinstance(value, dict):
        if isinstance(value.get("Ref"), str):
            yield value["Ref"]
        if isinstance(value.get("Fn::GetAtt"), list):
            yield value["Fn::GetAtt"][0]
        for inner in value.values():
            yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)


def _free(resource: dict[str, Json], gone: Collection[str]) -> dict[str, Json]:
    waits = resource.get("DependsOn")
    if waits is None:
        return resource
    left = [title for title in ([waits] if isinstance(waits, str) else waits) if title not in gone]
    return {**{k: v for k, v in resource.items() if k != "DependsOn"}, **({"DependsOn": left} if left else {})}
