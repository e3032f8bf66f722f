"""What boto3 raises, as an error for people, and whether it passes by itself.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matinee.errors import BackendError, LimitError, MatineeError, NotFoundError, UsageError

_PASSING = {
    "EC2ThrottledException",
    "ENINotReadyException",
    "ResourceConflictException",  # Pending: being updated
    "ResourceNotReadyException",  # Inactive: long idle, this call wakes it
    "SnapStartNotReadyException",
    "TooManyRequestsException",
}


@dataclass(frozen=True)
class Refusal:
    """Why a call was not taken. `passes`: it was not run, and may be taken when asked again."""

    error: MatineeError
    passes: bool
    cause: Exception


def refusal_of(error: Exception, function: str, *, at: str) -> Refusal:
    """Return what boto3's exception means. What is no exception of boto3's passes through."""
    from botocore import exceptions

    if isinstance(error, MatineeError):
        return Refusal(error, passes=False, cause=error)
    if isinstance(error, exceptions.ClientError):
        return _answered(error, function)
    if isinstance(error, (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError)):
        told = BackendError(f"{at} cannot be reached.", hint=_reach_hint(at))
        return Refusal(told, passes=not at.startswith("http"), cause=error)  # here it is up, or it is not
    if isinstance(error, exceptions.ReadTimeoutError):
        told = BackendError(f"{function} did not answer.", hint="Look at its logs; then try again.")
        return Refusal(told, passes=False, cause=error)
    if isinstance(error, exceptions.HTTPClientError):
        told = BackendError(f"The connection to {at} broke while {function} ran.", hint="Try again.")
        return Refusal(told, passes=False, cause=error)
    if isinstance(error, exceptions.BotoCoreError):
        told = BackendError(f"{function} cannot be called: {error}", hint="Check the AWS configuration.")
        return Refusal(told, passes=False, cause=error)
    raise error


def _answered(error: Any, function: str) -> Refusal:
    code = error.response["Error"].get("Code", "")
    status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
    text = error.response["Error"].get("Message", "")
    return Refusal(_told(code, text, function), passes=code in _PASSING or status >= 500, cause=error)


def _told(code: str, text: str, function: str) -> MatineeError:
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
    if code in ("AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"):
        hint = "Its role or your credentials lack lambda:InvokeFunction."
        return BackendError(f"Calling {function} is not allowed: {text}", hint=hint)
    return BackendError(f"{function} cannot be called: {text or code} ({code}).", hint="Try again; look at its logs.")


def _reach_hint(at: str) -> str:
    if at.startswith("http"):
        return "Is `matinee dev` running?"
    return "Check the network, and the route to AWS from this subnet."
