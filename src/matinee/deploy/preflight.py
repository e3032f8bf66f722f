"""What a check finds, and what it is told."""

from __future__ import annotations

import difflib
import math
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from matinee.deploy.cloud import Cloud, Note, Report
from matinee.errors import BackendError, MatineeError, UsageError
from matinee.lambda_api.sdk import code_of
from matinee.manifest import PredictorManifest
from matinee.names import RESERVED_STAGES, STAGE, STAGE_RULE, Names, partition_of
from matinee.project.sections import SIGN_IN_MODES
from matinee.settings import COOKIE_SECRET, DISPATCHER
from matinee.stack.blueprint import UI, Blueprint


@dataclass(frozen=True)
class Finding:
    """A sentence and what to do. `stops`: a deployment cannot succeed."""

    message: str
    hint: str = ""
    stops: bool = True


def refuse(findings: Sequence[Finding]) -> None:
    """Raise one error for all findings that stop a deployment."""
    stopping = [finding for finding in findings if finding.stops]
    if not stopping:
        return
    if len(stopping) == 1:
        raise UsageError(stopping[0].message, hint=stopping[0].hint)
    lines = [f"  - {finding.message}{f' {finding.hint}' if finding.hint else ''}" for finding in stopping]
    raise UsageError("\n".join([f"{len(stopping)} things stand in the way:", *lines]))


def of(error: MatineeError, *, stops: bool = True) -> Finding:
    """Return an error as a finding."""
    return Finding(error.message, error.hint, stops)


# --- checks -----------------------------------------------------------------------------------------------------------
# The checks together, in the order in which a person would want to hear of them.


