"""How processes of components are started on this machine. Here: by the interpreter of each component's environment.

`client.containers` has the other way: each in the image that will be deployed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from matinee.backends.aws.session import Session
from matinee.backends.factory import AWS, Backend, open_backend
from matinee.backends.local import launcher
from matinee.backends.local.lambda_service.function import NOBODY, passed_on, worker_command
from matinee.environments.inspect import InspectedComponent
from matinee.environments.prepare import Report
from matinee.manifest import AwsRelease, ComponentManifest, PredictorManifest, Trouble, to_json
from matinee.private_files import open_private
from matinee.project.model import Project
from matinee.settings import HANDLER, AwsSettings, Settings


@dataclass(frozen=True)
class Start:
    """A command line with its whole environment. `contained`: it runs in a container that keeps to its limits."""

    command: list[str]
    environment: dict[str, str] = field(repr=False)  # it may hold secrets
    cwd: str = ""
    contained: bool = False


class Housing(Protocol):
    """Where components live while an app is hosted here."""

    def settle(
        self, project: Project, inspected: Sequence[InspectedComponent], report: Report
    ) -> tuple[InspectedComponent, ...]:
        """Make ready what the components need and return them with the version they then run as."""

    def realtime(
        self, item: InspectedComponent, predictor: PredictorManifest, settings: Settings, secrets: Mapping[str, str]
    ) -> Start:
        """Return how a process of a realtime predictor is started; it speaks the Lambda Runtime API."""

    def worker(
        self, item: InspectedComponent, predictor: PredictorManifest, settings: Settings, secrets: Mapping[str, str]
    ) -> Start:
        """Return how a batch worker is started; `settings` names its slot."""

    def close(self) -> None:
        """End what is left."""


class Processes:
    """Components as processes in their own environments."""

    def settle(
        self,
        project: Project,  # noqa: ARG002 (as `Housing`)
        inspected: Sequence[InspectedComponent],
        report: Report,  # noqa: ARG002
    ) -> tuple[InspectedComponent, ...]:
        """Inspection has made their environments; an image that exists cannot be run so."""
        return tuple(map(_without_containers, inspected))

    def realtime(
        self, item: InspectedComponent, predictor: PredictorManifest, settings: Settings, secrets: Mapping[str, str]
    ) -> Start:
        """Return how a process of a realtime predictor is started."""
        return _start(item, worker_command(_python(item)), predictor, settings, secrets)

    def worker(
        self, item: InspectedComponent, predictor: PredictorManifest, settings: Settings, secrets: Mapping[str, str]
    ) -> Start:
        """Return how a batch worker's process is started."""
        return _start(item, launcher.worker_command(_python(item)), predictor, settings, secrets)

    def close(self) -> None:
        """Its processes are ended by who started them."""


def _without_containers(item: InspectedComponent) -> InspectedComponent:
    """Return the component with trouble if it is an image: processes of this machine cannot run one."""
    if not item.component.image:
        return item
    trouble = Trouble(
        f"{item.component.name} is the image {item.component.image}, which runs in a container only.",
        "Start the app with them: matinee dev --containers.",
    )
    return replace(item, manifest=replace(item.manifest, predictors=(), trouble=trouble))


def _start(
    item: InspectedComponent,
    command: list[str],
    predictor: PredictorManifest,
    settings: Settings,
    secrets: Mapping[str, str],
) -> Start:
    settings = settings._replace(
        component=item.component.name,
        predictor=predictor.name,
        source=item.code.source,
        manifest=write_manifest(settings.data, item.manifest),
    )
    variables = item.environment.variables if item.environment else {}
    handler = {HANDLER: item.component.handler} if item.component.handler else {}
    own = {**predictor.resources.environment, **secrets}
    environment = {**passed_on(), **NOBODY, **variables, **own, **settings.environment(), **handler}
    return Start(command, environment, str(item.code.folder))


def _python(item: InspectedComponent) -> str:
    assert item.environment is not None, "a component without environment has trouble, so it has no predictors"
    return str(item.environment.python)


# --- manifest files for processes -------------------------------------------------------------------------------------
# The manifest of a component as a file, for the processes that run it here.


def write_manifest(data: Path, component: ComponentManifest) -> Path:
    """Write the manifest below the data folder unless it is there, whole or not at all, and return its path."""
    path = data / "manifests" / f"{component.name}-{component.label}.json"
    text = json.dumps(to_json(component))
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        with open_private(partial, "wb") as file:
            file.write(text.encode())
        partial.replace(path)
    return path


# --- an app here, data on a stage -------------------------------------------------------------------------------------
# A stage's table and bucket under an app that runs here: `matinee dev --data STAGE`.
#
# Everything is as without it, but for Store and Files: predictors, workers and the UI run on this machine, and what
# they keep is on AWS.

Json = Any
# What a process needs to be who this one is on AWS.
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE",
)  # fmt: skip


@dataclass(frozen=True)
class StageData:
    """Where the data is. `aws` names table, bucket, region and, on an emulator, its endpoint."""

    aws: AwsSettings

    def settings(self, here: Settings) -> Settings:
        """Return the settings of processes of this machine that keep their data there, and their logs here."""
        return here._replace(store=AWS, files=AWS)

    def open(self, settings: Settings) -> Backend:
        """Open the backend."""
        return open_backend(settings, Session(self.aws))

    def environment(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return the variables that tell a process where the data is, and who it is on AWS."""
        return {**{name: environ[name] for name in _CREDENTIALS if name in environ}, **self.aws.environment()}

    def release(self) -> AwsRelease:
        """Return what a release says of it, for `--stage` to find the files. It names no stack: nothing runs there."""
        return AwsRelease(bucket=self.aws.bucket, region=self.aws.region)

    def housing(self, inner: Housing) -> Housing:
        """Return a housing whose processes get the variables of the data."""
        return _OnStage(inner, self.environment())


@dataclass(frozen=True)
class _OnStage:
    """Implements `Housing` by another one, with variables more."""

    inner: Housing
    variables: Mapping[str, str]

    def settle(
        self, project: Project, inspected: Sequence[InspectedComponent], report: Report
    ) -> tuple[InspectedComponent, ...]:
        return self.inner.settle(project, inspected, report)

    def realtime(
        self, item: InspectedComponent, predictor: PredictorManifest, settings: Settings, secrets: Mapping[str, str]
    ) -> Start:
        return self._add_variables(self.inner.realtime(item, predictor, settings, secrets))

    def worker(
        self, item: InspectedComponent, predictor: PredictorManifest, settings: Settings, secrets: Mapping[str, str]
    ) -> Start:
        return self._add_variables(self.inner.worker(item, predictor, settings, secrets))

    def close(self) -> None:
        self.inner.close()

    def _add_variables(self, start: Start) -> Start:
        rest = {name: value for name, value in start.environment.items() if name not in NOBODY}
        return replace(start, environment={**rest, **self.variables})
