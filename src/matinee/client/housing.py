"""How processes of components are started on this machine. Here: by the interpreter of each component's environment.

`client.containers` has the other way: each in the image that will be deployed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from matinee.backends.local import launcher
from matinee.backends.local.lambda_service.function import NOBODY, passed_on, worker_command
from matinee.client.hosted_manifests import write_manifest
from matinee.environments import Report
from matinee.environments.inspect import InspectedComponent
from matinee.manifest import PredictorManifest, Trouble
from matinee.project import Project
from matinee.settings import Settings


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
        """See `Housing`."""
        command = worker_command(_python(item), item.component.handler)
        return _start(item, command, settings._replace(predictor=predictor.name), secrets)

    def worker(
        self, item: InspectedComponent, predictor: PredictorManifest, settings: Settings, secrets: Mapping[str, str]
    ) -> Start:
        """See `Housing`."""
        told = settings._replace(predictor=predictor.name)
        return _start(item, launcher.worker_command(_python(item)), told, secrets)

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


def _start(item: InspectedComponent, command: list[str], settings: Settings, secrets: Mapping[str, str]) -> Start:
    told = settings._replace(
        component=item.component.name,
        source=item.code.source,
        manifest=write_manifest(settings.data, item.manifest),
    )
    variables = item.environment.variables if item.environment else {}
    environment = {**passed_on(), **NOBODY, **variables, **secrets, **told.environment()}
    return Start(command, environment, str(item.code.folder))


def _python(item: InspectedComponent) -> str:
    assert item.environment is not None, "a component without environment has trouble, so it has no predictors"
    return str(item.environment.python)
