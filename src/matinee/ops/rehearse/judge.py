"""Calls the emulator would judge wrongly: judged here by the role's own policies, then passed on.

MiniStack checks calls of CloudWatch Logs against a group without its streams and GetParameters against `*`, and it
does not know `dynamodb:LeadingKeys`. A role whose policies do not speak of leading keys is left to it.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import urllib3

from matinee.ops.rehearse.credentials import ROOT, Clients, Credentials, Roles
from matinee.ops.rehearse.front import Call
from matinee.ops.rehearse.policies import Caller, Context, DeniedError
from matinee.ops.rehearse.sign import signed
from matinee.ops.rehearse.wire import Reply

Json = Any
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
        key = _key_of(request)
        yield _item(operation, request.get("TableName", ""), [key] if key else [])


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
