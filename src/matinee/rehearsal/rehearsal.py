"""A rehearsal while it goes on: the world with an app deployed to it, and what can be done with it.

This is what a story is given: `def story(stage): …`.
"""

from __future__ import annotations

import copy
import http.client
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matinee.client.connect import open_stage
from matinee.client.core import Client
from matinee.deploy import pipeline
from matinee.deploy.cloud import ImageSource, Report, Tools, silent
from matinee.deploy.destroy import Destroyed, destroy
from matinee.deploy.plan import Deployed, DeployOptions
from matinee.deploy.releases import RolledBack, rollback
from matinee.environments.inspect import inspect
from matinee.errors import BackendError
from matinee.manifest import Release
from matinee.names import Names
from matinee.project.load import load
from matinee.project.model import Project
from matinee.rehearsal.credentials import Clients, Credentials
from matinee.rehearsal.images import FolderImages, FolderSource
from matinee.rehearsal.world import REGION, World, read_card
from matinee.settings import AWS_ENDPOINT, AwsSettings
from matinee.stack.blueprint import UI, URL
from matinee.stack.deployer_policy import Scope, policy

POLL_S = 0.2  # between looks of the deploy: nothing here takes longer
USABLE_S = 60.0
BACKSTOP = "rate(1 minute)"  # the schedule that looks at all pools
_OTHERS = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL")


