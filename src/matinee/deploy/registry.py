"""The stage's image repository: which images it has, by tag; signing in; and removing what no release needs.

A tag is a content hash and never moves (the repository is immutable), so what is there need not be pushed again.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from matinee.deploy.cloud import UI_COMPONENT, Cloud, ImageMoved, Report, WantedImage
from matinee.environments.inspect import InspectedComponent
from matinee.errors import BackendError
from matinee.images.build import BuiltImage, build_images
from matinee.images.engine import Engine
from matinee.images.plan import ImagePlan, plan_images
from matinee.images.ui_image import plan_ui
from matinee.project.model import Project

AT_ONCE = 100  # images that one BatchDeleteImage takes
_ABSENT = frozenset({"RepositoryNotFoundException"})


@dataclass(frozen=True)
class KeptImage:
    """An image of the repository. `pushed_at` is in epoch seconds."""

    tag: str
    digest: str
    pushed_at: float
    size_bytes: int = 0


@dataclass(frozen=True)
class SignIn:
    """How an engine signs in at the registry, for twelve hours."""

    registry: str
    username: str
    password: str


def images(cloud: Cloud) -> dict[str, KeptImage]:
    """Return the images by tag, {} when there is no repository yet; one call for a thousand."""
    found: dict[str, KeptImage] = {}
    token: dict[str, str] = {}
    while True:
        page = cloud.call(
            "ecr", "describe_images", absent=_ABSENT, repositoryName=cloud.names.base, maxResults=1000, **token
        )
        for image in (page or {}).get("imageDetails", []):
            at = image["imagePushedAt"].timestamp()
            for tag in image.get("imageTags", []):
                found[tag] = KeptImage(tag, image["imageDigest"], at, image.get("imageSizeInBytes", 0))
        if not (page or {}).get("nextToken"):
            return found
        token = {"nextToken": page["nextToken"]}


def repository_uri(cloud: Cloud) -> str:
    """Return the repository's address as AWS's services pull from it."""
    suffix = "amazonaws.com.cn" if cloud.region.startswith("cn-") else "amazonaws.com"
    return f"{cloud.account}.dkr.ecr.{cloud.region}.{suffix}/{cloud.names.base}"


def push_address(cloud: Cloud) -> str:
    """Return the repository's address as an engine pushes to it: an emulator is its own registry."""
    return f"{urlsplit(cloud.endpoint).netloc}/{cloud.names.base}" if cloud.endpoint else repository_uri(cloud)


def reference(cloud: Cloud, digest: str) -> str:
    """Return an image by its content, as templates and releases name it."""
    return f"{repository_uri(cloud)}@{digest}"


def sign_in(cloud: Cloud) -> SignIn:
    """Return how to sign in."""
    answer = cloud.call("ecr", "get_authorization_token")["authorizationData"][0]
    username, _, password = base64.b64decode(answer["authorizationToken"]).decode().partition(":")
    address = push_address(cloud).partition("/")[0]
    return SignIn(address, username, password)


def remove_unneeded(
    cloud: Cloud, images_by_tag: Mapping[str, KeptImage], needed: Collection[str], before: float
) -> int:
    """Delete images whose digest is not needed and that were pushed before that time; return how many."""
    digests = {
        image.digest for image in images_by_tag.values() if image.digest not in needed and image.pushed_at < before
    }
    ids = [{"imageDigest": digest} for digest in sorted(digests)]
    for start in range(0, len(ids), AT_ONCE):
        cloud.call("ecr", "batch_delete_image", repositoryName=cloud.names.base, imageIds=ids[start : start + AT_ONCE])
    return len(ids)


# --- images from the local engine -------------------------------------------------------------------------------------
# Images from the engine of this machine: planned by content, built and pushed in parallel.

PLATFORMS = {"arm64": "linux/arm64", "x86_64": "linux/amd64"}
PUSHES_AT_ONCE = 3


class EngineImages:
    """Implements `cloud.ImageSource`. The engine is looked for when it is needed."""

    def __init__(self) -> None:
        self._plans: dict[str, ImagePlan] = {}
        self._engine: Engine | None = None

    def plan(
        self, project: Project, inspected: Sequence[InspectedComponent], architecture_of: Callable[[str], str]
    ) -> tuple[WantedImage, ...]:
        """Return the images without building any. An engine pins bases by digest, so it is asked here already."""
        planned = plans_of(project, inspected, architecture_of, self._engine_here())
        self._plans = {plan.name: plan for plan in planned}
        return tuple(WantedImage(plan.name, plan.tag, plan.manifest) for plan in planned)

    def push(self, images: Sequence[WantedImage], cloud: Cloud, report: Report) -> Mapping[str, str]:
        """Build and upload these, in parallel; return their digests by component."""
        engine = self._engine_here()
        plans = [self._plans[image.component] for image in images]
        built = build_images(engine, plans, lambda component, line: report(ImageMoved(component, line)))
        signed_in = sign_in(cloud)
        engine.login(signed_in.registry, signed_in.username, signed_in.password)
        address = push_address(cloud)
        with ThreadPoolExecutor(max_workers=PUSHES_AT_ONCE) as pool:
            digests = list(pool.map(lambda image: _push_image(engine, image, address, report), built))
        return {image.name: digest for image, digest in zip(built, digests, strict=True)}

    def _engine_here(self) -> Engine:
        if self._engine is None:
            try:
                self._engine = Engine.detect()
            except BackendError as error:
                mend = error.hint if error.hint.endswith(".") or not error.hint else f"{error.hint}."
                hint = f"{mend} Or build on AWS: matinee deploy --build remote".strip()
                raise BackendError(error.message, hint=hint) from error
        return self._engine


def plans_of(
    project: Project,
    inspected: Sequence[InspectedComponent],
    architecture_of: Callable[[str], str],
    engine: Engine | None,
) -> tuple[ImagePlan, ...]:
    """Return the plans of all components, each for its own architecture, and of the UI, in that order."""
    found: dict[str, ImagePlan] = {}
    for architecture, platform in PLATFORMS.items():
        chosen = [item for item in inspected if architecture_of(item.component.name) == architecture]
        if chosen:
            found |= {plan.name: plan for plan in plan_images(project, chosen, platform=platform, engine=engine)}
    ui = plan_ui(project, platform=PLATFORMS[architecture_of(UI_COMPONENT)], engine=engine)
    return (*(found[item.component.name] for item in inspected), ui)


def _push_image(engine: Engine, image: BuiltImage, address: str, report: Report) -> str:
    report(ImageMoved(image.name, f"Pushing {image.size_bytes / 1e6:.0f} MB"))
    digest = engine.push(image.reference, f"{address}:{image.tag}")
    report(ImageMoved(image.name, f"Pushed {image.tag}"))
    return digest
