"""One stage of an app in one account and region: its names, and one way to call AWS whose errors are sentences."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from matinee.backends.aws.errors import explained
from matinee.backends.aws.session import Session
from matinee.environments.inspect import InspectedComponent
from matinee.errors import MatineeError, UsageError
from matinee.lambda_api.invoker import LambdaInvoker
from matinee.lambda_api.sdk import code_of
from matinee.manifest import ComponentManifest
from matinee.names import Names
from matinee.ports import Invoker
from matinee.project.model import Project
from matinee.settings import AwsSettings

Json = Any
POLL_S = 2.0  # between two looks at what AWS does
_CALLED = {
    "cloudformation": "CloudFormation",
    "ecr": "The image registry (ECR)",
    "ecs": "ECS",
    "elbv2": "The load balancer's service",
    "iam": "IAM",
    "lambda": "Lambda",
    "logs": "CloudWatch Logs",
    "s3": "S3",
    "sts": "AWS (sts)",
}


@dataclass(frozen=True)
class Cloud:
    """Where a stage lives. `session` knows its table and bucket; `wait` and `clock` are time's, for tests to replace.

    `caller` is the ARN of who calls.
    """

    names: Names
    session: Session
    account: str
    region: str
    caller: str = ""
    poll_s: float = POLL_S
    wait: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    @property
    def bucket(self) -> str:
        """The stage's bucket."""
        return self.session.settings.bucket

    @property
    def endpoint(self) -> str:
        """An emulator's address, "" for AWS."""
        return self.session.settings.endpoint

    def call(
        self, service: str, operation: str, /, *, absent: Container[str] = (), on: str = "", **arguments: Json
    ) -> Json:
        """Call AWS and return its answer, None where it answers one of the codes in `absent`.

        Raises BackendError that names the missing permission, the network or the quota.
        """
        action = f"{service}:{''.join(word.capitalize() for word in operation.split('_'))}"
        with explained(_CALLED.get(service, f"AWS ({service})"), action, on or self.names.base):
            try:
                return getattr(self.session.client(service), operation)(**arguments)
            except Exception as error:
                if code_of(error) in absent:
                    return None
                raise

    def pages(self, service: str, operation: str, key: str, /, **arguments: Json) -> Iterator[Json]:
        """Yield the items under `key` of all pages."""
        action = f"{service}:{''.join(word.capitalize() for word in operation.split('_'))}"
        with explained(_CALLED.get(service, f"AWS ({service})"), action, self.names.base):
            for page in self.session.client(service).get_paginator(operation).paginate(**arguments):
                yield from page.get(key, [])

    def pause(self) -> None:
        """Wait until the next look."""
        self.wait(self.poll_s)


def open_cloud(names: Names, settings: AwsSettings, *, poll_s: float = POLL_S) -> Cloud:
    """Return the cloud of a stage; one call asks who we are. Table and bucket follow from the names.

    Raises BackendError when there are no credentials, no region, or none that AWS takes.
    """
    session = Session(settings)
    with explained("AWS", "sts:GetCallerIdentity", "*"):
        client = session.client("sts")
        who = client.get_caller_identity()
    region, account = str(client.meta.region_name), str(who["Account"])
    ours = settings._replace(table=names.base, bucket=names.bucket(account, region), region=region)
    return Cloud(names, Session(ours), account, region, str(who["Arn"]), poll_s=poll_s)


# --- tools of a deployment --------------------------------------------------------------------------------------------
# What a deployment is made with. A rehearsal brings tools of its own; everything else is the same.

UI_COMPONENT = "matinee-ui"  # the image that UI and dispatcher run from


@dataclass(frozen=True)
class WantedImage:
    """An image as it is to be in the registry. `tag` follows from its content; so does `manifest.hash`, the version."""

    component: str
    tag: str
    manifest: ComponentManifest


class ImageSource(Protocol):
    """Where images come from."""

    def plan(
        self, project: Project, inspected: Sequence[InspectedComponent], architecture_of: Callable[[str], str]
    ) -> tuple[WantedImage, ...]:
        """Return the image of every component, and of the UI, without building any.

        `architecture_of(component)` is "arm64" or "x86_64". Raises ComponentError for what cannot become an image.
        """

    def push(self, images: Sequence[WantedImage], cloud: Cloud, report: Report) -> Mapping[str, str]:
        """Build and upload these, in parallel; return their digests ("sha256:…") by component."""


def invoker_at(cloud: Cloud, qualifier: str) -> Invoker:
    """Return what calls the stage's functions at a version or an alias."""
    return LambdaInvoker(cloud.endpoint, cloud.region, cloud.names.prefix, qualifier=qualifier, signed=True)


def as_it_is(_stack: str, template: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the template unchanged."""
    return template


@dataclass(frozen=True)
class Tools:
    """`adapt` gets each stack's name and template and returns what CloudFormation gets."""

    images: ImageSource
    invoker_at: Callable[[Cloud, str], Invoker] = invoker_at
    adapt: Callable[[str, Mapping[str, Json]], Mapping[str, Json]] = as_it_is
    settings: AwsSettings = field(default_factory=AwsSettings.from_environment)
    poll_s: float = POLL_S


# --- events of a deployment -------------------------------------------------------------------------------------------
# What a deployment tells while it goes on: frozen values, for a person's terminal or a machine's log.


@dataclass(frozen=True)
class Step:
    """A part of the work begins."""

    text: str


@dataclass(frozen=True)
class ResourceMoved:
    """CloudFormation did something to a resource. `elapsed_s` counts from the start of its stack's operation."""

    stack: str
    resource: str  # for people: "function recommend"
    status: str  # CloudFormation's own, as in CREATE_COMPLETE
    elapsed_s: float
    reason: str = ""


@dataclass(frozen=True)
class ImageMoved:
    """Something about a component's image: built, already there, pushed."""

    component: str
    text: str


@dataclass(frozen=True)
class TaskFailed:
    """A task of a service stopped while its stack was being changed."""

    resource: str
    reason: str
    log: tuple[str, ...] = ()  # its last lines


@dataclass(frozen=True)
class Tried:
    """A predictor's new version was called with its first example. `problem` is "" when it passed."""

    predictor: str
    version: str
    duration_s: float
    problem: str = ""


@dataclass(frozen=True)
class Note:
    """Something a person should know; nothing has stopped."""

    text: str
    hint: str = ""


Event = Step | ResourceMoved | ImageMoved | TaskFailed | Tried | Note
Report = Callable[[Event], None]


def silent(_: Event) -> None:
    """Report to nobody."""


# --- findings of checks -----------------------------------------------------------------------------------------------
# What a check finds before a deployment: what stops it, and what a person should know.


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


def finding_of(error: MatineeError, *, stops: bool = True) -> Finding:
    """Return an error as a finding."""
    return Finding(error.message, error.hint, stops)
