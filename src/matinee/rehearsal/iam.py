"""What a role's policies, read back, say of one action: for the few that the emulator judges wrongly or not at all.

MiniStack checks every call of ECS against the ARN of its cluster and PassRole not at all, some calls against the wrong
resource (`judge`), and its policy simulator takes no context. These few are judged here, on the resource and the
context keys AWS documents.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3

from matinee.rehearsal.credentials import ROOT, Clients, Credentials, Roles
from matinee.rehearsal.proxies import Call, Reply

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


# --- judge ------------------------------------------------------------------------------------------------------------
# Calls the emulator would judge wrongly: judged here by the role's own policies, then passed on.
#
# MiniStack checks calls of CloudWatch Logs against a group without its streams and GetParameters against `*`, and it
# does not know `dynamodb:LeadingKeys`. A role whose policies do not speak of leading keys is left to it.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html

_TYPE = "application/x-amz-json-1.1"
_TIMEOUT_S = 60.0
REMEMBERED_S = 1.0
Need = tuple[str, str, Context]  # action, resource, context keys


class Judge:
    """A `Player` of those calls, when a role makes them; the administrator's are judged rightly."""

    def __init__(self, clients: Clients, roles: Roles) -> None:
        self._clients = clients
        self._roles = roles
        self._callers: dict[str, tuple[float, Caller]] = {}
        self._http = urllib3.PoolManager(retries=False, timeout=_TIMEOUT_S, maxsize=32)

    def forget(self) -> None:
        """Read every role's policies again: they have just been changed."""
        self._callers.clear()

    def wants(self, call: Call) -> bool:
        """See `Player`."""
        is_ours = call.service == "dynamodb" or (call.service, call.operation) in _RESOURCES
        return is_ours and bool(self._roles.role_of(call.key))

    def play(self, call: Call) -> Reply | None:
        """See `Player`."""
        caller = self._caller(self._roles.role_of(call.key))
        if call.service == "dynamodb" and not caller.speaks_of("dynamodb:LeadingKeys"):
            return None
        try:
            for action, resource, context in self._needs(call):
                caller.needs(action, self._arn(call.service, resource), context)
        except DeniedError as denied:
            body = json.dumps({"__type": "AccessDeniedException", "message": str(denied)}).encode()
            return Reply(400, body, {"content-type": _TYPE})
        return self._pass(call)

    def _caller(self, role: str) -> Caller:
        """Return a role as it was a moment ago at most: the table is asked often."""
        known = self._callers.get(role)
        if known is None or known[0] < time.monotonic() - REMEMBERED_S:
            known = self._callers[role] = (time.monotonic(), Caller(self._clients("iam"), role))
        return known[1]

    def _needs(self, call: Call) -> Iterable[Need]:
        request = json.loads(call.body)
        if call.service == "dynamodb":
            return items_needed(call.operation, request)
        action = f"{call.service}:{call.operation}"
        return [(action, resource, {}) for resource in _RESOURCES[call.service, call.operation](request)]

    def _arn(self, service: str, resource: str) -> str:
        if resource.startswith("arn:"):
            return resource
        return f"arn:aws:{service}:{self._clients.region}:{self._clients.account}:{resource}"

    def _pass(self, call: Call) -> Reply:
        """Have the emulator do it for the administrator."""
        url = f"{self._clients.endpoint}/"
        kind = call.head.get("content-type", _TYPE)
        told = {"Content-Type": kind, "X-Amz-Target": call.head.get("x-amz-target")}
        headers = signed("POST", url, call.body, call.region, call.service, Credentials(*ROOT), told)
        answer = self._http.request("POST", url, body=call.body, headers=headers)
        kept = {n: v for n, v in answer.headers.items() if n.lower() not in ("content-length", "connection")}
        return Reply(answer.status, answer.data, kept)


def _streams(request: Json) -> Iterable[str]:
    group = request.get("logGroupName") or str(request.get("logGroupIdentifier", "")).rpartition(":log-group:")[2]
    return [f"log-group:{group.removesuffix(':*')}:log-stream:{request.get('logStreamName', '')}"]


def _parameters(request: Json) -> Iterable[str]:
    return [n if n.startswith("arn:") else f"parameter/{n.lstrip('/')}" for n in request.get("Names", ())]


