"""The Invoker: boto3's Lambda client, at AWS or at the local service; only the endpoint differs.

boto3 takes 0.4 s to import and to make a client, so both wait for the first call and happen once per process.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from matinee.errors import BackendError, LimitError, MatineeError, NotFoundError, UnansweredError, UsageError
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

    `endpoint` "" is AWS; any other is the local Lambda service, whose callers know its `secret`, or, when calls are
    `signed`, an emulator of AWS. `find_service` returns endpoint and secret of the local service that runs now: it is
    asked when the one that was known cannot be reached any more.
    """

    def __init__(
        self,
        endpoint: str = "",
        region: str = "",
        prefix: str = "",
        *,
        qualifier: str = "",
        signed: bool = False,
        secret: str = "",
        find_service: Callable[[], tuple[str, str] | None] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._region = region
        self._prefix = prefix
        self._qualifier = qualifier
        self._signed = signed or not endpoint
        self._secret = secret
        self._find_service = find_service
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
            if refusal.is_elsewhere and self._follow_service():
                client = self._open()
                continue
            if not (refusal.passes and next(waits)):
                self._log(function, refusal.cause)
                raise refusal.error from refusal.cause

    def _follow_service(self) -> bool:
        """Go to the service that was started since; False if there is none."""
        found = self._find_service() if self._find_service else None
        if found is None or found == (self._endpoint, self._secret):
            return False
        self._endpoint, self._secret = found
        return True

    def _log(self, function: str, cause: Exception) -> None:
        if self._signed:  # it is AWS that failed, not a service of this machine
            from matinee.lambda_api.sdk import log_failure

            log_failure(cause, "lambda:InvokeFunction", f"function/{self._prefix}{function}")

    def _open(self) -> Any:
        with _clients_lock:
            at = (self._endpoint, self._region, self._signed, self._secret)
            key = (*at, *identity()) if self._signed else at
            if key not in _clients:
                _clients[key] = _make_client(*at)
            self._client = _clients[key]
        return self._client


def _make_client(endpoint: str, region: str, signed: bool, secret: str) -> Any:
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
            aws_secret_access_key="local",  # noqa: S106 - nothing is signed with it
            config=_local_config(Config),
        )
        client.meta.events.register("before-send.lambda", Loopback(endpoint, secret, READ_TIMEOUT_S))
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
    """Unsigned, since `Loopback` shows the secret itself: it saves a third of a call. No proxy on loopback."""
    from botocore import UNSIGNED

    no_variants = {"use_fips_endpoint": False, "use_dualstack_endpoint": False}  # by variables they may be on
    return config(**_settings(), **no_variants, signature_version=UNSIGNED, proxies={})


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


# --- refusals as errors -----------------------------------------------------------------------------------------------
# What boto3 raises, as an error for people, and whether it passes by itself.
#
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors

_PASSING = {
    "EC2ThrottledException",
    "ENINotReadyException",
    "ResourceConflictException",  # Pending: being updated
    "ResourceNotReadyException",  # Inactive: long idle, this call wakes it
    "SnapStartNotReadyException",
    "TooManyRequestsException",
}


_NO_ACCESS = {
    "AccessDeniedException",
    "ExpiredTokenException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
}


@dataclass(frozen=True)
class Refusal:
    """Why a call was not taken. `passes`: it was not run, and may be taken when asked again.

    `is_elsewhere`: what answers there, if anything does, is not the service that was known.
    """

    error: MatineeError
    passes: bool
    cause: Exception
    is_elsewhere: bool = False


def refusal_of(error: Exception, function: str, *, at: str) -> Refusal:
    """Return what boto3's exception means. What is no exception of boto3's passes through."""
    from botocore import exceptions

    if isinstance(error, MatineeError):
        return Refusal(error, passes=False, cause=error)
    if isinstance(error, exceptions.ClientError):
        return _refusal_of_answer(error, function)
    if isinstance(error, (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError)):
        problem = BackendError(f"{at} cannot be reached.", hint=_reach_hint(at))
        here = at.startswith("http")  # where it is up, or it is not
        return Refusal(problem, passes=not here, cause=error, is_elsewhere=here)
    if isinstance(error, exceptions.ReadTimeoutError):
        problem = UnansweredError(f"{function} did not answer.", hint="Look at its logs; then try again.")
        return Refusal(problem, passes=False, cause=error)
    if isinstance(error, exceptions.HTTPClientError):
        problem = UnansweredError(f"The connection to {at} broke while {function} ran.", hint="Try again.")
        return Refusal(problem, passes=False, cause=error)
    if isinstance(error, exceptions.BotoCoreError):
        problem = BackendError(f"{function} cannot be called: {error}", hint="Check the AWS configuration.")
        return Refusal(problem, passes=False, cause=error)
    raise error


