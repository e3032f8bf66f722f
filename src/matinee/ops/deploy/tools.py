"""What a deployment is made with. A rehearsal brings tools of its own; everything else is the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from matinee.environments.inspect import InspectedComponent
from matinee.lambda_api.invoker import LambdaInvoker
from matinee.manifest import ComponentManifest
from matinee.ops.deploy.cloud import POLL_S, Cloud
from matinee.ops.deploy.events import Report
from matinee.ports import Invoker
from matinee.project import Project
from matinee.settings import AwsSettings

Json = Any
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

    def push(self, wanted: Sequence[WantedImage], cloud: Cloud, report: Report) -> Mapping[str, str]:
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
