"""What of a template the emulator does not take, taken out of it: types, and conditions that only AWS itself meets.

Everything else is deployed as it stands. What is taken out is checked as template only (`tests/stack`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from matinee.testing.stacks import without

Json = Any
SOURCE_ACCOUNT = "aws:SourceAccount"  # said by a service that assumes a role; here the administrator plays the service
SECURE_TRANSPORT = "aws:SecureTransport"  # here the wire is loopback


def adapt(_stack: str, template: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the template as the emulator takes it."""
    adapted = without(copy.deepcopy(dict(template)))
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
