"""What is checked before a deployment: names, permissions, secrets; and the roles that AWS's services want."""

from __future__ import annotations

import difflib
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from matinee.deploy.account import check_own_network, check_quotas, check_vpcs
from matinee.deploy.cloud import Cloud, Finding, Note, Report, refuse
from matinee.errors import BackendError
from matinee.lambda_api.sdk import code_of
from matinee.manifest import PredictorManifest
from matinee.names import RESERVED_STAGES, STAGE, STAGE_RULE, Names
from matinee.project.sections import SIGN_IN_MODES
from matinee.settings import COOKIE_SECRET, DISPATCHER
from matinee.stack.blueprint import UI, Blueprint

# --- all checks in order ----------------------------------------------------------------------------------------------


def secrets_or_refuse(cloud: Cloud, users: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the optional secrets that are there, and those that are missing and can be made.

    Raises UsageError for one that only a person can give.
    """
    if not users:
        return (), ()
    found = find_secrets(cloud, (*users, *optional_names()))
    missing = [name for name in found.missing if name not in optional_names()]
    refuse(check_secrets(cloud.names.stage, missing, users))
    there = tuple(name for name in found.there if name in optional_names())
    return there, makeable(missing)


def before_the_first(cloud: Cloud, blueprint: Blueprint, *, makes_network: bool, report: Report) -> None:
    """Check what a first deployment is stopped by: permissions, quotas, a network of one's own.

    Raises UsageError that names all of it.
    """
    findings = check_permissions(cloud, blueprint.aws.permissions_boundary)
    if makes_network and not cloud.endpoint:
        findings += check_vpcs(cloud)
    if not cloud.endpoint:
        findings += check_own_network(cloud, blueprint.aws)
    _refuse_or_report([*findings, *check_quotas(cloud, blueprint)], report)


def before_a_change(cloud: Cloud, blueprint: Blueprint, report: Report, live: Iterable[PredictorManifest] = ()) -> None:
    """Check what a change of the app can be stopped by: the quotas of what it now asks for. Raises UsageError.

    `live` are the predictors that run now: what they have reserved is free for what comes in their place.
    """
    _refuse_or_report(check_quotas(cloud, blueprint, live), report)


def _refuse_or_report(findings: list[Finding], report: Report) -> None:
    refuse(findings)
    for finding in findings:
        report(Note(finding.message, finding.hint))


def make_roles(cloud: Cloud, blueprint: Blueprint, report: Report) -> None:
    """Make the service-linked roles that the app's services want."""
    services = [*ROLES_ALWAYS]
    if blueprint.aws.edge == "cloudfront":
        services.append(CLOUDFRONT_ROLE)
    if blueprint.on_gpu:
        services += GPU_ROLE
    ensure_roles(cloud, tuple(services), report)


def warnings_of(blueprint: Blueprint) -> tuple[str, ...]:
    """Return what a person should think of before the app is on the internet."""
    found = []
    if blueprint.auth.sign_in_mode.is_open:
        found.append('Anybody who has the address can use the app: [auth] mode = "password" asks them first.')
    if blueprint.aws.edge == "alb" and not blueprint.aws.certificate:
        found.append("Its address is plain http: what people type can be read on the way.")
    return tuple(found)


# --- names that AWS takes ---------------------------------------------------------------------------------------------
# Names that AWS takes. All of them follow from the app's, the stage's and the predictors'.
#
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html (3 to 63 characters)
# https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html (64 characters)
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-using-console-create-stack-parameters.html (128)

BUCKET_CHARACTERS = 63
FUNCTION_CHARACTERS = 64
_HASH = "-0123456789"  # what a bucket's name has beside the stage's
_RESERVED = ("network",)  # `matinee-network` is a stack of its own


def check_names(names: Names, predictors: Iterable[str]) -> list[Finding]:
    """Return what AWS would not take of the names."""
    found: list[Finding] = []
    predictors = tuple(predictors)
    if UI in predictors:
        found.append(Finding(f"A predictor cannot be called {UI!r} on AWS: the UI itself is.", "Rename the function."))
    if not STAGE.fullmatch(names.stage):
        found.append(Finding(f"{names.stage!r} cannot be a stage.", STAGE_RULE))
    if names.stage in RESERVED_STAGES:
        found.append(Finding(f"A stage cannot be called {names.stage!r}.", "It would be mistaken for a part of one."))
    if names.app.endswith("-") or "--" in names.app:
        found.append(Finding(f"{names.app!r} cannot be an app's name on AWS.", "Leave out doubled and last hyphens."))
    if names.app in _RESERVED:
        found.append(Finding(f"An app cannot be called {names.app!r}: Matinee's own network is.", "Rename the app."))
    if len(names.base + _HASH) > BUCKET_CHARACTERS:
        found.append(_too_long("bucket", names.base + _HASH, BUCKET_CHARACTERS))
    functions = ((name, names.resource(name)) for name in (*predictors, DISPATCHER))
    long = (_too_long(f"function of {n}", f, FUNCTION_CHARACTERS) for n, f in functions if len(f) > FUNCTION_CHARACTERS)
    return [*found, *long]


def _too_long(what: str, name: str, limit: int) -> Finding:
    hint = f"Shorten the app's or the stage's name{'' if what == 'bucket' else ', or the predictor'}."
    return Finding(f"The {what} would be called {name}: {len(name)} characters, and AWS takes {limit}.", hint)


def check_region(region: str, known: Iterable[str]) -> list[Finding]:
    """Return what is wrong with the region; `known` are those in which ECS can be used."""
    regions = list(known)
    if not regions or region in regions:
        return []
    near = difflib.get_close_matches(region, regions, n=1)
    hint = f"Did you mean {near[0]}?" if near else "Set `region` under [aws], or AWS_REGION."
    return [Finding(f"AWS has no region {region!r}.", hint)]


# --- permissions of the caller ----------------------------------------------------------------------------------------
# Whether who deploys may: IAM is asked to simulate what a deployment does to its own resources, service by service.
#
# What is allowed only with a tag in the request (networks, load balancers) cannot be simulated without guessing.
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html

# An ARN behind "arn:PARTITION:" → the actions on it; {r} is the region, {a} the account, {n} the stack, {b} the bucket.
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


def check_permissions(cloud: Cloud, boundary: str = "") -> list[Finding]:
    """Return the actions that are denied. What the simulation cannot tell is no reason to stop: it is said.

    `boundary` is the policy that bounds every role, where the app has one: a policy that asks for it is told of it.
    """
    principal = find_principal(cloud)
    if not principal:
        return []
    denied: list[str] = []
    unclear: list[str] = []
    partition = cloud.caller.split(":")[1]
    for pattern, actions in _NEEDED.items():
        resource = f"arn:{partition}:" + pattern.format(
            r=cloud.region, a=cloud.account, n=cloud.names.base, b=cloud.bucket
        )
        answer = cloud.call(
            "iam",
            "simulate_principal_policy",
            absent=_UNKNOWN,
            PolicySourceArn=principal,
            ActionNames=list(actions),
            ResourceArns=[resource],
            ContextEntries=_context_entries(boundary),
        )
        if answer is None:
            text = "Whether you may deploy could not be checked: iam:SimulatePrincipalPolicy is not allowed."
            return [Finding(text, "What is missing will be named when AWS refuses it.", stops=False)]
        for result in answer["EvaluationResults"]:
            if result["EvalDecision"] != "allowed":
                (unclear if result.get("MissingContextValues") else denied).append(result["EvalActionName"])
    who = principal.rpartition("/")[2]
    if denied:
        return [
            Finding(
                f"{who} may not deploy: {_list_actions(denied)} not allowed.",
                "`matinee iam-policy` prints the smallest policy that is enough.",
            )
        ]
    if unclear:
        text = f"Whether {who} may deploy could not be checked whole: {_list_actions(unclear)} allowed on conditions."
        return [Finding(text, "What is missing will be named when AWS refuses it.", stops=False)]
    return []


def _context_entries(boundary: str) -> list[dict[str, object]]:
    if not boundary:
        return []
    key = "iam:PermissionsBoundary"
    return [{"ContextKeyName": key, "ContextKeyValues": [boundary], "ContextKeyType": "string"}]


def _list_actions(actions: Sequence[str]) -> str:
    more = len(actions) - _SHOWN
    are = f"and {more} more are" if more > 0 else "is" if len(actions) == 1 else "are"
    return f"{', '.join(actions[:_SHOWN])} {are}"


_SSO_ROLES = "/aws-reserved/sso.amazonaws.com/"  # with a region below, which a session's ARN does not say


def find_principal(cloud: Cloud) -> str:
    """Return the ARN of the user or role that deploys, "" for the root user, who may do everything.

    A session's ARN lacks its role's path: a role of IAM Identity Center (SSO) is looked up by its name.
    """
    session = re.fullmatch(r"(arn:[\w-]+):sts::(\d+):assumed-role/([^/]+)/.+", cloud.caller)
    if not session:
        return cloud.caller if re.search(r":(user|role)/", cloud.caller) else ""
    partition, account, name = session.groups()
    if name.startswith("AWSReservedSSO_"):
        try:
            roles = list(cloud.pages("iam", "list_roles", "Roles", PathPrefix=_SSO_ROLES))
        except BackendError:
            roles = []
        found = next((str(role["Arn"]) for role in roles if role["RoleName"] == name), "")
    else:
        answer = cloud.call("iam", "get_role", absent=_UNKNOWN, on=name, RoleName=name)
        found = str(answer["Role"]["Arn"]) if answer else ""
    return found or f"{partition}:iam::{account}:role/{name}"


# --- service-linked roles ---------------------------------------------------------------------------------------------
# Service-linked roles: fresh accounts lack them, and CloudFormation fails on the first service that wants one.
#
# They are made by API before the stack, never in it: one in a template would collide with the one that is there.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html

ROLES_ALWAYS = ("ecs.amazonaws.com", "elasticloadbalancing.amazonaws.com", "ecs.application-autoscaling.amazonaws.com")
CLOUDFRONT_ROLE = "vpcorigin.cloudfront.amazonaws.com"
GPU_ROLE = ("batch.amazonaws.com", "ecs-compute.amazonaws.com")
_THERE = ("InvalidInput", "EntityAlreadyExists")  # "Service role name … has been taken in this account"
_DENIED = ("AccessDenied", "AccessDeniedException")


def ensure_roles(cloud: Cloud, services: tuple[str, ...], report: Report) -> None:
    """Make the service-linked roles that are missing; who may not is told which, in case one is."""
    for service in services:
        try:
            made = cloud.call("iam", "create_service_linked_role", absent=_THERE, AWSServiceName=service)
        except BackendError as error:
            if code_of(error.__cause__ or error) not in _DENIED:
                raise
            command = f"aws iam create-service-linked-role --aws-service-name {service}"
            report(Note(f"The service-linked role of {service} could not be made: that is not allowed.",
                        f"If the deployment fails for it, have an administrator run `{command}`."))  # fmt: skip
            continue
        if made is not None:
            report(Note(f"Made the service-linked role of {service}, which this account did not have."))


# --- secrets of the stage ---------------------------------------------------------------------------------------------
# The secrets of a stage: those that Matinee can make by itself are made, the others must have been set.
#
# CloudFormation cannot make a SecureString, so they are there before the stack that names them.

_AT_ONCE = 10  # names that one GetParameters takes


@dataclass(frozen=True)
class Secrets:
    """Which of the asked ones are there, and which are not."""

    there: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def find_secrets(cloud: Cloud, names: Sequence[str]) -> Secrets:
    """Return which secrets are set; their values are not read."""
    by_parameter = {cloud.names.parameter(name): name for name in names}
    parameters = list(by_parameter)
    there: list[str] = []
    for start in range(0, len(parameters), _AT_ONCE):
        part = parameters[start : start + _AT_ONCE]
        answer = cloud.call("ssm", "get_parameters", Names=part, WithDecryption=False)
        there += [by_parameter[found["Name"]] for found in answer["Parameters"]]
    return Secrets(tuple(there), tuple(name for name in names if name not in there))


def optional_names() -> tuple[str, ...]:
    """Return the secrets of sign-in that may be missing."""
    return tuple(name for mode in SIGN_IN_MODES.values() for name in mode.optional_variables)


def makeable(missing: Sequence[str]) -> tuple[str, ...]:
    """Return the missing secrets that Matinee makes by itself."""
    generated = {COOKIE_SECRET, *(name for mode in SIGN_IN_MODES.values() for name in mode.generated)}
    return tuple(name for name in missing if name in generated)


def check_secrets(stage: str, missing: Sequence[str], users: Mapping[str, str]) -> list[Finding]:
    """Return those that only a person can give; `wanted_by` says who needs each."""
    return [
        Finding(
            f"The secret {name} of {users.get(name, 'the app')} is not set on the stage {stage}.",
            f"matinee secret set {name} --stage {stage}",
        )
        for name in missing
        if name not in makeable(missing)
    ]


@dataclass(frozen=True)
class Made:
    """Secrets that were made. `password` is shown once, to who deploys."""

    names: tuple[str, ...] = ()
    password: str = field(default="", repr=False)


def make_secrets(cloud: Cloud, names: Sequence[str]) -> Made:
    """Make these secrets with random values; one that somebody set meanwhile stays as it is."""
    password = ""
    for name in names:
        value = secrets.token_hex(32) if name == COOKIE_SECRET else secrets.token_urlsafe(12)
        put = cloud.call(
            "ssm",
            "put_parameter",
            absent=("ParameterAlreadyExists",),
            Name=cloud.names.parameter(name),
            Value=value,
            Type="SecureString",
            Tags=[
                {"Key": "matinee:app", "Value": cloud.names.app},
                {"Key": "matinee:stage", "Value": cloud.names.stage},
            ],
        )
        if put is not None and name != COOKIE_SECRET:
            password = value
    return Made(tuple(names), password)
