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
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

import urllib3

from matinee.rehearsal.credentials import ROOT, Clients, Credentials, Roles
from matinee.rehearsal.proxies import Call, Reply

Json = Any
Statement = dict[str, Json]
Context = Mapping[str, str | list[str]]  # keys in lower case


def statements_of(iam: Json, principal: str) -> list[Statement]:
    """Return all statements of a role or a user (the ARN): its own policies and those attached to it."""
    kind = "user" if ":user/" in principal else "role"
    who = {f"{kind.title()}Name": principal.rpartition("/")[2]}
    found: list[Statement] = []
    for name in getattr(iam, f"list_{kind}_policies")(**who)["PolicyNames"]:
        found += statements_in(getattr(iam, f"get_{kind}_policy")(PolicyName=name, **who)["PolicyDocument"])
    for policy in getattr(iam, f"list_attached_{kind}_policies")(**who)["AttachedPolicies"]:
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
    """Who calls (a role or a user), and what its policies allow; the administrator ("") may do everything."""

    def __init__(self, iam: Json, principal: str) -> None:
        self._principal = principal
        self._statements = statements_of(iam, principal) if principal else None

    def speaks_of(self, key: str) -> bool:
        """Whether any of its statements has a condition on this key."""
        return any(key in keys for s in self._statements or () for keys in s.get("Condition", {}).values())

    def needs(self, action: str, resource: str, context: Context | None = None) -> None:
        """Raise DeniedError in AWS's words when the role does not allow it."""
        if self._statements is None or allows(self._statements, action, resource, context):
            return
        who = self._principal.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
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
        _holds(operator, context.get(key.lower()), [str(one) for one in _listed(expected)])
        for operator, keys in conditions.items()
        for key, expected in keys.items()
    )


def _holds(operator: str, value: str | list[str] | None, expected: list[str]) -> bool:
    """Judge one condition. An operator that is not known here holds never: better refused than wrongly allowed.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    quantity, _, plain = operator.rpartition(":")
    if plain == "Null":
        return (value is None) == (expected == ["true"])
    test = _OPERATORS.get(plain)
    if test is None or value is None:
        return test is not None and quantity == "ForAllValues"
    each = (any(test(one, actual) for one in expected) for actual in ([value] if isinstance(value, str) else value))
    return all(each) if quantity == "ForAllValues" else any(each)


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


@lru_cache(4096)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in text), re.DOTALL)


def _like(pattern: str, value: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


def _same(expected: str, value: str) -> bool:
    return expected == value


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": _same,
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
}


# --- judging calls by policies ----------------------------------------------------------------------------------------
# Calls the emulator would judge wrongly: judged here by the role's own policies, then passed on.
#
# MiniStack checks calls of CloudWatch Logs against a group without its streams, GetParameters and
# RegisterTaskDefinition against `*`, and it does not know `dynamodb:LeadingKeys`. A role whose policies do not
# speak of leading keys is left to it.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html

_TYPE = "application/x-amz-json-1.1"
_TIMEOUT_S = 60.0
REMEMBERED_S = 1.0
Need = tuple[str, str, Context]  # action, resource, context keys


class Judge:
    """A `Player` of those calls, when a role or a user makes them; the administrator may do everything."""

    def __init__(self, clients: Clients, roles: Roles) -> None:
        self._clients = clients
        self._roles = roles
        self._callers: dict[str, tuple[float, Caller]] = {}
        self._http = urllib3.PoolManager(retries=False, timeout=_TIMEOUT_S, maxsize=32)

    def forget(self) -> None:
        """Read every role's policies again: they have just been changed."""
        self._callers.clear()

    def wants(self, call: Call) -> bool:
        """Whether a role makes a call that is judged here."""
        is_ours = call.service in _ALWAYS or (call.service, call.operation) in _RESOURCES
        return is_ours and bool(self._roles.principal_of(call.key))

    def play(self, call: Call) -> Reply | None:
        """Refuse the call if the role's policies do not allow it."""
        caller = self._caller(self._roles.principal_of(call.key))
        if call.service == "dynamodb" and not caller.speaks_of("dynamodb:LeadingKeys"):
            return None
        needs = self._needs(call)
        if needs is None:
            return None
        try:
            for action, resource, context in needs:
                caller.needs(action, self._arn(call.service, resource), context)
        except DeniedError as denied:
            return _refusal(call, str(denied))
        return self._pass(call)

    def _caller(self, role: str) -> Caller:
        """Return a role as it was a moment ago at most: the table is asked often."""
        known = self._callers.get(role)
        if known is None or known[0] < time.monotonic() - REMEMBERED_S:
            known = self._callers[role] = (time.monotonic(), Caller(self._clients("iam"), role))
        return known[1]

    def _needs(self, call: Call) -> Iterable[Need] | None:
        """Return what a call needs; None for one that the emulator judges rightly."""
        if call.service == "scheduler":
            return _schedule_needs(call)
        if call.service in _QUERY_SERVICES:
            form = dict(parse_qsl(call.body.decode(), keep_blank_values=True))
            return _QUERY_SERVICES[call.service](form.get("Action", ""), form, self._clients)
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
        url, method = f"{self._clients.endpoint}{call.head.target}", call.head.method
        kind = call.head.get("content-type", _TYPE)
        target = call.head.get("x-amz-target")
        sent = {"Content-Type": kind, **({"X-Amz-Target": target} if target else {})}
        headers = signed(method, url, call.body, call.region, call.service, Credentials(*ROOT), sent)
        answer = self._http.request(method, url, body=call.body, headers=headers)
        passed_on = {n: v for n, v in answer.headers.items() if n.lower() not in ("content-length", "connection")}
        return Reply(answer.status, answer.data, passed_on)


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


