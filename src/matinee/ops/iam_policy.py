"""`matinee iam-policy`: what the person who deploys must be allowed, and no more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matinee.environments import Report
from matinee.errors import UsageError
from matinee.names import Names, check_stage
from matinee.ops.inspect import inspect
from matinee.stack.deployer import LONGEST_POLICY, Scope, length, policy

Json = Any


@dataclass(frozen=True)
class DeployerPolicy:
    """The policy, and what is to be known of it."""

    document: dict[str, Json]
    characters: int
    is_bounded: bool  # whether every role it can make has a permissions boundary

    @property
    def fits(self) -> bool:
        """Whether IAM takes it as one managed policy."""
        return self.characters <= LONGEST_POLICY


def iam_policy(
    path: Path, stage: str, *, account: str = "", remote_builds: bool = False, report: Report | None = None
) -> DeployerPolicy:
    """Return the policy for one stage of the app at `path`; `account` "" is any. Nothing is asked of AWS.

    Raises UsageError for what can be no stage or no account.
    """
    check_stage(stage)
    if account and not re.fullmatch("[0-9]{12}", account):
        raise UsageError(f"{account!r} is no AWS account.", hint="It has 12 digits: aws sts get-caller-identity")
    found = inspect(path, report)
    project = found.project.for_stage(stage)
    gpu = any(p.resources.gpu for item in found.components for p in item.manifest.predictors)
    scope = Scope(
        Names(project.name, stage),
        project.aws,
        region=project.aws.region or "*",
        account=account or "*",
        gpu=gpu,
        remote_builds=remote_builds,
    )
    document = policy(scope)
    return DeployerPolicy(document, length(document), bool(project.aws.permissions_boundary))
