"""Lambda, played: a caller is authorised by the emulator, the function read back, and run by the local Lambda service.

Invoke → a dry run of it, signed as the caller, on `function:NAME:QUALIFIER` → alias → version → its processes. Each
version has processes of its own, with the credentials of its own role; they are replaced before those expire.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import urllib3

from matinee.backends.local.lambda_service import LambdaService, LocalFunction
from matinee.ops.rehearse.credentials import Credentials
from matinee.ops.rehearse.front import Call
from matinee.ops.rehearse.machine import ImageMissingError
from matinee.ops.rehearse.tasks import Hall, aws_variables
from matinee.ops.rehearse.wire import Reply
from matinee.ops.rehearse.workload import Workload, of_function

Json = Any
PREFIX = "/2015-03-31/functions/"
SUFFIX = "/invocations"
LATEST = "$LATEST"
_PASSED = ("x-amz-invocation-type", "x-amz-client-context", "x-amz-log-type")
_READ_TIMEOUT_S = 905.0


class Functions:
    """A `Player` of Invoke; `call` is for the services that invoke functions themselves."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._clients = hall.clients
        self._roles = hall.roles
        self._logs = hall.logs
        self._put: dict[str, Credentials] = {}
        self._streams: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()
        self._http = urllib3.PoolManager(maxsize=64, retries=False)
        self._service = LambdaService(on_log=self._log)
        self._service.start()

    def stop(self) -> None:
        """End every process."""
        self._service.stop()
        self._http.clear()

    def wants(self, call: Call) -> bool:
        """See `Player`."""
        path = call.head.target.partition("?")[0]
        return call.head.method == "POST" and path.startswith(PREFIX) and path.endswith(SUFFIX)

    def play(self, call: Call) -> Reply | None:
        """See `Player`: a caller the emulator does not know is left to it."""
        who = self._roles.known(call.key)
        if who is None:
            return None
        name, qualifier = called(call.head.target)
        headers = {n: call.head.get(n) for n in _PASSED if call.head.get(n)}
        return self.call(name, qualifier, call.body, who, headers)

    def call(
        self, name: str, qualifier: str, body: bytes, who: Credentials, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Invoke as this caller."""
        client = self._clients("lambda", who)
        try:
            client.invoke(FunctionName=f"{name}:{qualifier}" if qualifier else name, InvocationType="DryRun")
        except Exception as error:
            return _as_reply(error)
        if (headers or {}).get("x-amz-invocation-type") == "DryRun":
            return Reply(204)
        return self.run(name, qualifier, body, headers)

    def run(self, name: str, qualifier: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Invoke, whoever asks."""
        try:
            local = self._ready(name, self._version(name, qualifier))
        except ImageMissingError as error:
            return _error(502, "EC2UnexpectedException", f"The image of {name} cannot be run: {error}")
        except Exception as error:
            return _as_reply(error)
        answer = self._http.request(
            "POST",
            f"{self._service.endpoint}{PREFIX}{quote(local, safe='')}{SUFFIX}",
            body=body,
            headers=dict(headers or {}),
            timeout=_READ_TIMEOUT_S,
        )
        kept = {n.lower(): v for n, v in answer.headers.items() if n.lower() not in ("content-length", "connection")}
        return Reply(answer.status, answer.data, kept)

    def _version(self, name: str, qualifier: str) -> str:
        """Return what a qualifier means now; an alias may send a share of the calls to another version."""
        if not qualifier or qualifier == LATEST or qualifier.isdigit():
            return qualifier or LATEST
        alias = self._clients("lambda").get_alias(FunctionName=name, Name=qualifier)
        drawn = random.random()  # noqa: S311 - not a secret
        for version, share in (alias.get("RoutingConfig", {}).get("AdditionalVersionWeights") or {}).items():
            if drawn < share:
                return str(version)
            drawn -= share
        return str(alias["FunctionVersion"])

    def _ready(self, name: str, version: str) -> str:
        """Put the version at the Lambda service, again when its credentials get old; return its name there."""
        found = self._clients("lambda").get_function(FunctionName=name, Qualifier=version)
        configuration = found["Configuration"]
        local = f"{name}.{version.strip('$')}.{configuration.get('RevisionId', '')[:8]}"
        with self._lock:
            known = self._put.get(local)
            if known is None or known.is_old:
                workload = of_function(configuration, found["Code"]["ImageUri"])
                self._put[local] = self._start(local, version, workload)
        return local

    def _start(self, local: str, version: str, workload: Workload) -> Credentials:
        who = self._roles.credentials(workload.role, local[-64:].replace("$", ""))
        stream = f"{version.strip('$')}/{local.rpartition('.')[2]}"
        self._streams[local] = (workload.log_group, stream)
        try:
            self._logs.open(workload.log_group, stream, who)
        except Exception as error:  # Lambda runs a function that may not log; its lines are lost
            self._logs.refused.append(f"{workload.log_group}: {error}")
        region, endpoint = self._hall.region, self._hall.endpoint
        reserved = {
            **who.environment(),
            **aws_variables(region, endpoint),
            "AWS_DEFAULT_REGION": region,
            "AWS_LAMBDA_FUNCTION_NAME": workload.name,
            "AWS_LAMBDA_FUNCTION_VERSION": version,
            "AWS_LAMBDA_LOG_GROUP_NAME": workload.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        }
        command = self._hall.machine.command(workload, reserved, 0, local.replace("$", ""))
        arguments = list(command.arguments)
        if delay := self._hall.trouble.slowed_s(workload):
            arguments = ["/bin/sh", "-c", f'sleep {delay:g}; exec "$@"', "sh", *arguments]
        self._service.put_function(
            LocalFunction(
                name=local,
                command=arguments,
                environment=dict(command.environment),
                memory_mb=workload.memory_mb,
                timeout_s=workload.timeout_s,
                cwd=command.cwd,
                version=version,
                reserved=reserved,
                contained=command.is_contained,
            )
        )
        return who

    def forget(self) -> None:
        """Start every function anew with its next call: after trouble that is played."""
        with self._lock:
            for local in self._put:
                self._service.remove_function(local)
            self._put.clear()

    def _log(self, local: str, _run: str, line: str) -> None:
        where = self._streams.get(local)
        if where is not None:
            self._logs.write(*where, line)


def called(target: str) -> tuple[str, str]:
    """Return the function and the qualifier of an Invoke's path and query."""
    parts = urlsplit(target)
    given = unquote(parts.path.removeprefix(PREFIX).removesuffix(SUFFIX)).rpartition("function:")[2]
    name, _, qualifier = given.partition(":")
    return name, qualifier or parse_qs(parts.query).get("Qualifier", [""])[0]


def _error(status: int, kind: str, message: str) -> Reply:
    headers = {"content-type": "application/json", "x-amzn-errortype": kind}
    return Reply(status, json.dumps({"Type": "Service", "Message": message, "message": message}).encode(), headers)


def _as_reply(error: Exception) -> Reply:
    told = getattr(error, "response", None)
    if told is None:
        raise error
    status = told.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return _error(status, told["Error"]["Code"], told["Error"]["Message"])