def _stack_needs(action: str, form: Mapping[str, str], clients: Clients) -> list[Need] | None:
    """CloudFormation: what is done to a stack, its change sets too, is done to `stack/NAME/ID`."""
    name = form.get("StackName", "")
    if not name and (change_set := form.get("ChangeSetName")):
        name = clients("cloudformation").describe_change_set(ChangeSetName=change_set)["StackId"]
    if not name:
        return None
    return [(f"cloudformation:{action}", name if name.startswith("arn:") else f"stack/{name}/id", {})]


def _schedule_needs(call: Call) -> list[Need] | None:
    """EventBridge Scheduler: a schedule is `schedule/GROUP/NAME`; the emulator looks in the default group."""
    parts = urlsplit(call.head.target)
    if not parts.path.startswith("/schedules/"):
        return None
    action = {"GET": "Get", "PUT": "Update", "DELETE": "Delete", "POST": "Create"}[call.head.method]
    query = dict(parse_qsl(parts.query))
    group = query.get("groupName") or (json.loads(call.body).get("GroupName") if call.body else "") or "default"
    return [(f"scheduler:{action}Schedule", f"schedule/{group}/{parts.path.rpartition('/')[2]}", {})]


def _iam_needs(action: str, form: Mapping[str, str], clients: Clients) -> list[Need] | None:
    """IAM: the emulator does not know which service a linked role is for."""
    if action != "CreateServiceLinkedRole":
        return None
    service = form.get("AWSServiceName", "")
    role = f"arn:aws:iam::{clients.account}:role/aws-service-role/{service}/AWSServiceRole"
    return [(f"iam:{action}", role, {"iam:awsservicename": service})]


def _refusal(call: Call, message: str) -> Reply:
    """Return AccessDenied as the protocol of the service has it."""
    if call.service not in _QUERY_SERVICES:
        body = json.dumps({"__type": "AccessDeniedException", "message": message}).encode()
        return Reply(400, body, {"content-type": _TYPE})
    error = f"<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{escape(message)}</Message></Error>"
    return Reply(403, f"<ErrorResponse>{error}</ErrorResponse>".encode(), {"content-type": "text/xml"})


def _clusters(request: Json) -> Iterable[str]:
    return [name if name.startswith("arn:") else f"cluster/{name}" for name in request.get("clusters", ["default"])]


def _rule(request: Json) -> Iterable[str]:
    return [f"rule/{request.get('Name') or request.get('Rule')}"]


_QUERY_SERVICES = {"cloudformation": _stack_needs, "iam": _iam_needs}
_ALWAYS = {"dynamodb", "scheduler", *_QUERY_SERVICES}
_RESOURCES: dict[tuple[str, str], Callable[[Json], Iterable[str]]] = {
    ("ecs", "DescribeClusters"): _clusters,
    ("ecs", "DeleteTaskDefinitions"): lambda request: request.get("taskDefinitions", ()),
    ("ecs", "RegisterTaskDefinition"): lambda request: [f"task-definition/{request['family']}:*"],
    ("events", "DisableRule"): _rule,
    ("events", "EnableRule"): _rule,
    ("events", "DescribeRule"): _rule,
    ("logs", "CreateLogStream"): _streams,
    ("logs", "PutLogEvents"): _streams,
    ("logs", "FilterLogEvents"): _streams,
    ("logs", "GetLogEvents"): _streams,
    ("ssm", "GetParameters"): _parameters,
    ("ssm", "DeleteParameters"): _parameters,
    ("ssm", "GetParametersByPath"): lambda request: [f"parameter{request.get('Path', '/')}"],
}


# --- recording calls of roles -----------------------------------------------------------------------------------------
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
        """Whether a role calls."""
        return bool(self._role_of(call.key))

    def play(self, call: Call) -> Reply | None:
        """Record the call, which the emulator then answers."""
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


# --- signing requests -------------------------------------------------------------------------------------------------
# Requests signed anew: of a caller whose words were changed on the way, or for the administrator.

FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


def signed(
    method: str, url: str, body: bytes, region: str, service: str, who: Credentials, headers: Mapping[str, str]
) -> dict[str, str]:
    """Return `headers` and those of a signature of `who`."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as SigningCredentials

    request = AWSRequest(method=method, url=url, data=body, headers=dict(headers))
    SigV4Auth(SigningCredentials(who.key, who.secret, who.token or None), service, region).add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}
