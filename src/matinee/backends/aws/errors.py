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
from matinee.lambda_api.sdk import code_of, log_failure
from matinee.names import CONTAINER

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


def as_settled(explanation: MatineeError, error: Exception) -> MatineeError:
    """Return `explanation`, as UnansweredError where what AWS said leaves open whether it was done."""
    if isinstance(explanation, BackendError) and may_have_been_done(error):
        return UnansweredError(explanation.message, hint=explanation.hint)
    return explanation


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
        explanation = explain_error(error, doing, action, resource)
        if explanation is None:
            raise
        log_failure(error, action, resource)
        raise explanation from error


def explain_error(error: Exception, doing: str, action: str, resource: str) -> MatineeError | None:
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
    match = _DENIED.search(text)
    named = match["action"] if match else action
    where = (match["resource"] if match else "") or resource
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


# --- errors of ECS and Batch ------------------------------------------------------------------------------------------
# What ECS and Batch say when a worker does not start or has ended, in plain words.
#
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html

OUT_OF_MEMORY = 137  # 128 + SIGKILL: what the kernel does to a container over its memory
_ASKED = 143  # 128 + SIGTERM
_Rule = tuple[str, str, str]  # what AWS says (a pattern), the sentence, what to do

_REFUSALS: tuple[_Rule, ...] = (
    (
        r"limit on the number of vCPUs|Max spot instance count|vCPU limit",
        "the account's Fargate vCPU quota is used up",
        "Raise it under Service Quotas (AWS Fargate), or wait until other tasks end.",
    ),
    (
        r"Capacity is unavailable|RESOURCE:FARGATE|capacity provider.*unavailable",
        "AWS has no Fargate capacity at the moment",
        "It is tried again; more subnets in other zones help.",
    ),
    (
        r"RESOURCE:(CPU|MEMORY|ENI|GPU|PORTS)|^AGENT|^ATTRIBUTE",
        "the cluster has no room for its CPU, memory or network interface",
        "It is tried again; ask for less, or let the cluster grow.",
    ),
    (
        r"task ?definition.*(is inactive|not found|not exist)|Unable to describe task definition|job definition.*not",
        "its task definition does not exist or is no longer active",
        "Deploy the app again.",
    ),
    (
        r"service.linked role",
        "the account lacks the service-linked role of ECS",
        "Run `aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com`.",
    ),
    (
        r"(subnet|security group).*(not exist|not found|invalid)|InvalidSubnet|InvalidGroup",
        "its subnets or security groups do not exist",
        "Deploy the app again; look at the network it names.",
    ),
    (
        r"No Fargate configuration exists",
        "Fargate has no task of this CPU and memory",
        "Choose a pair that Fargate offers: cpu 0.25 to 16 with 2 to 8 times as many GB.",
    ),
    (r"account.*blocked|BlockedException", "AWS has blocked the account", "Ask AWS Support."),
    (r"ServerException|Server\.|InternalError", "the service itself failed", "It is tried again."),
)

_ENDS: tuple[tuple[str, str], ...] = (
    (
        r"CannotPullContainer.*(platform|architecture)|exec format error",
        "Its image is for another processor architecture: deploy it again for this one",
    ),
    (
        r"CannotPullContainer.*(not found|manifest unknown|no such|does not exist)",
        "Its image does not exist any more: deploy the app again",
    ),
    (
        r"CannotPullContainer.*(denied|403|not authorized|AccessDenied)",
        "Its image may not be pulled: look at ecr:BatchGetImage and ecr:GetDownloadUrlForLayer of its execution role",
    ),
    (
        r"(CannotPullContainer|ResourceInitializationError).*(timeout|timed out|dial tcp|no such host|connect)",
        "AWS's services cannot be reached from its subnet: it needs a public address and an internet gateway",
    ),
    (r"CannotPullContainer.*no space left|disk", "Its image is too large for its disk"),
    (r"CannotPullContainer", "Its image cannot be pulled"),
    (
        r"ResourceInitializationError.*(secret|ssm|parameter)",
        "A secret of it cannot be read: look whether it exists, and at ssm:GetParameters of its execution role",
    ),
    (
        r"ResourceInitializationError.*(log|awslogs)",
        "Its log group cannot be written: look whether it exists, and at logs:CreateLogStream and logs:PutLogEvents",
    ),
    (r"OutOfMemory", "It ran out of memory: give the predictor more memory_mb"),
    (r"Capacity is unavailable", "AWS has no Fargate capacity at the moment"),
    (r"Host EC2.*terminated|instance.*terminated", "Its machine was taken away"),
)


