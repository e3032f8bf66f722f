"""AWS Lambda's Invoke API, as boto3 and the AWS CLI speak it.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn, Protocol
from urllib.parse import unquote

from matinee.backends.local.lambda_service.function import Answer, Job, arn, new_request_id
from matinee.backends.local.lambda_service.guests import browser_refusal, secret_refusal
from matinee.backends.local.lambda_service.http import JSON_TYPE, MAX_BODY_BYTES, Request, header_lines

MAX_PAYLOAD_BYTES = 6_291_456
MAX_EVENT_BYTES = 1_048_576
_PREFIX = "/2015-03-31/functions/"
_SUFFIX = "/invocations"
_NAME = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?(?:[a-z]{2}(?:-[a-z]+)+-\d:)?(?:\d{12}:)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9_.-]+)(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]+))?"
)
_KINDS = ["RequestResponse", "Event", "DryRun"]
_STATUS = {
    "AccessDeniedException": 403,
    "InvalidParameterValueException": 400,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "UnrecognizedClientException": 403,
    "InvalidRequestContentException": 400,
    "RequestTooLargeException": 413,
    "ResourceNotFoundException": 404,
    "ServiceException": 500,
    "TooManyRequestsException": 429,
    "UnknownOperationException": 404,
    "ValidationException": 400,
}


class Target(Protocol):
    """A function that can be invoked."""

    @property
    def version(self) -> str:
        """Return what is told as the executed version."""

    def submit(self, job: Job) -> None:
        """Run the request."""


class _RefusedError(Exception):
    def __init__(self, kind: str, message: str, **fields: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.fields = {"Type": "User", "Message": message, "message": message, **fields}


class _NotJsonError(ValueError):
    pass


def _refuse_constant(name: str) -> NoReturn:
    raise _NotJsonError(f"Unrecognized token '{name}'")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


class InvokeApi:
    """Answers callers; `find(name)` returns a function or None."""

    def __init__(self, find: Callable[[str], Target | None], events: Events, secret: str) -> None:
        self._find = find
        self._secret = secret
        self._events = events

    def serve(self, request: Request) -> None:
        """Answer one request of a caller, now or when it has run."""
        try:
            self._serve(request)
        except _RefusedError as refused:
            _refuse(request, refused)

    def _serve(self, request: Request) -> None:
        reason = browser_refusal(request)
        if reason:
            raise _RefusedError("AccessDeniedException", reason)
        kind, reason = secret_refusal(request, self._secret)
        if kind and len(request.body) <= MAX_BODY_BYTES:  # one that was cut is refused below, and cannot be verified
            raise _RefusedError(kind, reason)
        if request.method != "POST" or not (request.path.startswith(_PREFIX) and request.path.endswith(_SUFFIX)):
            raise _RefusedError("UnknownOperationException", f"{request.method} {request.path} is not Invoke.")
        name = self._name(request)
        target = self._target(name)
        kind = request.header(b"x-amz-invocation-type", "RequestResponse")
        if kind not in ("RequestResponse", "Event", "DryRun"):
            raise _invalid(
                "invocationType", kind, "Member must satisfy enum value set: [RequestResponse, Event, DryRun]"
            )
        payload = _payload(request, MAX_EVENT_BYTES if kind == "Event" else MAX_PAYLOAD_BYTES)
        context = _client_context(request.header(b"x-amz-client-context"))
        if kind == "RequestResponse":
            self._call(request, target, payload, context)
        elif kind == "Event":
            request_id = self._events.add(payload, context, lambda job: self._submit_again(name, job))
            request.respond(202, headers=_request_id(request_id))
        else:
            request.respond(204, headers=_request_id(new_request_id()))

    def _name(self, request: Request) -> str:
        name, qualifier = _read_name(request.path)
        asked = request.query.get("Qualifier", [""])[0]
        if qualifier and asked and qualifier != asked:
            raise _RefusedError(
                "InvalidParameterValueException",
                "The derived qualifier from the function name does not match the specified qualifier.",
            )
        qualifier = asked or qualifier
        target = self._find(name)
        if target is not None and qualifier not in ("", "$LATEST", "live", target.version):
            raise _not_found(f"{name}:{qualifier}")
        return name

    def _target(self, name: str) -> Target:
        target = self._find(name)
        if target is None:
            raise _not_found(name)
        return target

    def _call(self, request: Request, target: Target, payload: bytes, context: str) -> None:
        log_tail = request.header(b"x-amz-log-type") == "Tail"
        job = Job(payload, lambda answer: _answer(request, job, answer), client_context=context, log_tail=log_tail)
        request.on_lost = job.abandon
        target.submit(job)

    def _submit_again(self, name: str, job: Job) -> None:
        target = self._find(name)
        if target is None:
            job.finish(b"", rejected="removing this function")
        else:
            target.submit(job)


@lru_cache
def _read_name(path: str) -> tuple[str, str]:
    """Return function and qualifier of a request's path."""
    text = unquote(path[len(_PREFIX) : -len(_SUFFIX)])
    match = _NAME.fullmatch(text)
    if match is None or len(text) > 256:
        raise _invalid("functionName", text, f"Member must satisfy regular expression pattern: {_NAME.pattern}")
    return match["name"], match["qualifier"] or ""