def _refusal_of_answer(error: Any, function: str) -> Refusal:
    code = error.response["Error"].get("Code", "")
    status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
    text = error.response["Error"].get("Message", "")
    passes = code in _PASSING or status >= 500
    return Refusal(_error_of_code(code, text, function), passes, error, is_elsewhere=code in _NO_ACCESS)


def _error_of_code(code: str, text: str, function: str) -> MatineeError:
    if code == "ResourceNotFoundException":
        return NotFoundError(f"There is no function {function}.", hint="Deploy it, or start it with `matinee dev`.")
    if code == "RequestTooLargeException":
        return LimitError(f"The inputs of {function} are too large: {text}.", hint="Send large values as a File.")
    if code == "TooManyRequestsException":
        hint = "Try again, or raise its concurrency."
        return BackendError(f"{function} has too many requests at once.", hint=hint)
    if code in ("ResourceConflictException", "ResourceNotReadyException"):
        return BackendError(f"{function} is not ready yet: {text}", hint="It is being updated or woken: try again.")
    if code == "InvalidRequestContentException":
        return UsageError(f"The inputs of {function} are not JSON: {text}", hint="Send a JSON object.")
    if code in _NO_ACCESS:
        hint = "Its role or your credentials lack lambda:InvokeFunction."
        return BackendError(f"Calling {function} is not allowed: {text}", hint=hint)
    return BackendError(f"{function} cannot be called: {text or code} ({code}).", hint="Try again; look at its logs.")


def _reach_hint(at: str) -> str:
    if at.startswith("http"):
        return "Is `matinee dev` running?"
    return "Check the network, and the route to AWS from this subnet."


# --- requests over a plain socket -------------------------------------------------------------------------------------
# The requests that boto3 makes of the local Lambda service, sent and answered by a plain socket.
#
# boto3 makes the request and reads the answer as it does for AWS; between the two its HTTP client costs as much again,
# a tenth of a click in the UI. What answers is ours, on this machine (`backends.local.lambda_service.http`).

CONNECT_S = 5.0
_CHUNK = 1 << 16


class Loopback:
    """To be registered for botocore's event `before-send`, which takes an answer in place of sending. Thread-safe."""

    def __init__(self, endpoint: str, secret: str, read_timeout_s: float) -> None:
        parts = urlsplit(endpoint)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._host = f"Host: {parts.netloc}\r\nAuthorization: Bearer {secret}\r\n"
        self._read_timeout_s = read_timeout_s
        self._idle: list[socket.socket] = []

    def __call__(self, request: Any, **_: Any) -> Any:
        """Return the answer as botocore's own client does; raises what that does."""
        from botocore.awsrequest import AWSResponse
        from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

        try:
            connection = self._take_idle() or self._open()
        except OSError as error:
            raise EndpointConnectionError(endpoint_url=request.url, error=error) from error
        try:
            connection.sendall(self._encode(request))
            first, headers, body = _read(connection)
            status = int(first[9:12])
        except BaseException as error:
            connection.close()
            if isinstance(error, TimeoutError):
                raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
            if isinstance(error, (OSError, ValueError)):
                raise ConnectionClosedError(endpoint_url=request.url, error=error) from error
            raise
        if first.startswith("HTTP/1.1") and headers.get("connection", "").lower() != "close":
            self._idle.append(connection)
        else:
            connection.close()
        return AWSResponse(request.url, status, headers, _Body(body))

    def _take_idle(self) -> socket.socket | None:
        """Return a connection that the service has not closed meanwhile: nothing is to be read from it."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took it
                return None
            look = select.poll()
            look.register(connection, select.POLLIN)
            if not look.poll(0):
                return connection
            connection.close()
        return None

    def _open(self) -> socket.socket:
        connection = socket.create_connection(self._address, CONNECT_S)
        connection.settimeout(self._read_timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _encode(self, request: Any) -> bytes:
        parts = urlsplit(request.url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        lines = (f"{name}: {_text(value)}\r\n" for name, value in request.headers.items())
        return f"{request.method} {target} HTTP/1.1\r\n{self._host}{''.join(lines)}\r\n".encode("latin-1") + (
            request.body or b""
        )


class _Body(BytesIO):
    """A body that has arrived, as botocore reads one."""

    def stream(self, **_: Any) -> list[bytes]:
        return [self.read()]


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _read(connection: socket.socket) -> tuple[str, dict[str, str], bytes]:
    """Return the first line, headers (names in lower case) and body of the answer; ValueError if it is none."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += _more(connection)
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body, size = [data[end + 4 :]], int(headers.get("content-length", "0"))
    missing = size - len(body[0])
    while missing > 0:
        body.append(_more(connection))
        missing -= len(body[-1])
    return first, headers, b"".join(body)


def _more(connection: socket.socket) -> bytes:
    more = connection.recv(_CHUNK)
    if not more:
        raise ConnectionResetError("the service closed the connection")
    return more