def items_needed(operation: str, request: Json) -> Iterable[Need]:
    """Return what a call of DynamoDB needs: a transaction's parts are actions of their own, each with its key.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
    """
    if operation in ("TransactWriteItems", "TransactGetItems"):
        for part in request["TransactItems"]:
            ((kind, item),) = part.items()
            action = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "Get": "GetItem"}.get(
                kind, "ConditionCheckItem"
            )
            yield _item(action, item["TableName"], [_key_of(item)])
    elif operation == "BatchGetItem":
        for table, asked in request["RequestItems"].items():
            yield _item(operation, table, [_partition(key) for key in asked["Keys"]])
    else:
        key = _queried(request) if operation == "Query" else _key_of(request)
        index = f"/index/{request['IndexName']}" if request.get("IndexName") else ""
        yield _item(operation, request.get("TableName", "") + index, [key] if key else [])


def _queried(request: Json) -> str:
    """Return the partition a query reads: of its conditions the one that says equal."""
    found = re.search(r"= ?(:\w+)", request.get("KeyConditionExpression", ""))
    value = request.get("ExpressionAttributeValues", {}).get(found[1], {}) if found else {}
    return str(value.get("S", ""))


def _item(action: str, table: str, keys: list[str]) -> Need:
    """Return what one action needs; a request without keys has no leading keys at all."""
    return (f"dynamodb:{action}", f"table/{table}", {"dynamodb:leadingkeys": keys} if keys else {})


def _key_of(item: Json) -> str:
    return _partition(item.get("Key") or item.get("Item") or {})


def _partition(key: Json) -> str:
    return str(key.get("pk", {}).get("S", ""))


_RESOURCES: dict[tuple[str, str], Callable[[Json], Iterable[str]]] = {
    ("logs", "CreateLogStream"): _streams,
    ("logs", "PutLogEvents"): _streams,
    ("logs", "FilterLogEvents"): _streams,
    ("logs", "GetLogEvents"): _streams,
    ("ssm", "GetParameters"): _parameters,
}


# --- record -----------------------------------------------------------------------------------------------------------
# What each role really asks for, kept while it happens: a sample of every kind of call, to be asked again.
#
# Asked again with a statement missing, one of a role's calls must be refused, or nothing here needed that statement.

_PER_KIND = 3


class Recorder:
    """A `Player` that answers nothing: it stands first and remembers calls by role and kind."""

    def __init__(self, role_of: Any) -> None:
        self._role_of = role_of
        self._calls: dict[str, dict[str, list[Call]]] = defaultdict(lambda: defaultdict(list))
        self._lock = threading.Lock()

    def wants(self, call: Call) -> bool:
        """See `Player`."""
        return bool(self._role_of(call.key))

    def play(self, call: Call) -> Reply | None:
        """See `Player`."""
        with self._lock:
            known = self._calls[self._role_of(call.key)][kind_of(call)]
            if len(known) < _PER_KIND:
                known.append(call)
        return None

    def roles(self) -> list[str]:
        """Return the ARNs of the roles that asked for something."""
        return sorted(self._calls)

    def kinds(self, role: str) -> list[str]:
        """Return what a role asked for, in words."""
        return sorted(self._calls[role])

    def calls(self, role: str) -> list[Call]:
        """Return a role's samples."""
        return [call for calls in self._calls[role].values() for call in calls]


def kind_of(call: Call) -> str:
    """Return the kind of a call: operation, and roughly on what."""
    parts = urlsplit(call.head.target)
    if call.operation:
        return f"{call.service} {call.operation} {_about(call)}"
    where = "/".join(parts.path.split("/")[:3]) if call.service == "s3" else parts.path
    return f"{call.service} {call.head.method} {where}{'?list' if 'list-type' in parts.query else ''}"


def _about(call: Call) -> str:
    body = json.loads(call.body or b"{}")
    if call.service == "dynamodb":
        key = (body.get("Key") or body.get("Item") or {}).get("pk", {}).get("S", "")
        return f"{key.partition('#')[0]}{body.get('IndexName', '')}"
    return ""


# --- sign -------------------------------------------------------------------------------------------------------------
# Requests signed anew: of a caller whose words were changed on the way, or for the administrator.

FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


def signed(
    method: str, url: str, body: bytes, region: str, service: str, who: Credentials, told: Mapping[str, str]
) -> dict[str, str]:
    """Return `told` and the headers of a signature of `who`."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as Given

    request = AWSRequest(method=method, url=url, data=body, headers=dict(told))
    SigV4Auth(Given(who.key, who.secret, who.token or None), service, region).add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}