def _payload(request: Request, limit: int) -> bytes:
    if len(request.body) > limit:
        raise _RefusedError(
            "RequestTooLargeException", f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        )
    if not request.body:
        return b"{}"
    try:
        _DECODER.decode(request.body.decode())
    except (ValueError, RecursionError) as error:
        raise _RefusedError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: Could not parse payload into json: {error}",
        ) from None
    return request.body


def _client_context(header: str) -> str:
    """Return the client context as JSON that fits a header, "" if there is none."""
    if not header:
        return ""
    try:
        value: Any = json.loads(base64.b64decode(header, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _RefusedError(
            "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."
        )
    return json.dumps(value)


def _answer(request: Request, job: Job, answer: Answer) -> None:
    if answer.rejected == "throttled":
        fields = {"Reason": "ConcurrentInvocationLimitExceeded", "retryAfterSeconds": "1"}
        _refuse(request, _RefusedError("TooManyRequestsException", "Rate Exceeded.", **fields))
    elif answer.rejected:
        _refuse(request, _RefusedError("ServiceException", f"The service is {answer.rejected}.", Type="Service"))
    else:
        headers = f"{JSON_TYPE}x-amzn-RequestId: {job.request_id}\r\nX-Amz-Executed-Version: {answer.version}\r\n"
        if answer.failed:
            headers += "X-Amz-Function-Error: Unhandled\r\n"
        if answer.log_tail:
            headers += f"X-Amz-Log-Result: {base64.b64encode(answer.log_tail).decode()}\r\n"
        request.respond(200, answer.payload, headers)


def _request_id(value: str) -> str:
    return header_lines({"x-amzn-RequestId": value})


def _refuse(request: Request, refused: _RefusedError) -> None:
    headers = {
        "Content-Type": "application/json",
        "x-amzn-RequestId": new_request_id(),
        "x-amzn-errortype": refused.kind,
    }
    if "retryAfterSeconds" in refused.fields:
        headers["Retry-After"] = refused.fields["retryAfterSeconds"]
    body = json.dumps(refused.fields).encode()
    if refused.kind == "UnknownOperationException":  # as AWS writes it, whatever was asked
        body = b"<UnknownOperationException/>\n"
        headers["Content-Type"] = "application/xml"
    request.respond(_STATUS[refused.kind], body, header_lines(headers))


def _not_found(name: str) -> _RefusedError:
    return _RefusedError("ResourceNotFoundException", f"Function not found: {arn(name)}")


def _invalid(member: str, value: str, constraint: str) -> _RefusedError:
    return _RefusedError(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}",
    )


# --- asynchronous invocations -----------------------------------------------------------------------------------------
# Invocations nobody waits for: retried as AWS does, from memory.
#
# A failed one is run twice more, after 1 and 2 minutes; one that found no room is tried again for up to 6 hours.
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html

RETRY_DELAYS_S = (60.0, 120.0)
_THROTTLED_MAX_S = 300.0
_THROTTLED_TOTAL_S = 6 * 3600.0

Submit = Callable[[Job], None]


@dataclass
class _Event:
    payload: bytes
    client_context: str
    submit: Submit
    failures: int = 0
    throttled_delay_s: float = 1.0
    throttled_total_s: float = 0.0


class Events:
    """Runs events; `submit` finds the function anew at each try, as it may have been replaced."""

    def __init__(self, loop: asyncio.AbstractEventLoop, retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S) -> None:
        self._loop = loop
        self._delays = retry_delays_s

    def add(self, payload: bytes, client_context: str, submit: Submit) -> str:
        """Take an event and return its request id."""
        return self._try(_Event(payload, client_context, submit))

    def _try(self, event: _Event) -> str:
        job = Job(event.payload, lambda answer: self._after(event, answer), client_context=event.client_context)
        event.submit(job)
        return job.request_id

    def _after(self, event: _Event, answer: Answer) -> None:
        if answer.rejected == "throttled" and event.throttled_total_s < _THROTTLED_TOTAL_S:
            delay = event.throttled_delay_s
            event.throttled_delay_s = min(delay * 2, _THROTTLED_MAX_S)
            event.throttled_total_s += delay
        elif answer.failed and event.failures < len(self._delays):
            delay = self._delays[event.failures]
            event.failures += 1
        else:
            return
        self._loop.call_later(delay, self._try, event)
