"""CloudFormation before the emulator: a stack waits for its ECS services.

The emulator calls a stack complete as soon as its records are made. AWS waits until a service is steady, and rolls
back when its circuit breaker opens: so it is told here, in what DescribeStacks answers.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

import urllib3

from matinee.ops.rehearse.credentials import Clients, Roles
from matinee.ops.rehearse.front import Call
from matinee.ops.rehearse.services import Services
from matinee.ops.rehearse.sign import FORM, signed
from matinee.ops.rehearse.wire import Reply

Json = Any
_TIMEOUT_S = 120.0


class StackPlayer:
    """A `Player` of DescribeStacks."""

    def __init__(self, clients: Clients, roles: Roles, services: Services) -> None:
        self._clients = clients
        self._roles = roles
        self._services = services
        self._http = urllib3.PoolManager(retries=False, timeout=_TIMEOUT_S)

    def wants(self, call: Call) -> bool:
        """See `Player`."""
        return call.service == "cloudformation"

    def play(self, call: Call) -> Reply | None:
        """See `Player`: a caller the emulator does not know is left to it."""
        who = self._roles.known(call.key)
        form = dict(parse_qsl(call.body.decode(), keep_blank_values=True))
        if who is None or form.get("Action") != "DescribeStacks":
            return None
        url = f"{self._clients.endpoint}/"
        headers = signed("POST", url, call.body, call.region, call.service, who, FORM)
        answer = self._http.request("POST", url, body=call.body, headers=headers)
        kept = {n: v for n, v in answer.headers.items() if n.lower() not in ("content-length", "connection")}
        if answer.status != 200:
            return Reply(answer.status, answer.data, kept)
        members = re.split(r"(?=<StackName>)", answer.data.decode())
        return Reply(200, "".join(map(self._with_status, members)).encode(), kept)

    def _with_status(self, member: str) -> str:
        """Return what is told of one stack, in progress while its services are not steady yet."""
        name = re.match(r"<StackName>([^<]+)</StackName>", member)
        status = re.search(r"<StackStatus>(CREATE|UPDATE)_COMPLETE</StackStatus>", member)
        if name is None or status is None:
            return member
        services = self._of(name[1])
        if any(service is None or service.rollout == "IN_PROGRESS" for service in services):
            return _restated(member, f"{status[1]}_IN_PROGRESS", "")
        failed = next((s for s in services if s is not None and s.rollout == "FAILED"), None)
        if failed is None:
            return member
        word = "UPDATE_ROLLBACK_COMPLETE" if status[1] == "UPDATE" else "ROLLBACK_COMPLETE"
        return _restated(member, word, f"ECS Deployment Circuit Breaker was triggered: {failed.reason}")

    def _of(self, stack: str) -> list[Any]:
        try:
            told = self._clients("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
        except Exception:  # it is being deleted
            return []
        names = [r["PhysicalResourceId"].rpartition("/")[2] for r in told if r["ResourceType"] == "AWS::ECS::Service"]
        return [self._services.get(name) for name in names]


def _restated(member: str, status: str, reason: str) -> str:
    said = f"<StackStatus>{status}</StackStatus>"
    if reason:
        said += f"<StackStatusReason>{reason}</StackStatusReason>"
    told = r"<StackStatus>[^<]*</StackStatus>(<StackStatusReason>[^<]*</StackStatusReason>)?"
    return re.sub(told, lambda _: said, member, count=1)
