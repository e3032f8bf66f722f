"""What the tool asks of AWS by itself is what `matinee iam-policy` allows: recorded on the emulator, call by call."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from botocore.client import BaseClient
from pretending import Pretend

from matinee.deploy.destroy import destroy
from matinee.deploy.pipeline import deploy, push
from matinee.deploy.plan import DeployOptions, plan
from matinee.deploy.releases import rollback, versions
from matinee.operate.eject import iam_policy

# Where IAM calls an action otherwise than the API its operation.
ACTIONS = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjectsV2": "s3:ListBucket",
    "tagging:GetResources": "tag:GetResources",
}
# An engine pushes by the registry's own protocol; the other two are for apps with a GPU or a secret of Secrets Manager,
# and allowed to those: elsewhere "denied" is as good as "there is none".
ELSEWHERE = {"ecr:PutImage", "batch:DescribeJobDefinitions", "secretsmanager:DeleteSecret"}
NEEDS_NONE = {"sts:GetCallerIdentity"}  # https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html


def test_every_call_of_a_stages_life_is_allowed_by_the_printed_policy(
    app: Callable[..., Path], pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: set[str] = set()
    call = BaseClient._make_api_call

    def noted(self, operation, given):
        made.add(f"{self.meta.service_model.signing_name}:{operation}")
        return call(self, operation, given)

    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    monkeypatch.setattr("matinee.deploy.destroy.LAGS_S", 0.1)
    tools, toml = pretend.tools, '[auth]\nmode = "password"\n'
    folder = app(toml=toml)
    plan(folder, "dev", tools)
    deploy(folder, DeployOptions(), tools)
    deploy(app(word="Hi", plus=2, toml=toml), DeployOptions(only="count"), tools)
    push(folder, "dev", tools)
    deploy(folder, DeployOptions(), tools)
    versions(folder, "dev", tools)
    rollback(folder, "dev", tools, name="hello")
    destroy(folder, "dev", tools, with_data=True)
    asked = {ACTIONS.get(action, action) for action in made - NEEDS_NONE}
    document = iam_policy(folder, "dev").document
    allowed = [a for s in document["Statement"] if s["Effect"] == "Allow" for a in _listed(s["Action"])]
    missing = {action for action in asked if not any(fnmatchcase(action, pattern) for pattern in allowed)}
    print(f"{len(asked)} actions asked for, {len(missing - ELSEWHERE)} of them not allowed")
    assert missing - ELSEWHERE == set()


def _listed(actions: str | list[str]) -> list[str]:
    return [actions] if isinstance(actions, str) else actions
