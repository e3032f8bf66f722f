"""Templates on an emulator: what it does not take is left out, and exactly that is named here."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Any

Json = Any
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


def types_of(template: dict[str, Json]) -> set[str]:
    """Return the types of a template's resources."""
    return {resource["Type"] for resource in template["Resources"].values()}


def without(template: dict[str, Json], types: Collection[str] = NOT_ON_MINISTACK) -> dict[str, Json]:
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


def without_statement(template: dict[str, Json], role: str, sid: str) -> dict[str, Json]:
    """Return the template without one permission of a role (by its logical id); KeyError if it has none such."""
    changed: dict[str, Json] = copy.deepcopy(template)
    for policy in changed["Resources"][role]["Properties"]["Policies"]:
        statements = policy["PolicyDocument"]["Statement"]
        left = [statement for statement in statements if statement["Sid"] != sid]
        if len(left) < len(statements):
            policy["PolicyDocument"]["Statement"] = left
            return changed
    raise KeyError(sid)
