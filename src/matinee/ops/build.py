"""`matinee build`: an image for each component and one for the UI, made here."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from matinee.environments import Report
from matinee.environments.inspect import InspectedComponent, inspect_app, inspect_component
from matinee.errors import UsageError
from matinee.images import UI_NAME, BuiltImage, Engine, ImagePlan, build_images, plan_images, plan_ui
from matinee.images.context import own_dockerfile
from matinee.images.dockerfile import ejected_dockerfile
from matinee.project import Project, load
from matinee.project.suggest import nearest


@dataclass(frozen=True)
class Build:
    """What there is now. Plans and images are in the same order."""

    project: Project
    platform: str
    plans: tuple[ImagePlan, ...]
    images: tuple[BuiltImage, ...]


def build(
    path: Path,
    names: Sequence[str] = (),
    *,
    platform: str = "",
    upgrade: bool = False,
    report: Report | None = None,
) -> Build:
    """Build the images of the named components, or of all and of the UI; `platform` "" is what the engine runs.

    Raises UsageError for a name that is none, ComponentError for a component that does not load or whose dependencies
    do not come together, BackendError for an engine that is not there or cannot.
    """
    project = load(path)
    chosen = _named(project, names)
    engine = Engine.detect()
    platform = platform or engine.platform
    inspected = _inspect(project, chosen, report)
    plans = plan_images(project, inspected, platform=platform, engine=engine, upgrade=upgrade)
    if UI_NAME in chosen:
        plans += (plan_ui(project, platform=platform, engine=engine, upgrade=upgrade),)
    return Build(project, platform, plans, build_images(engine, plans, report))


def eject(path: Path, names: Sequence[str] = (), *, platform: str = "", report: Report | None = None) -> list[Path]:
    """Write the Dockerfiles of the named components, or of all and of the UI, for their owner to change.

    Raises UsageError, and has written nothing, for one that is there already, or for an image that exists.
    """
    project = load(path)
    chosen = _named(project, names)
    platform = platform or "linux/amd64"  # the text is the same for both
    for component in project.components:
        if component.image and component.name in names:
            raise UsageError(f"{component.name} is an image that exists: it has no Dockerfile here.")
    plans = plan_images(project, _inspect(project, chosen, report), platform=platform)
    if UI_NAME in chosen:
        plans += (plan_ui(project, platform=platform),)
    files = {_own_file(project, plan): ejected_dockerfile(plan.name, plan.environment.dockerfile)
             for plan in plans if plan.environment}  # fmt: skip
    for file in files:
        if file.exists():
            raise UsageError(f"{file} is there already.", hint="Change it as you like: it is taken as it is.")
    for file, text in files.items():
        file.write_text(text, "utf-8")
    return list(files)


def _own_file(project: Project, plan: ImagePlan) -> Path:
    component = project.component(plan.name)
    return own_dockerfile(component) if component else project.folder / f"{plan.name}.Dockerfile"


def _inspect(project: Project, chosen: set[str], report: Report | None) -> tuple[InspectedComponent, ...]:
    """Inspect the chosen components, and if these are all, also how they go together."""
    components = [component for component in project.components if component.name in chosen]
    if len(components) == len(project.components):
        return inspect_app(project, report)
    with ThreadPoolExecutor(max_workers=4) as pool:
        return tuple(pool.map(lambda component: inspect_component(project, component, report), components))


def _named(project: Project, names: Sequence[str]) -> set[str]:
    known = [*(component.name for component in project.components), UI_NAME]
    for name in names:
        if name not in known:
            raise UsageError(
                f"{project.name} has no component {name!r}.",
                hint=nearest(name, known) or f"It has: {', '.join(known)}.",
            )
    return set(names or known)
