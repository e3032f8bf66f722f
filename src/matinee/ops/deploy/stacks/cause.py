"""Why an operation on a stack failed: the first thing that went wrong, in plain words, and the likely mend.

CloudFormation cancels what else is going on when something fails, and says so of each: the cause is the earliest
failure that is no cancellation.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from matinee.errors import BackendError
from matinee.ops.deploy.stacks.follow import Followed
from matinee.ops.deploy.stacks.model import StackEvent
from matinee.ops.deploy.stacks.words import called

_CONSEQUENCES = re.compile(r"cancelled|The following resource\(s\) failed|Rollback requested", re.IGNORECASE)
_Rule = tuple[str, str]  # what AWS says (a pattern), what to do

_MENDS: tuple[_Rule, ...] = (
    (
        r"account must be verified",
        (
            "CloudFront does not take new accounts at once: ask AWS Support to verify it, and until then use "
            'edge = "alb" under [aws].'
        ),
    ),
    (
        r"ReservedConcurrentExecutions|UnreservedConcurrentExecution",
        (
            "The account's Lambda concurrency is too low to reserve any: leave out `concurrency`, or raise the quota "
            "L-B99A9384 (Concurrent executions) under Service Quotas."
        ),
    ),
    (
        r"MemorySize.*(3008|less than or equal)|Member must have value less than or equal to 3008",
        "New accounts get 3,008 MB a function: ask for less memory_mb, or ask AWS Support for more.",
    ),
    (
        r"maximum number of VPCs|VpcLimitExceeded",
        (
            "An account has 5 networks a region at first: remove one that is not used, name subnets of your own under "
            "[aws], or raise the quota L-F678F1CE (VPCs per Region)."
        ),
    ),
    (
        r"not authorized to perform:? ?(?P<what>[\w-]+:\w+)|AccessDenied|UnauthorizedOperation|is not authorized",
        "Allow it to who deploys: `matinee iam-policy` prints the smallest policy that is enough.",
    ),
    (
        r"Source image .* does not exist|image.*(not found|does not exist)|ImageNotFound",
        "The image is no longer in the repository: deploy again, which pushes it.",
    ),
    (
        r"image manifest.*not supported|media type",
        "Lambda takes no image index: build with `--provenance=false --sbom=false`, as `matinee build` does.",
    ),
    (
        r"service.linked role|AWSServiceRoleFor|assume.*service linked",
        "A role of AWS's own was made a moment ago and is not known everywhere yet: deploy again.",
    ),
    (
        r"cannot be assumed by|role.*not.*(valid|assum)",
        "AWS does not know the new role everywhere yet: deploy again in a minute.",
    ),
    (
        r"already exists|AlreadyExists|BucketAlreadyOwnedByYou",
        (
            "Something of this name is there already, from an earlier deployment or of somebody else: remove it, or "
            "give the app another name in matinee.toml."
        ),
    ),
    (
        r"bucket you tried to delete is not empty|not empty",
        "`matinee destroy --data` empties it first.",
    ),
    (
        r"has dependencies|DependencyViolation|in use|has a dependent object",
        "Network interfaces of AWS's own hold it and go away by themselves: run the command again later.",
    ),
    (
        r"circuit breaker|did not stabilize|NotStabilized|exceeded max wait|timed? ?out",
        "What was to start did not stay up: `matinee test --containers` runs the same image here.",
    ),
    (
        r"vCPU|quota|limit exceeded|LimitExceeded|Cannot exceed",
        "Raise the quota it names under Service Quotas in this region, then deploy again.",
    ),
    (r"Rate exceeded|Throttl", "AWS was asked too often: deploy again."),
    (
        r"No Fargate configuration exists|Invalid 'cpu'|Invalid 'memory'",
        (
            "Fargate has fixed pairs: cpu 0.25 with 512 to 2,048 MB, 0.5 with up to 4 GB, 1 with 2 to 8 GB, 2 with 4 "
            "to 16 GB, 4 with 8 to 30 GB."
        ),
    ),
)


def first_cause(events: Sequence[StackEvent]) -> StackEvent | None:
    """Return the earliest failure that is not the consequence of another, of a resource rather than of the stack."""
    failed = [e for e in events if e.status.endswith("_FAILED") and not _CONSEQUENCES.search(e.reason)]
    return next((e for e in failed if not e.is_of_stack), failed[0] if failed else None)


def mend_of(reason: str) -> str:
    """Return what most likely helps, "" where nothing is known."""
    return next((mend for pattern, mend in _MENDS if re.search(pattern, reason, re.IGNORECASE)), "")


def failure(followed: Followed, doing: str) -> BackendError:
    """Return why the operation failed as an error. `doing` is what was tried, as in "updated"."""
    stack, cause = followed.state.name, first_cause(followed.events)
    if cause is None:
        return BackendError(
            f"The stack {stack} could not be {doing}: {followed.state.reason or followed.state.status}.",
            hint="Its events in the AWS console may say more.",
        )
    reason = _without_ids(cause.reason) or cause.status
    tasks = [task for task in followed.tasks if task.service == cause.resource]
    said = [f"The stack {stack} could not be {doing}: the {called(cause.type, cause.resource)} failed: {reason}"]
    if tasks:
        said.append(f"Its task stopped: {tasks[0].reason}.")
        if tasks[0].log:
            said.append("It wrote last:\n" + "\n".join(f"    {line}" for line in tasks[0].log[-8:]))
    return BackendError("\n".join(said), hint=mend_of(" ".join([tasks[0].reason if tasks else "", cause.reason])))


def _without_ids(reason: str) -> str:
    """Return AWS's sentence without what only AWS can use."""
    text = re.sub(r"\(?\s*(Request ?ID|RequestToken|HandlerErrorCode|SDK Attempt Count|Service: \w+, Status Code)"
                  r":? ?[^,;)]*[,;)]?", "", reason, flags=re.IGNORECASE)  # fmt: skip
    return re.sub(r"\s{2,}", " ", text).strip(" ,;(") or reason
