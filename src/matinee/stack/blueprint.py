"""What the templates are made from: the app of one stage as a frozen value. Nothing here knows CloudFormation."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from matinee.errors import ProjectError
from matinee.manifest import ComponentManifest, PredictorManifest
from matinee.names import Names
from matinee.project.aws import Aws, UiSize
from matinee.project.model import Project
from matinee.project.sections import Auth, Notices
from matinee.settings import COOKIE_SECRET, OIDC_REDIRECT_URI, PASSWORD, SMTP_PASSWORD

UI = "ui"  # what the UI's own resources are called, and its container
UI_COMPONENT = "matinee-ui"  # the component of the image that UI and dispatcher run from


@dataclass(frozen=True)
class Blueprint:
    """One stage of an app. `optional_secrets`: those of the UI that may be missing and are there."""

    names: Names
    title: str
    components: tuple[ComponentManifest, ...]
    aws: Aws = field(default_factory=Aws)
    auth: Auth = field(default_factory=Auth)
    notices: Notices = field(default_factory=Notices)
    optional_secrets: tuple[str, ...] = ()  # as the owners' password

    @classmethod
    def of(
        cls,
        project: Project,
        stage: str,
        components: Sequence[ComponentManifest],
        optional_secrets: Sequence[str] = (),
    ) -> Blueprint:
        """Return the blueprint of an app's stage. `components` are its manifests, with that stage's overrides."""
        p = project.for_stage(stage)
        return cls(
            Names(p.name, stage), p.title, tuple(components), p.aws, p.auth, p.notices, tuple(sorted(optional_secrets))
        )

    @property
    def predictors(self) -> tuple[PredictorManifest, ...]:
        """All predictors, in the order of their components."""
        return tuple(p for c in self.components for p in c.predictors)

    @property
    def realtime(self) -> tuple[PredictorManifest, ...]:
        """What becomes a function."""
        return tuple(p for p in self.predictors if p.kind == "realtime")

    @property
    def on_fargate(self) -> tuple[PredictorManifest, ...]:
        """What has workers on Fargate: batch predictors, and the rows of realtime ones."""
        return tuple(p for p in self.predictors if not p.resources.gpu)

    @property
    def on_gpu(self) -> tuple[PredictorManifest, ...]:
        """What has workers on AWS Batch."""
        return tuple(p for p in self.predictors if p.resources.gpu)

    @property
    def scheduled(self) -> tuple[PredictorManifest, ...]:
        """What runs by the clock."""
        return tuple(p for p in self.predictors if p.kind == "batch" and p.resources.schedule)

    @property
    def ui_secrets(self) -> tuple[str, ...]:
        """The secrets that the UI is given. Where the provider sends people back to follows from a domain."""
        mode = self.auth.sign_in_mode
        needed = [name for name in mode.variables if not (name == OIDC_REDIRECT_URI and self.aws.domain)]
        cookie = () if mode.is_open else (COOKIE_SECRET,)
        return tuple(dict.fromkeys((*needed, *cookie, *self.dispatcher_secrets, *self.optional_secrets)))

    @property
    def dispatcher_secrets(self) -> tuple[str, ...]:
        """The secrets that the dispatcher is given: it is what sends notices."""
        return (SMTP_PASSWORD,) if self.notices.smtp_user else ()

    def architecture(self, component: str) -> str:
        """Return "arm64" or "x86_64" for a component's image: machines with a GPU are x86."""
        on_gpu = {p.component for p in self.on_gpu}
        return "x86_64" if component in on_gpu else self.aws.architecture

    def kind_of(self, predictor: str) -> str:
        """Return "realtime" or "batch", "" for a predictor the app has not."""
        return next((p.kind for p in self.predictors if p.name == predictor), "")


# --- sizes of Fargate and Lambda --------------------------------------------------------------------------------------
# What sizes Fargate and Lambda have, and what to say to a predictor that asks for another. Pure: no CloudFormation.
#
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html

LAMBDA_MEMORY_MB = 10_240
LAMBDA_TIMEOUT_S = 900
_GB = 1024
FARGATE_MB = {  # vCPU → what memory it comes with
    0.25: (512, 1 * _GB, 2 * _GB),
    0.5: tuple(range(1 * _GB, 4 * _GB + 1, _GB)),
    1.0: tuple(range(2 * _GB, 8 * _GB + 1, _GB)),
    2.0: tuple(range(4 * _GB, 16 * _GB + 1, _GB)),
    4.0: tuple(range(8 * _GB, 30 * _GB + 1, _GB)),
    8.0: tuple(range(16 * _GB, 60 * _GB + 1, 4 * _GB)),
    16.0: tuple(range(32 * _GB, 120 * _GB + 1, 8 * _GB)),
}


@dataclass(frozen=True)
class FargateSize:
    """A size of a task."""

    cpu: float
    memory_mb: int

    @property
    def cpu_units(self) -> int:
        """The vCPU as ECS counts them."""
        return int(self.cpu * 1024)

    def __str__(self) -> str:
        return f"cpu = {self.cpu:g} with memory_mb = {self.memory_mb}"


