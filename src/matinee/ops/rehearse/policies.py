"""What a role's policies, read back, say of one action: for the few that the emulator judges wrongly or not at all.

MiniStack checks every call of ECS against the ARN of its cluster and PassRole not at all, some calls against the wrong
resource (`judge`), and its policy simulator takes no context. These few are judged here, on the resource and the
context keys AWS documents.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

Json = Any
Statement = dict[str, Json]
Context = Mapping[str, str | list[str]]  # keys in lower case


def statements_of(iam: Json, role: str) -> list[Statement]:
    """Return all statements of a role (its name): its own policies and those attached to it."""
    found: list[Statement] = []
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        found += statements_in(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])
    for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        version = iam.get_policy(PolicyArn=policy["PolicyArn"])["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId=version)
        found += statements_in(document["PolicyVersion"]["Document"])
    return found


def statements_in(document: Json) -> list[Statement]:
    """Return the statements of a policy, given as JSON or as its text."""
    parsed = json.loads(unquote(document)) if isinstance(document, str) else document
    return [dict(statement) for statement in _listed(parsed.get("Statement", []))]


def allows(statements: Iterable[Statement], action: str, resource: str, context: Context | None = None) -> bool:
    """Whether the statements allow it: one does, and none denies it."""
    effects = {s["Effect"] for s in statements if _applies(s, action, resource, context or {})}
    return effects == {"Allow"}


class Caller:
    """Who calls, and what its role allows; the administrator (role "") everything."""

    def __init__(self, iam: Json, role: str) -> None:
        self._role = role
        self._statements = statements_of(iam, role.rpartition("/")[2]) if role else None

    def speaks_of(self, key: str) -> bool:
        """Whether any of its statements has a condition on this key."""
        return any(key in keys for s in self._statements or () for keys in s.get("Condition", {}).values())

    def needs(self, action: str, resource: str, context: Context | None = None) -> None:
        """Raise DeniedError in AWS's words when the role does not allow it."""
        if self._statements is None or allows(self._statements, action, resource, context):
            return
        who = self._role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
        why = f"because no identity-based policy allows the {action} action"
        raise DeniedError(f"User: {who} is not authorized to perform: {action} on resource: {resource} {why}")


class DeniedError(Exception):
    """What a role does not allow."""


def _applies(statement: Statement, action: str, resource: str, context: Context) -> bool:
    is_action = any(_like(pattern.lower(), action.lower()) for pattern in _listed(statement.get("Action", [])))
    is_resource = any(_like(pattern, resource) for pattern in _listed(statement.get("Resource", [])))
    return is_action and is_resource and _is_met(statement.get("Condition", {}), context)


def _is_met(conditions: Json, context: Context) -> bool:
    return all(
        _holds(operator, context.get(key.lower()), [str(one) for one in _listed(wanted)])
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _holds(operator: str, value: str | list[str] | None, wanted: list[str]) -> bool:
    """Judge one condition. An operator that is not known here holds never: better refused than wrongly allowed.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    quantity, _, plain = operator.rpartition(":")
    if plain == "Null":
        return (value is None) == (wanted == ["true"])
    test = _OPERATORS.get(plain)
    if test is None or value is None:
        return test is not None and quantity == "ForAllValues"
    each = (any(test(one, said) for one in wanted) for said in ([value] if isinstance(value, str) else value))
    return all(each) if quantity == "ForAllValues" else any(each)


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


@lru_cache(4096)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in text), re.DOTALL)


def _like(pattern: str, value: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


def _same(wanted: str, value: str) -> bool:
    return wanted == value


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": _same,
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
}
