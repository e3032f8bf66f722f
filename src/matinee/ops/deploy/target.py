"""What a deployment aims at: versions with their labels, images with their digests, and the stacks that follow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from matinee.manifest import AwsRelease, ComponentManifest, Release
from matinee.ops.cost import Usage
from matinee.ops.cost.report import bill_of
from matinee.ops.deploy import history, registry, specs
from matinee.ops.deploy.app import App
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.ground import Ground
from matinee.ops.deploy.stacks.model import StackSpec, StackState
from matinee.ops.deploy.summary import Version
from matinee.ops.deploy.tools import WantedImage
from matinee.project.details import details
from matinee.stack import Blueprint
from matinee.stack import parameters as p

Json = Any
UNBUILT = "sha256:" + "0" * 64  # the digest of an image that a plan does not build
APP_FOLDER = "/app"  # where the UI's image has the app's files


@dataclass(frozen=True)
class Target:
    """`blueprint` has labelled components. `missing` are images that are not in the repository yet."""

    app: App
    blueprint: Blueprint
    missing: tuple[WantedImage, ...]
    versions: tuple[Version, ...]

    @property
    def components(self) -> tuple[ComponentManifest, ...]:
        """The components with what their versions are called."""
        return self.blueprint.components


def aim(app: App, ground: Ground, optional_secrets: tuple[str, ...] = ()) -> Target:
    """Return the target, seen from where the stage is."""
    blueprint = app.blueprint(optional_secrets)
    components = history.labelled(ground.live.written, blueprint.components)
    missing = tuple(image for image in app.images if image.tag not in ground.images)
    return Target(app, replace(blueprint, components=components), missing, _versions(ground, components, missing))


def _versions(
    ground: Ground, components: tuple[ComponentManifest, ...], missing: tuple[WantedImage, ...]
) -> tuple[Version, ...]:
    live = {c.name: c.label for c in ground.live.release.components} if ground.live.release else {}
    to_build = {image.component for image in missing}
    new = [Version(c.name, live.get(c.name, ""), c.label, c.name in to_build) for c in components]
    gone = [Version(name, label, "") for name, label in live.items() if name not in {c.name for c in components}]
    return (*new, *gone)


def digests(target: Target, ground: Ground, pushed: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of all images by component: those just pushed, and those that were there."""
    known = {
        image.component: ground.images[image.tag].digest for image in target.app.images if image not in target.missing
    }
    return {**{image.component: UNBUILT for image in target.missing}, **known, **pushed}


def references(cloud: Cloud, digests: Mapping[str, str]) -> dict[str, str]:
    """Return images by component as templates name them."""
    return {component: registry.reference(cloud, digest) for component, digest in digests.items()}


def facts(cloud: Cloud, target: Target, network: StackState | None, data: StackState | None) -> dict[str, str] | None:
    """Return what the app's stack is told of the others; None while one that tells it is not there."""
    blueprint = target.blueprint
    if data is None or (network is None and not blueprint.aws.vpc):
        return None
    found = specs.network_facts(cloud, blueprint, network)
    if p.is_password_in_secrets_manager(blueprint):
        if p.PASSWORD_SECRET not in data.outputs:
            return None
        found[p.PASSWORD_SECRET] = data.outputs[p.PASSWORD_SECRET]
    return found


def monthly_usd(blueprint: Blueprint) -> float:
    """Return what the stage costs a month with a few people's use; `matinee cost` says for what."""
    return round(bill_of(blueprint, Usage()).total_usd, 2)


def content(target: Target, spec: StackSpec, stack_id: str) -> str:
    """Return the hash of all that a release is made of: the same content need not go live twice.

    A stack that was made anew has another id, and nothing in it is live yet.
    """
    parts = {
        "stack": stack_id,
        "template": spec.mark,
        "parameters": dict(spec.parameters),
        "components": [component.hash for component in target.components],
        "details": details(target.app.project, APP_FOLDER),
        "title": target.app.project.title,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def release_of(
    cloud: Cloud,
    target: Target,
    ground: Ground,
    *,
    digests: Mapping[str, str],
    functions: Mapping[str, str],
    definitions: Mapping[str, str],
    mark: str,
    stack_id: str,
    url: str,
) -> Release:
    """Return the release that is to go live."""
    components = tuple(replace(c, image=digests[c.name]) for c in target.components)
    aws = AwsRelease(
        stage=cloud.names.stage,
        region=cloud.region,
        account=cloud.account,
        bucket=cloud.bucket,
        functions=dict(functions),
        definitions=dict(definitions),
        images=references(cloud, digests),
        url=url,
        content=mark,
        stack=stack_id,
        monthly_usd=monthly_usd(target.blueprint),
    )
    return Release(
        app=cloud.names.app,
        title=target.app.project.title,
        number=ground.live.number + 1,
        created_at=history.now(),
        components=components,
        details=details(target.app.project, APP_FOLDER),
    ).with_aws(aws)