_SIZES = tuple(FargateSize(cpu, memory) for cpu, memories in FARGATE_MB.items() for memory in memories)


def is_fargate_size(cpu: float, memory_mb: int) -> bool:
    """Whether Fargate has tasks of this size."""
    return memory_mb in FARGATE_MB.get(cpu, ())


def nearest_sizes(cpu: float, memory_mb: int) -> tuple[FargateSize, ...]:
    """Return the sizes to offer instead: the smallest that has both, and the largest that is within both."""
    enough = [size for size in _SIZES if size.cpu >= cpu and size.memory_mb >= memory_mb]
    within = [size for size in _SIZES if size.cpu <= cpu and size.memory_mb <= memory_mb]
    found = [min(enough, key=_order, default=None), max(within, key=_order, default=None)]
    return tuple(size for size in found if size) or (_SIZES[0],)


def _order(size: FargateSize) -> tuple[float, int]:
    return size.cpu, size.memory_mb


def fargate_size(predictor: PredictorManifest) -> FargateSize:
    """Return the size of a predictor's workers; for the rows of a realtime one, the smallest with its memory."""
    resources = predictor.resources
    if predictor.kind == "batch":
        return FargateSize(resources.cpu, resources.memory_mb)
    return nearest_sizes(_SIZES[0].cpu, resources.memory_mb)[0]


def check_size(where: str, cpu: float, memory_mb: int) -> None:
    """Raise ProjectError, with the nearest sizes, for one that Fargate does not have."""
    if not is_fargate_size(cpu, memory_mb):
        offered = " or ".join(map(str, nearest_sizes(cpu, memory_mb)))
        raise ProjectError(
            f"{where} asks for cpu = {cpu:g} with memory_mb = {memory_mb}, and Fargate has no such size.",
            hint=f"Nearest: {offered}.",
        )


def problems(ui: UiSize, predictors: Iterable[PredictorManifest]) -> list[ProjectError]:
    """Return everything that AWS has no place for: the UI's size, and the predictors'."""
    found = []
    checks = (partial(check_size, "[aws.ui]", ui.cpu, ui.memory_mb), *(partial(check_predictor, p) for p in predictors))
    for check in checks:
        try:
            check()
        except ProjectError as error:
            found.append(error)
    return found


def check_predictor(predictor: PredictorManifest) -> None:
    """Raise ProjectError for a predictor that AWS has no place for."""
    resources, name = predictor.resources, predictor.name
    if predictor.kind == "batch":
        if not resources.gpu:
            check_size(f"The predictor {name}", resources.cpu, resources.memory_mb)
        return
    if resources.gpu:
        raise _too_much(name, f"gpu = {resources.gpu}", "none")
    if resources.memory_mb > LAMBDA_MEMORY_MB:
        raise _too_much(name, f"memory_mb = {resources.memory_mb}", f"at most {LAMBDA_MEMORY_MB:,} MB")
    if resources.timeout_s > LAMBDA_TIMEOUT_S:
        raise _too_much(name, f"timeout_s = {resources.timeout_s:g}", f"at most {LAMBDA_TIMEOUT_S} s")


def _too_much(name: str, asked: str, limit: str) -> ProjectError:
    return ProjectError(
        f"The realtime predictor {name} asks for {asked}; AWS Lambda has {limit}.",
        hint="Make it batch: @batch instead of @realtime, and a worker runs it.",
    )


# --- parameters and outputs -------------------------------------------------------------------------------------------
# What each stack is told when it is deployed (`Parameters`), and what it gives back (`Outputs`): names, never exports.
#
# Exports would lock the stacks together: none could change what another imports.

# The network: told which zones to use, gives what the app's stack is told.
APP_FOLDER = "/app"  # where the UI's image has the app's files
ZONES = "Zones"
# VPC origins of CloudFront are not to be had in these zones (as AWS listed them in 2025; not seen on an account):
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-vpc-origins.html
ZONES_WITHOUT_ORIGINS = frozenset({"use1-az3", "usw1-az2", "apne1-az3", "apne2-az1", "cac1-az3"})
VPC = "VpcId"
VPC_CIDR = "VpcCidr"
SUBNETS = "SubnetIds"
# The data: told the bucket's name; gives, with `password_in = "secrets-manager"`, where the password is.
BUCKET = "BucketName"
PASSWORD_SECRET = "PasswordSecretArn"  # noqa: S105 - a parameter's name
PUBLIC_PREFIX = "edge/"  # of the bucket: what CloudFront may read
SLEEPING_KEY = f"{PUBLIC_PREFIX}sleeping.html"
DEPLOY_PREFIX = "deploy/"  # of the bucket: templates and build contexts of deployments, kept for a week
# The app: all of these, one image a component, and with CloudFront the prefix list of its servers.
PREFIX_LIST = "CloudFrontPrefixList"
# The app gives, and the edge is told:
BALANCER = "LoadBalancerArn"
BALANCER_DNS = "LoadBalancerDns"
BUCKET_DOMAIN = "BucketDomainName"
URL = "Url"  # the app gives it with `edge = "alb"`, else the edge


