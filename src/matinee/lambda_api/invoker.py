"""The Invoker: boto3's Lambda client, at AWS or at the local service; only the endpoint differs.

boto3 takes 0.4 s to import and to make a client, so both wait for the first call and happen once per process.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from matinee.errors import BackendError, MatineeError
from matinee.lambda_api.loopback import Loopback
from matinee.lambda_api.refusals import refusal_of
from matinee.lambda_api.sdk import identity, local_session, new_session
from matinee.ports import Invocation
from matinee.retry import Backoff

if TYPE_CHECKING:
    from botocore.config import Config

READ_TIMEOUT_S = 905.0  # longer than any function may run (900 s)
_POOL_SIZE = 128
_clients: dict[tuple[Any, ...], Any] = {}
_clients_lock = threading.Lock()


class LambdaInvoker:
    """Calls functions by `prefix` + name. Thread-safe. `qualifier` is an alias, as in "live".

    `endpoint` "" is AWS; any other is the local Lambda service, or, when calls are `signed`, an emulator of AWS.
    """

    def __init__(
        self,
        endpoint: str = "",
        region: str = "",
        prefix: str = "",
        *,
        qualifier: str = "",
        signed: bool = False,
        backoff: Backoff | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._region = region
        self._prefix = prefix
        self._qualifier = qualifier
        self._signed = signed or not endpoint
        self._backoff = backoff or Backoff()
        self._client: Any = None

    def invoke(
        self, function: str, payload: bytes, *, context: Mapping[str, str] | None = None, log_tail: bool = False
    ) -> Invocation:
        """Call and wait. `context` (run, user, parent, attempt) travels as the client context's `custom`.

        Raises BackendError when the service cannot be reached or stays saturated, NotFoundError for an unknown
        function, LimitError for a payload over 6 MB. What the function itself answers, an error too, is returned.
        """
        arguments: dict[str, Any] = {"LogType": "Tail"} if log_tail else {}
        if context is not None:
            arguments["ClientContext"] = base64.b64encode(json.dumps({"custom": dict(context)}).encode()).decode()
        answer = self._call(function, Payload=payload, **arguments)
        body = answer["Payload"].read()
        return Invocation(
            payload=body,
            error_type=_error_type(body) if "FunctionError" in answer else "",
            version=answer.get("ExecutedVersion", ""),
            log_tail=base64.b64decode(answer.get("LogResult", "")).decode("utf-8", "replace"),
        )

    def poke(self, function: str, payload: bytes = b"{}") -> None:
        """Call without waiting; raises as `invoke` does, for what can be known at once."""
        self._call(function, Payload=payload, InvocationType="Event")

    def _call(self, function: str, **arguments: Any) -> Any:
        client = self._client or self._open()
        if self._qualifier:
            arguments["Qualifier"] = self._qualifier
        waits = self._backoff.waits()
        while True:
            try:
                return client.invoke(FunctionName=self._prefix + function, **arguments)
            except Exception as error:
                refusal = refusal_of(error, function, at=self._endpoint or "AWS Lambda")
            if not (refusal.passes and next(waits)):
                self._log(function, refusal.cause)
                raise refusal.error from refusal.cause

    def _log(self, function: str, cause: Exception) -> None:
        if self._signed:  # it is AWS that failed, not a service of this machine
            from matinee.lambda_api.failures import log_failure

            log_failure(cause, "lambda:InvokeFunction", f"function/{self._prefix}{function}")

    def _open(self) -> Any:
        with _clients_lock:
            at = (self._endpoint, self._region, self._signed)
            key = (*at, *identity()) if self._signed else at
            if key not in _clients:
                _clients[key] = _make_client(*at)
            self._client = _clients[key]
        return self._client


def _make_client(endpoint: str, region: str, signed: bool) -> Any:
    from botocore.config import Config

    try:
        if signed:
            session = new_session()
            config = Config(**_settings(), proxies={} if endpoint else None)
            return session.client("lambda", endpoint_url=endpoint or None, region_name=region or None, config=config)
        client = local_session().client(
            "lambda",
            endpoint_url=endpoint,
            region_name=region or "eu-central-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - what the local service takes from anybody
            config=_local_config(Config),
        )
        client.meta.events.register("before-send.lambda", Loopback(endpoint, READ_TIMEOUT_S))
        return client
    except Exception as error:
        raise _no_client(error) from error


def _settings() -> dict[str, Any]:
    return {
        "connect_timeout": 5,
        "read_timeout": READ_TIMEOUT_S,
        "max_pool_connections": _POOL_SIZE,
        "parameter_validation": False,
        "retries": {"total_max_attempts": 1, "mode": "standard"},  # the SDK would repeat a prediction that is slow
        "tcp_keepalive": True,
        "user_agent": "matinee",  # the SDK composes its own anew, twice a call: a third of what a call costs
    }


def _local_config(config: type[Config]) -> Config:
    """Unsigned, since the local service checks no signature: it saves a third of a call. No proxy on loopback."""
    from botocore import UNSIGNED

    as_given = {"use_fips_endpoint": False, "use_dualstack_endpoint": False}  # by variables they may be on
    return config(**_settings(), **as_given, signature_version=UNSIGNED, proxies={})


def _no_client(error: Exception) -> MatineeError:
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    hint = "Check your AWS configuration with `aws sts get-caller-identity`." if region else "Set AWS_REGION."
    return BackendError(f"No Lambda client can be made: {error}", hint=hint)


def _error_type(body: bytes) -> str:
    try:
        problem = json.loads(body)
    except ValueError:
        return "Unknown"
    kind = problem.get("errorType") if isinstance(problem, dict) else None
    return str(kind or "Unknown")
