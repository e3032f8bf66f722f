"""A small reader of policies: whether a role of a template may do something, by the rules IAM documents.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
from typing import Any

VALUES = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "111122223333",
    "BucketName": "shop-files",
    "PasswordSecretArn": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:the/password-AbCdEf",
}


def resolved(value: Any) -> Any:
    """Return what CloudFormation makes of a value."""
    if isinstance(value, dict):
        if set(value) == {"Fn::Sub"}:
            return re.sub(r"\$\{([^}]+)\}", lambda found: VALUES[found[1]], value["Fn::Sub"])
        return {key: resolved(inner) for key, inner in value.items()}
    return [resolved(inner) for inner in value] if isinstance(value, list) else value


def statements(template: dict[str, Any], role: str) -> list[dict[str, Any]]:
    """Return the statements of a role, by its logical id."""
    properties = template["Resources"][role]["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    return [resolved(statement) for document in documents for statement in document["Statement"]]


def allows(template: dict[str, Any], role: str, action: str, resource: str, **context: Any) -> bool:
    """Whether a statement of the role allows it; `context` by condition key with `__` for the colon."""
    known = {key.replace("__", ":"): value for key, value in context.items()}
    return any(
        action in statement["Action"]
        and any(like(pattern, resource) for pattern in statement["Resource"])
        and all(_holds(test, keys, known) for test, keys in statement.get("Condition", {}).items())
        for statement in statements(template, role)
    )


def like(pattern: str, text: str) -> bool:
    """Whether a text fits a pattern of IAM's: `*` is any, `?` one character."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text) is not None


def _holds(test: str, keys: dict[str, Any], known: dict[str, Any]) -> bool:
    for key, wanted in keys.items():
        wanted, value = wanted if isinstance(wanted, list) else [wanted], known.get(key)
        if test == "Null":
            if (value is None) != (wanted == ["true"]):
                return False
        elif test == "ForAllValues:StringLike":
            if not all(any(like(pattern, one) for pattern in wanted) for one in value or ()):
                return False
        elif test in ("StringEquals", "StringLike", "ArnEquals", "ArnLike"):
            if value is None or not any(like(pattern, value) for pattern in wanted):
                return False
        else:
            raise AssertionError(f"unknown test {test}")
    return True
