"""The one place where an error of AWS becomes an error for people, and one structured line in the log.

The hint names what is missing: the permission (action and resource), the credentials, the network or the quota.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from matinee.errors import BackendError, LimitError, MatineeError, UnansweredError
from matinee.lambda_api.failures import code_of as code_of
from matinee.lambda_api.failures import log_failure as log_failure

_DENIED = re.compile(
    r"not authorized to perform: (?P<action>[\w-]+:\w+)(?: on (?:the )?resource:? \"?(?P<resource>[^\s\"]+))?"
)
_FORBIDDEN = {"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "Forbidden", "403", "UnauthorizedOperation"}
_CREDENTIALS = {
    "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId",
    "InvalidSignatureException", "InvalidToken", "MissingAuthenticationToken", "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}  # fmt: skip
_THROTTLED = {
    "ProvisionedThroughputExceededException", "RequestLimitExceeded", "SlowDown", "Throttling", "ThrottlingException",
    "TooManyRequestsException", "ThrottledException", "RequestThrottled",
}  # fmt: skip
_QUOTA = {"LimitExceededException", "ServiceQuotaExceededException", "TooManyBuckets"}
_BROKEN = {"InternalError", "InternalFailure", "InternalServerError", "ServerException", "ServiceUnavailable"}
_MISSING = {"ResourceNotFoundException", "NoSuchBucket", "ClusterNotFoundException"}
_TOO_LARGE = {"EntityTooLarge", "ItemCollectionSizeLimitExceededException", "RequestEntityTooLarge"}
_SKEWED = {"RequestTimeTooSkewed", "RequestExpired"}


def is_throttle(error: BaseException) -> bool:
    """Whether AWS refused because of too many requests: nothing was done, later it will be."""
    return code_of(error) in _THROTTLED


def may_have_been_done(error: Exception) -> bool:
    """Whether AWS may have done what it did not confirm: no answer, or a fault of its own.

    The SDK tries again by itself, so a throttle or a refused connection may have followed a try that was heard.
    """
    from botocore import exceptions as e

    if not isinstance(error, e.ClientError):
        return isinstance(error, (e.HTTPClientError, e.ConnectionError, e.IncompleteReadError))
    meta = error.response.get("ResponseMetadata", {})
    if is_throttle(error):
        return bool(meta.get("RetryAttempts", 0))
    return code_of(error) in _BROKEN or meta.get("HTTPStatusCode", 0) >= 500


def as_settled(told: MatineeError, error: Exception) -> MatineeError:
    """Return `told`, as UnansweredError where what AWS said leaves open whether it was done."""
    if isinstance(told, BackendError) and may_have_been_done(error):
        return UnansweredError(told.message, hint=told.hint)
    return told


@contextmanager
def explained(doing: str, action: str, resource: str) -> Iterator[None]:
    """Turn what boto3 raises inside into a MatineeError, and log it.

    `doing` begins the sentence ("The table app-dev"), `action` is IAM's ("dynamodb:PutItem"), `resource` what it is on.
    """
    try:
        yield
    except MatineeError:
        raise
    except Exception as error:
        told = told_of(error, doing, action, resource)
        if told is None:
            raise
        log_failure(error, action, resource)
        raise told from error


def told_of(error: Exception, doing: str, action: str, resource: str) -> MatineeError | None:
    """Return boto3's exception as an error for people; None for an exception that is not boto3's."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        return as_settled(_answered(error, doing, action, resource), error)
    if isinstance(error, exceptions.BotoCoreError):
        return as_settled(_unanswered(error, doing), error)
    return None


def _answered(error: Any, doing: str, action: str, resource: str) -> MatineeError:
    code, text = code_of(error), str(error.response["Error"].get("Message", ""))
    if code in _FORBIDDEN:
        return _denied(text, doing, action, resource)
    if code in _CREDENTIALS:
        return BackendError(f"{doing} cannot be used: AWS does not accept the credentials ({code}).", hint=_LOGIN)
    if code in _MISSING:
        return BackendError(f"{doing} does not exist.", hint=f"Deploy the app, or check its name and region: {text}")
    if code in _THROTTLED:
        hint = "Wait a moment. If it lasts, the account's quota is too low: see Service Quotas."
        return BackendError(f"{doing} is asked too often at the moment ({code}).", hint=hint)
    if code in _QUOTA:
        return BackendError(f"{doing} is at a quota of the account: {text}", hint="Raise it under Service Quotas.")
    if code in _SKEWED:
        return BackendError(f"{doing} refuses the request's time.", hint="Set this machine's clock.")
    if code in _TOO_LARGE or "Item size" in text or "size has exceeded" in text:
        return LimitError(f"{doing} does not take a value this large: {text}", hint="Keep large values in files.")
    if may_have_been_done(error):
        return BackendError(f"{doing} failed at {action}: {text or code} ({code}).", hint="Try again.")
    return BackendError(f"{doing} refused {action}: {text or code} ({code}).", hint="This is a fault: tell us.")


def _denied(text: str, doing: str, action: str, resource: str) -> BackendError:
    said = _DENIED.search(text)
    named = said["action"] if said else action
    where = (said["resource"] if said else "") or resource
    return BackendError(f"{doing} may not be used: {named} is not allowed.", hint=f"Allow {named} on {where}.")


_REGION = "Set AWS_REGION, or `region` under [aws] in matinee.toml."
_LOGIN = "Sign in (`aws sso login`), or set AWS_PROFILE; `aws sts get-caller-identity` shows who you are."


def _unanswered(error: Exception, doing: str) -> MatineeError:
    from botocore import exceptions as e

    if isinstance(error, (e.NoCredentialsError, e.PartialCredentialsError, e.CredentialRetrievalError)):
        return BackendError(f"{doing} cannot be used: there are no AWS credentials.", hint=_LOGIN)
    if isinstance(error, (e.TokenRetrievalError, e.SSOError, e.ProfileNotFound, e.UnauthorizedSSOTokenError)):
        return BackendError(f"{doing} cannot be used: {error}", hint=_LOGIN)
    if isinstance(error, e.NoRegionError):
        return BackendError(f"{doing} cannot be used: no region is set.", hint=_REGION)
    if isinstance(error, (e.EndpointConnectionError, e.ConnectTimeoutError, e.ProxyConnectionError, e.SSLError)):
        hint = "Check the region's name and the network: DNS, proxy, and the route to AWS from this subnet."
        return BackendError(f"{doing} cannot be reached: {error}", hint=hint)
    if isinstance(error, (e.HTTPClientError, e.IncompleteReadError, e.ResponseStreamingError)):
        hint = "Try again. If it lasts, check the network."
        return BackendError(f"The connection to {doing[0].lower()}{doing[1:]} broke: {error}", hint=hint)
    return BackendError(f"{doing} cannot be used: {error}", hint="Check the AWS configuration.")
