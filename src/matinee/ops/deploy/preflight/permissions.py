"""Whether who deploys may: IAM is asked to simulate what a deployment does to its own resources, service by service.

What is allowed only with a tag in the request (networks, load balancers) cannot be simulated without guessing.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import re

from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.preflight.model import Finding

# An ARN behind "arn:aws:" → the actions on it; {r} is the region, {a} the account, {n} the stack, {b} the bucket.
_NEEDED = {
    "cloudformation:{r}:{a}:stack/{n}/*": (
        "cloudformation:CreateChangeSet",
        "cloudformation:ExecuteChangeSet",
        "cloudformation:DescribeStackEvents",
    ),
    "ecr:{r}:{a}:repository/{n}": ("ecr:CreateRepository", "ecr:PutImage", "ecr:InitiateLayerUpload"),
    "iam::{a}:role/{n}-ui": ("iam:CreateRole", "iam:PutRolePolicy"),
    "lambda:{r}:{a}:function:{n}-x": (
        "lambda:CreateFunction",
        "lambda:UpdateFunctionCode",
        "lambda:PublishVersion",
        "lambda:UpdateAlias",
    ),
    "ecs:{r}:{a}:cluster/{n}": ("ecs:CreateCluster",),
    "dynamodb:{r}:{a}:table/{n}": ("dynamodb:CreateTable", "dynamodb:PutItem"),
    "s3:::{b}": ("s3:CreateBucket",),
    "s3:::{b}/*": ("s3:PutObject",),
}
_SHOWN = 4  # actions by name
_UNKNOWN = frozenset({"AccessDenied", "AccessDeniedException", "NoSuchEntity", "InvalidInput", "ValidationError"})


def check_permissions(cloud: Cloud) -> list[Finding]:
    """Return the actions that are denied. Who may not simulate is told so, and finds out on the way."""
    principal = principal_of(cloud.caller)
    if not principal:
        return []
    denied: list[str] = []
    for pattern, actions in _NEEDED.items():
        resource = "arn:aws:" + pattern.format(r=cloud.region, a=cloud.account, n=cloud.names.base, b=cloud.bucket)
        answer = cloud.call(
            "iam",
            "simulate_principal_policy",
            absent=_UNKNOWN,
            PolicySourceArn=principal,
            ActionNames=list(actions),
            ResourceArns=[resource],
        )
        if answer is None:
            text = "Whether you may deploy could not be checked: iam:SimulatePrincipalPolicy is not allowed."
            return [Finding(text, "What is missing will be named when AWS refuses it.", stops=False)]
        denied += [r["EvalActionName"] for r in answer["EvaluationResults"] if r["EvalDecision"] != "allowed"]
    if not denied:
        return []
    who, more = principal.rpartition("/")[2], denied[_SHOWN:]
    are = f"and {len(more)} more are" if more else "is" if len(denied) == 1 else "are"
    return [
        Finding(
            f"{who} may not deploy: {', '.join(denied[:_SHOWN])} {are} not allowed.",
            "`matinee iam-policy` prints the smallest policy that is enough.",
        )
    ]


def principal_of(arn: str) -> str:
    """Return the user or role behind a caller's ARN, "" for the root user, who may do everything."""
    assumed = re.fullmatch(r"(arn:[\w-]+):sts::(\d+):assumed-role/([^/]+)/.+", arn)
    if assumed:
        return f"{assumed[1]}:iam::{assumed[2]}:role/{assumed[3]}"
    return arn if re.search(r":(user|role)/", arn) else ""