@dataclass(frozen=True)
class StackParameter:
    """A parameter: its CloudFormation type, and what it is."""

    name: str
    type: str
    description: str


def image_parameter(component: str) -> str:
    """Return the parameter of a component's image, as `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:…`."""
    return "UiImage" if component == UI_COMPONENT else f"Image{logical(component)}"


def label_parameter(component: str) -> str:
    """Return the parameter of what people call a component's version, as "v7"."""
    return f"Label{logical(component)}"


def definition_output(predictor: str) -> str:
    """Return the output of the ARN of a predictor's task definition (or job definition), revision included."""
    return f"Definition{logical(predictor)}"


def network_parameters() -> tuple[StackParameter, ...]:
    """Return what the network's stack is told."""
    return (StackParameter(ZONES, "List<AWS::EC2::AvailabilityZone::Name>", "Zones that CloudFront reaches, by name"),)


def data_parameters() -> tuple[StackParameter, ...]:
    """Return what the data's stack is told."""
    return (_BUCKET,)


def app_parameters(b: Blueprint) -> tuple[StackParameter, ...]:
    """Return what the app's stack is told."""
    parameters = [
        StackParameter(VPC, "AWS::EC2::VPC::Id", "The network"),
        StackParameter(VPC_CIDR, "String", "Its addresses: what the UI believes of X-Forwarded-For comes from there"),
        StackParameter(SUBNETS, "List<AWS::EC2::Subnet::Id>", "Its subnets with a route to the internet, two at least"),
        _BUCKET,
        StackParameter(image_parameter(UI_COMPONENT), "String", "The image of UI and dispatcher, by digest"),
    ]
    for component in b.components:
        parameters.append(
            StackParameter(image_parameter(component.name), "String", f"The image of {component.name}, by digest")
        )
        parameters.append(
            StackParameter(
                label_parameter(component.name), "String", f"What its version is called, of {component.name}"
            )
        )
    if b.aws.edge == "cloudfront":
        parameters.append(
            StackParameter(PREFIX_LIST, "String", "The prefix list of CloudFront's servers in this region")
        )
    if is_password_in_secrets_manager(b):
        parameters.append(
            StackParameter(PASSWORD_SECRET, "String", "The secret of Secrets Manager that holds the password")
        )
    return tuple(parameters)


def edge_parameters(b: Blueprint) -> tuple[StackParameter, ...]:
    """Return what the edge's stack is told."""
    parameters = [
        StackParameter(BALANCER, "String", "The internal load balancer"),
        StackParameter(BALANCER_DNS, "String", "Its name in the network"),
    ]
    return (*parameters, _BUCKET) if b.aws.office_hours else tuple(parameters)


def is_password_in_secrets_manager(b: Blueprint) -> bool:
    """Whether the password is in Secrets Manager: it is asked for, and it is to be there."""
    return PASSWORD in b.auth.sign_in_mode.variables and b.aws.password_in == "secrets-manager"  # noqa: S105


_BUCKET = StackParameter(BUCKET, "String", "The bucket of the app's files")


# --- logical ids and names --------------------------------------------------------------------------------------------
# Logical ids and names of resources: stable, so that a change elsewhere never replaces anything.

LONGEST_NAME = 64  # of a role, a function, a schedule


def logical(name: str) -> str:
    """Return a name as a part of logical ids: `plan_days` → "PlanDays"; two names never give the same."""
    if re.fullmatch("[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*", name):
        return "".join(word.capitalize() for word in name.split("_"))
    plain = re.sub("[^A-Za-z0-9]", "", name)
    return f"{plain[:1].upper()}{plain[1:]}X{digest(name)}"  # an X and six digits: no plain name ends so


def shortened(name: str, longest: int = LONGEST_NAME) -> str:
    """Return the name, its end replaced by a digest where AWS would not take the whole."""
    return name if len(name) <= longest else f"{name[: longest - 7]}-{digest(name)}"


def digest(name: str) -> str:
    """Return six digits that tell a name from others."""
    return hashlib.sha256(name.encode()).hexdigest()[:6]


# --- tags and ARNs ----------------------------------------------------------------------------------------------------

KEPT = "RetainExceptOnCreate"  # when its stack goes, but not when a first try fails


RETAINED = "Retain"


NAME_TAG = "matinee:name"  # one tag that says app and stage: a budget can filter by one alone


def tags_of(b: Blueprint) -> dict[str, str]:
    """Return the tags of everything of a stage: the app's own names, and what `[aws.tags]` adds."""
    own = {"matinee:app": b.names.app, "matinee:stage": b.names.stage, NAME_TAG: b.names.base}
    return {**own, **b.aws.tags}


def arn(service: str, resource: str, *, region: str = "${AWS::Region}", account: str = "${AWS::AccountId}") -> str:
    """Return an ARN with what CloudFormation fills in."""
    return f"arn:${{AWS::Partition}}:{service}:{region}:{account}:{resource}"