@dataclass
class Rehearsal:
    """One stage of an app in a world. `url` is what people open."""

    world: World
    path: Path
    stage: str
    source: ImageSource
    folder: Path  # of its own data
    deployer: Credentials
    report: Report = silent
    _clients: dict[str, Client] = field(default_factory=dict, repr=False)

    @property
    def url(self) -> str:
        """The app's address."""
        return self.world.entry.url

    @property
    def has_failed(self) -> bool:
        """Whether the rehearsal itself has failed: nothing is played any more."""
        return self.world.hall.error.has_happened

    @property
    def project(self) -> Project:
        """The app as its folder has it, with the stage's settings."""
        return load(self.path).for_stage(self.stage)

    @property
    def names(self) -> Names:
        """What everything of the stage is called."""
        return Names(self.project.name, self.stage)

    @property
    def tools(self) -> Tools:
        """What the deploy works with: the emulator's endpoint, images from here, templates as it takes them."""
        return tools_of(self.source, self.url, AwsSettings(region=self.world.region, endpoint=self.world.endpoint))

    def deploy(self, only: str = "", *, path: Path | None = None, may_wait: bool = True) -> Deployed:
        """Deploy the app, or a component of it alone, as `matinee deploy` does; `path`: another copy of the app."""
        options = DeployOptions(self.stage, only=only, may_wait=may_wait)
        return pipeline.deploy(path or self.path, options, self.tools, self.report)

    def rollback(self, name: str = "") -> RolledBack:
        """Make what was live before live again, as `matinee rollback` does."""
        return rollback(self.path, self.stage, self.tools, name=name, report=self.report)

    def environment(self) -> dict[str, str]:
        """Return the variables with which another process works on this stage as who deploys."""
        return variables_of(self.world, self.deployer)

    def destroy(self) -> Destroyed:
        """Destroy the stage and its data, as `matinee destroy --data` does; BackendError when anything is left."""
        destroyed = destroy(self.path, self.stage, self.tools, with_data=True, report=self.report)
        if destroyed.left:
            raise BackendError(f"After destroy there is still {', '.join(destroyed.left)}.")
        return destroyed

    def connect(self, user: str = "rehearsal") -> Client:
        """Return this person's client, as a laptop has with `matinee.connect(stage=…)`; it ends with the rehearsal."""
        if user not in self._clients:
            self._clients[user] = open_stage(self.project, self.stage, region=self.world.region, user=user)
        return self._clients[user]

    @property
    def release(self) -> Release:
        """What is live now."""
        release = self.connect().backend.store.release()
        assert release is not None, "it is deployed"
        return release

    def backstop(self) -> None:
        """Do now what the clock does every minute: call the dispatcher, as the schedule's own role."""
        for schedule in self.world.events.schedules():
            if schedule.expression == BACKSTOP:
                self.world.events.fire(schedule, time.time())

    def scale_ui(self, count: int) -> None:
        """Have so many tasks of the UI, and wait until all are healthy."""
        cluster = self.names.base
        self.world.clients("ecs").update_service(cluster=cluster, service=UI, desiredCount=count)
        self._await(lambda: self._is_steady(count), f"{count} tasks of the UI")

    def await_usable(self) -> None:
        """Return when the entry answers as healthy."""
        self._await(self._answers, "an answer of the UI")

    def _is_steady(self, count: int) -> bool:
        service = self.world.services.get(UI)
        return service is not None and service.desired == count and service.is_steady

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.world.entry.port, timeout=5)
        try:
            connection.request("GET", "/_stcore/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + USABLE_S
        while not condition():
            self.world.hall.error.raise_it()
            if time.monotonic() > deadline:
                service = self.world.services.get(UI)
                why = f": {service.reason}" if service and service.reason else ""
                raise BackendError(f"{what} did not come within {USABLE_S:.0f} s{why}.")
            time.sleep(0.1)


def tools_of(source: ImageSource, url: str, settings: AwsSettings) -> Tools:
    """Return the tools of a deployment to an emulated AWS; `url` is where people reach the app there."""
    return Tools(source, adapt=lambda _, template: adapt(template, url), settings=settings, poll_s=POLL_S)


def find_tools(settings: AwsSettings) -> Tools | None:
    """Return the tools for the rehearsal that another process plays at this endpoint; None when there is none."""
    card = read_card(settings.endpoint) if settings.endpoint else None
    if card is None:
        return None
    clients = Clients(settings.endpoint, settings.region or REGION, card["account"])
    return tools_of(FolderSource(FolderImages(Path(card["images"]), clients)), card["url"], settings)


def make_deployer(world: World, path: Path, stage: str) -> Credentials:
    """Make the user who deploys and destroys: with the policy that `matinee iam-policy` prints, and nothing else."""
    found = inspect(path)
    project = found.project.for_stage(stage)
    gpu = any(p.resources.gpu for item in found.components for p in item.manifest.predictors)
    scope = Scope(Names(project.name, stage), project.aws, region=world.region, account=world.account, gpu=gpu)
    return world.roles.add_user("rehearsal-deployer", policy(scope))


def variables_of(world: World, who: Credentials) -> dict[str, str]:
    """Return the variables with which a process works in the emulated account."""
    return {AWS_ENDPOINT: world.endpoint, "AWS_REGION": world.region, **who.environment()}


@contextmanager
def working_as(world: World, who: Credentials) -> Iterator[None]:
    """Have this process work in the emulated account: never with anybody's real credentials."""
    variables = variables_of(world, who)
    before = {name: os.environ.get(name) for name in (*variables, *_OTHERS)}
    for name in _OTHERS:
        os.environ.pop(name, None)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


# --- adapting templates -----------------------------------------------------------------------------------------------
# What of a template the emulator does not take, taken out of it: types, and conditions that only AWS itself meets.
#
# Everything else is deployed as it stands. What is taken out is checked as template only (`tests/stack`).

Json = Any
SOURCE_ACCOUNT = "aws:SourceAccount"  # said by a service that assumes a role; here the administrator plays the service
SECURE_TRANSPORT = "aws:SecureTransport"  # here the wire is loopback
# Types of ours that MiniStack's CloudFormation rejects (1.5.33). A test holds that it is these and no others.
NOT_ON_MINISTACK = frozenset(
    {
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::Batch::ComputeEnvironment",
        "AWS::Batch::JobDefinition",
        "AWS::Batch::JobQueue",
        "AWS::Budgets::Budget",
        "AWS::CloudFront::VpcOrigin",
    }
)


def adapt(template: Mapping[str, Json], url: str = "") -> Mapping[str, Json]:
    """Return the template as the emulator takes it; `url` is the app's address in place of what it would compute."""
    adapted = without_types(copy.deepcopy(dict(template)))
    if url and any(resource["Type"] == "AWS::ECS::Service" for resource in adapted.get("Resources", {}).values()):
        adapted["Outputs"] = {**adapted.get("Outputs", {}), URL: {"Value": url}}
    for resource in adapted.get("Resources", {}).values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Role":
            _forget(properties["AssumeRolePolicyDocument"], SOURCE_ACCOUNT)
        elif resource["Type"] == "AWS::S3::BucketPolicy":
            document = properties["PolicyDocument"]
            document["Statement"] = [s for s in document["Statement"] if SECURE_TRANSPORT not in str(s)]
    policies = [n for n, r in adapted["Resources"].items() if r["Type"] == "AWS::S3::BucketPolicy"]
    for name in policies:
        if not adapted["Resources"][name]["Properties"]["PolicyDocument"]["Statement"]:
            del adapted["Resources"][name]
    return adapted


def _forget(document: Json, key: str) -> None:
    """Take the conditions on one key out of a policy."""
    for statement in document["Statement"]:
        left = {op: {k: v for k, v in keys.items() if k != key} for op, keys in statement.get("Condition", {}).items()}
        left = {operator: keys for operator, keys in left.items() if keys}
        statement.pop("Condition", None)
        if left:
            statement["Condition"] = left


def without_types(template: dict[str, Json], types: Collection[str] = NOT_ON_MINISTACK) -> dict[str, Json]:
    """Return the template without resources of these types, and without what cannot be said any more without them."""
    removed = {title for title, resource in template["Resources"].items() if resource["Type"] in types}
    while more := {
        title
        for title, resource in template["Resources"].items()
        if title not in removed and removed & set(_named({k: v for k, v in resource.items() if k != "DependsOn"}))
    }:
        removed |= more
    resources = {
        title: _free(resource, removed) for title, resource in template["Resources"].items() if title not in removed
    }
    outputs = {n: output for n, output in template.get("Outputs", {}).items() if not removed & set(_named(output))}
    return {**template, "Resources": resources, **({"Outputs": outputs} if outputs else {})}


def _named(value: Json) -> Iterator[str]:
    """Yield what a value refers to."""
    if isinstance(value, dict):
        if isinstance(value.get("Ref"), str):
            yield value["Ref"]
        if isinstance(value.get("Fn::GetAtt"), list):
            yield value["Fn::GetAtt"][0]
        for inner in value.values():
            yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)


def _free(resource: dict[str, Json], removed: Collection[str]) -> dict[str, Json]:
    waits = resource.get("DependsOn")
    if waits is None:
        return resource
    left = [title for title in ([waits] if isinstance(waits, str) else waits) if title not in removed]
    return {**{k: v for k, v in resource.items() if k != "DependsOn"}, **({"DependsOn": left} if left else {})}
