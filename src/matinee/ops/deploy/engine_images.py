"""Images from the engine of this machine: planned by content, built and pushed in parallel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from matinee.environments.inspect import InspectedComponent
from matinee.errors import BackendError
from matinee.images import BuiltImage, Engine, ImagePlan, build_images, plan_images, plan_ui
from matinee.ops.deploy import registry
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import ImageMoved, Report
from matinee.ops.deploy.tools import UI_COMPONENT, WantedImage
from matinee.project import Project

PLATFORMS = {"arm64": "linux/arm64", "x86_64": "linux/amd64"}
PUSHES_AT_ONCE = 3


class EngineImages:
    """Implements `tools.ImageSource`. The engine is looked for when it is needed."""

    def __init__(self) -> None:
        self._plans: dict[str, ImagePlan] = {}
        self._engine: Engine | None = None

    def plan(
        self, project: Project, inspected: Sequence[InspectedComponent], architecture_of: Callable[[str], str]
    ) -> tuple[WantedImage, ...]:
        """See `ImageSource`. An engine pins bases by digest, so it is asked here already."""
        planned = plans_of(project, inspected, architecture_of, self._engine_here())
        self._plans = {plan.name: plan for plan in planned}
        return tuple(WantedImage(plan.name, plan.tag, plan.manifest) for plan in planned)

    def push(self, wanted: Sequence[WantedImage], cloud: Cloud, report: Report) -> Mapping[str, str]:
        """See `ImageSource`."""
        engine = self._engine_here()
        plans = [self._plans[image.component] for image in wanted]
        built = build_images(engine, plans, lambda component, line: report(ImageMoved(component, line)))
        signed_in = registry.sign_in(cloud)
        engine.login(signed_in.registry, signed_in.username, signed_in.password)
        address = registry.push_address(cloud)
        with ThreadPoolExecutor(max_workers=PUSHES_AT_ONCE) as pool:
            digests = list(pool.map(lambda image: _pushed(engine, image, address, report), built))
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


def _pushed(engine: Engine, image: BuiltImage, address: str, report: Report) -> str:
    report(ImageMoved(image.name, f"Pushing {image.size_bytes / 1e6:.0f} MB"))
    digest = engine.push(image.reference, f"{address}:{image.tag}")
    report(ImageMoved(image.name, f"Pushed {image.tag}"))
    return digest