def secrets_or_refuse(cloud: Cloud, wanted_by: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the optional secrets that are there, and those that are missing and can be made.

    Raises UsageError for one that only a person can give.
    """
    if not wanted_by:
        return (), ()
    found = find_secrets(cloud, (*wanted_by, *optional_names()))
    missing = [name for name in found.missing if name not in optional_names()]
    refuse(check_secrets(cloud.names.stage, missing, wanted_by))
    there = tuple(name for name in found.there if name in optional_names())
    return there, makeable(missing)


def before_the_first(cloud: Cloud, blueprint: Blueprint, *, makes_network: bool, report: Report) -> None:
    """Check what a first deployment is stopped by: permissions and quotas. Raises UsageError that names all of it."""
    findings = check_permissions(cloud)
    if makes_network and not cloud.endpoint:
        findings += check_vpcs(cloud)
    _tell([*findings, *_quotas(cloud, blueprint)], report)


def before_a_change(cloud: Cloud, blueprint: Blueprint, report: Report) -> None:
    """Check what a change of the app can be stopped by: the quotas of what it now asks for. Raises UsageError."""
    _tell(_quotas(cloud, blueprint), report)


def _tell(findings: list[Finding], report: Report) -> None:
    refuse(findings)
    for finding in findings:
        report(Note(finding.message, finding.hint))


def _quotas(cloud: Cloud, blueprint: Blueprint) -> list[Finding]:
    if cloud.endpoint:
        return []  # emulators have none
    predictors = blueprint.predictors
    return [
        *check_lambda(cloud, predictors),
        *check_fargate(cloud, predictors, blueprint.aws.ui.cpu),
        *check_gpu(cloud, predictors),
    ]


def make_roles(cloud: Cloud, blueprint: Blueprint, report: Report) -> None:
    """Make the service-linked roles that the app's services want."""
    wanted = [*ROLES_ALWAYS]
    if blueprint.aws.edge == "cloudfront":
        wanted.append(CLOUDFRONT_ROLE)
    if blueprint.on_gpu:
        wanted += GPU_ROLE
    ensure_roles(cloud, tuple(wanted), report)


def warnings_of(blueprint: Blueprint) -> tuple[str, ...]:
    """Return what a person should think of before the app is on the internet."""
    found = []
    if blueprint.auth.sign_in_mode.is_open:
        found.append('Anybody who has the address can use the app: [auth] mode = "password" asks them first.')
    if blueprint.aws.edge == "alb" and not blueprint.aws.certificate:
        found.append("Its address is plain http: what people type can be read on the way.")
    return tuple(found)


# --- names ------------------------------------------------------------------------------------------------------------
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


# --- permissions ------------------------------------------------------------------------------------------------------
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


def check_permissions(cloud: Cloud) -> list[Finding]:
    """Return the actions that are denied. Who may not simulate is told so, and finds out on the way."""
    principal = principal_of(cloud.caller)
    if not principal:
        return []
    denied: list[str] = []
    for pattern, actions in _NEEDED.items():
        place = pattern.format(r=cloud.region, a=cloud.account, n=cloud.names.base, b=cloud.bucket)
        resource = f"arn:{partition_of(cloud.region)}:{place}"
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


# --- quotas -----------------------------------------------------------------------------------------------------------
# Quotas that fresh accounts are caught by: Lambda's concurrency, Fargate's and the GPUs' vCPUs, networks.
#
# Quota codes: https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html

LAMBDA = "L-B99A9384"  # Concurrent executions
FARGATE = "L-3032A538"  # Fargate On-Demand vCPU resource count
GPU_FAMILIES = "L-DB2E81BA"  # Running On-Demand G and VT instances, in vCPUs
VPCS = "L-F678F1CE"  # VPCs per Region
UNRESERVED = 10  # concurrent executions that Lambda keeps for functions without a reservation
VCPUS_OF_A_GPU = 4  # the smallest machine with one has as many
_DEFAULT_VPCS = 5
_UNKNOWN_QUOTA = frozenset(
    {"AccessDenied", "AccessDeniedException", "NoSuchResourceException", "UnrecognizedClientException", "404"}
)


def check_lambda(cloud: Cloud, predictors: Iterable[PredictorManifest]) -> list[Finding]:
    """Return what Lambda's concurrency does not allow: new accounts have 10, and 10 cannot be reserved."""
    reserved = {p.name: p.resources.concurrency for p in predictors if p.kind == "realtime" and p.resources.concurrency}
    answer = cloud.call("lambda", "get_account_settings", absent=_UNKNOWN_QUOTA)
    if answer is None:
        return []
    limit = int(answer["AccountLimit"]["ConcurrentExecutions"])
    wanted = sum(reserved.values())
    if wanted and wanted > limit - UNRESERVED:
        names = ", ".join(f"{name} {count}" for name, count in reserved.items())
        return [
            Finding(
                f"Lambda lets this account run {limit} functions at once and keeps {UNRESERVED} of them unreserved, "
                f"but `concurrency` asks for {wanted} ({names}).",
                f"Leave `concurrency` out, or raise the quota {LAMBDA} (Concurrent executions) under Service Quotas.",
            )
        ]
    if limit <= UNRESERVED:
        text = f"Lambda lets this account run {limit} functions at once: more people than that will wait."
        return [Finding(text, f"Raise the quota {LAMBDA} (Concurrent executions) under Service Quotas.", stops=False)]
    return []


def check_fargate(cloud: Cloud, predictors: Iterable[PredictorManifest], ui_cpu: float) -> list[Finding]:
    """Return what Fargate's quota does not allow: the UI twice while it is replaced, and the largest worker."""
    batch = [p.resources for p in predictors if p.kind == "batch" and not p.resources.gpu]
    wanted = 2 * ui_cpu + max((r.cpu for r in batch), default=0.0)
    limit = _quota(cloud, "fargate", FARGATE)
    if limit is None:
        return []
    if wanted > limit:
        return [
            Finding(
                f"Fargate gives this account {limit:g} vCPU at once, and the app needs {wanted:g}.",
                f"Raise the quota {FARGATE} (Fargate On-Demand vCPU resource count) under Service Quotas.",
            )
        ]
    most = 2 * ui_cpu + sum(r.cpu * r.max_workers for r in batch)
    if most > limit:
        text = (
            f"All workers at once would take {most:g} vCPU, and Fargate gives this account {limit:g}: some will wait."
        )
        return [Finding(text, f"Raise the quota {FARGATE} under Service Quotas.", stops=False)]
    return []


def check_gpu(cloud: Cloud, predictors: Iterable[PredictorManifest]) -> list[Finding]:
    """Return what the quota of machines with a GPU does not allow: it usually starts at 0."""
    wanted = {p.name: p.resources.gpu for p in predictors if p.resources.gpu}
    if not wanted:
        return []
    limit = _quota(cloud, "ec2", GPU_FAMILIES)
    needed = VCPUS_OF_A_GPU * max(wanted.values())
    if limit is None or limit >= needed:
        return []
    return [
        Finding(
            f"{', '.join(wanted)} asks for a GPU: a machine with one has {needed} vCPU at least, and this account "
            f"may run {math.floor(limit)} of that kind.",
            f"Raise the quota {GPU_FAMILIES} (Running On-Demand G and VT instances) under Service Quotas: it takes "
            "days.",
        )
    ]


def check_vpcs(cloud: Cloud) -> list[Finding]:
    """Return whether there is room for one network more: five a region at first."""
    answer = cloud.call("ec2", "describe_vpcs", absent=("UnauthorizedOperation",))
    limit = _quota(cloud, "vpc", VPCS) or _DEFAULT_VPCS
    if answer is None or len(answer["Vpcs"]) < limit:
        return []
    return [
        Finding(
            f"This region has {len(answer['Vpcs'])} networks (VPCs) of {limit:g}, and Matinee's would be one more.",
            f"Remove one, name `vpc` and `subnets` of your own under [aws], or raise the quota {VPCS}.",
        )
    ]


def _quota(cloud: Cloud, service: str, code: str) -> float | None:
    """Return a quota's value, None when it cannot be read."""
    answer = cloud.call(
        "service-quotas", "get_service_quota", absent=_UNKNOWN_QUOTA, ServiceCode=service, QuotaCode=code
    )
    return None if answer is None else float(answer["Quota"]["Value"])


# --- roles ------------------------------------------------------------------------------------------------------------
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


# --- secrets ----------------------------------------------------------------------------------------------------------
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


def check_secrets(stage: str, missing: Sequence[str], wanted_by: Mapping[str, str]) -> list[Finding]:
    """Return those that only a person can give; `wanted_by` says who needs each."""
    return [
        Finding(
            f"The secret {name} of {wanted_by.get(name, 'the app')} is not set on the stage {stage}.",
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