def refused(predictor: str, error: BaseException) -> BackendError | None:
    """Return why AWS starts no worker, None when there is no better word than `explain_error` has."""
    response = getattr(error, "response", None)  # None where there was no answer
    answer = response.get("Error", {}) if isinstance(response, dict) else {}
    return _known(predictor, f"{answer.get('Code', '')} {answer.get('Message', '')}")


def _known(predictor: str, reason: str) -> BackendError | None:
    for pattern, sentence, hint in _REFUSALS:
        if re.search(pattern, reason, re.IGNORECASE):
            return BackendError(f"No worker of {predictor} can start: {sentence}.", hint=f"{hint}{_quoted(reason)}")
    return None


def failed(predictor: str, failure: dict[str, Any]) -> BackendError:
    """Return a failure of RunTask's answer (HTTP 200, no task) as an error."""
    reason, detail = str(failure.get("reason", "")), str(failure.get("detail", ""))
    text = f"{reason} {detail}".strip() or "it did not say why"
    return _known(predictor, text) or BackendError(
        f"No worker of {predictor} can start: ECS says {text}.", hint="It is tried again."
    )


def _quoted(text: str) -> str:
    return f" (AWS: {' '.join(text.split())[:300]})"


def is_spot_loss(task: dict[str, Any]) -> bool:
    """Whether Spot took the task's capacity back, or had none for it."""
    text = f"{task.get('stopCode', '')} {task.get('stoppedReason', '')}"
    of_spot = task.get("capacityProviderName") == "FARGATE_SPOT"
    return bool(re.search("spot", text, re.IGNORECASE) or (of_spot and "Capacity is unavailable" in text))


def ended_by_aws(task: dict[str, Any]) -> bool:
    """Whether a task ended by no fault of the app's: no capacity, its machine taken away, asked to end."""
    reason = f"{task.get('stopCode', '')} {task.get('stoppedReason', '')}"
    codes = {container.get("exitCode") for container in task.get("containers", [])}
    return is_spot_loss(task) or is_passing(reason) or not codes.isdisjoint({0, _ASKED})


def is_passing(reason: str) -> bool:
    """Whether AWS's words say that the next worker may do better."""
    pattern = r"UserInitiated|ServiceScheduler|TerminationNotice|Capacity is unavailable|Host EC2|instance.*terminated"
    return re.search(pattern, reason, re.IGNORECASE) is not None


def why_task_ended(task: dict[str, Any]) -> str:
    """Return why a stopped ECS task ended."""
    if re.search(r"spot", f"{task.get('stopCode', '')} {task.get('stoppedReason', '')}", re.IGNORECASE):
        return "AWS took its Spot capacity back"
    if task.get("stopCode") == "UserInitiated":
        return "It was told to end"
    containers = task.get("containers", [])
    worker = next((c for c in containers if c.get("name") == CONTAINER), containers[0] if containers else {})
    return why_ended(f"{task.get('stoppedReason', '')} {worker.get('reason', '')}", worker.get("exitCode"))


def why_ended(text: str, exit_code: int | None) -> str:
    """Return why a container ended, from what AWS says of it and its exit code."""
    for pattern, sentence in _ENDS:
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            return sentence + ("" if "memory_mb" in sentence else _quoted(text))
    if exit_code == OUT_OF_MEMORY:
        return "It ran out of memory (exit code 137): give the predictor more memory_mb"
    if exit_code == _ASKED:
        return "It was told to end"
    if exit_code is not None:
        return f"It ended with exit code {exit_code}"
    return f"It did not start{_quoted(text)}" if text.strip() else "AWS does not say why it ended"
