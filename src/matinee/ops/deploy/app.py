"""The app of one stage as it is on disk, ready to be deployed: inspected, its images named by their content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matinee.environments.inspect import InspectedComponent, inspect_app
from matinee.errors import ComponentError, NotFoundError
from matinee.manifest import ComponentManifest
from matinee.names import Names
from matinee.ops.deploy.events import ImageMoved, Report
from matinee.ops.deploy.preflight.model import of, refuse
from matinee.ops.deploy.preflight.names import check_names
from matinee.ops.deploy.tools import UI_COMPONENT, Tools, WantedImage
from matinee.project import Project, load
from matinee.project.sections import PASSWORD
from matinee.stack import Blueprint
from matinee.stack.parameters import is_password_in_secrets_manager
from matinee.stack.sizes import problems


@dataclass(frozen=True)
class App:
    """`project` has the stage's settings; `images` come with the manifests that go live, the UI's among them."""

    project: Project
    stage: str
    images: tuple[WantedImage, ...]

    @property
    def names(self) -> Names:
        """What everything of the stage is called."""
        return Names(self.project.name, self.stage)

    @property
    def components(self) -> tuple[ComponentManifest, ...]:
        """The manifests of the components, by their images' content."""
        return tuple(image.manifest for image in self.images if image.component != UI_COMPONENT)

    def blueprint(self, optional_secrets: Sequence[str] = ()) -> Blueprint:
        """Return what the templates are made from."""
        return Blueprint.of(self.project, self.stage, self.components, optional_secrets)

    def component(self, name: str) -> ComponentManifest:
        """Return the component of that name, or that holds the predictor of that name; NotFoundError names them."""
        for component in self.components:
            if component.name == name or any(p.name == name for p in component.predictors):
                return component
        known = [c.name for c in self.components]
        raise NotFoundError(f"There is no component or predictor {name!r}.", hint=f"There is: {', '.join(known)}.")


def read_app(path: Path, stage: str, tools: Tools, report: Report) -> App:
    """Read, inspect and check the app; AWS is not asked yet.

    Raises ProjectError, ComponentError for a component that does not load, UsageError for what AWS has no place for.
    """
    project = load(path).for_stage(stage)
    inspected = inspect_app(project, lambda component, line: report(ImageMoved(component, line)))
    check_loads(inspected)
    manifests = tuple(item.manifest for item in inspected)
    _check(project, stage, manifests)
    sketch = Blueprint.of(project, stage, manifests)
    return App(project, stage, tools.images.plan(project, inspected, sketch.architecture))


def check_loads(inspected: Sequence[InspectedComponent]) -> None:
    """Raise ComponentError for the first component that does not load."""
    for item in inspected:
        trouble = item.manifest.trouble
        if trouble:
            name = item.component.name
            raise ComponentError(f"{name}: {trouble.message}", hint=trouble.hint, file=trouble.file, line=trouble.line)


def _check(project: Project, stage: str, manifests: Sequence[ComponentManifest]) -> None:
    predictors = [p for manifest in manifests for p in manifest.predictors]
    findings = check_names(Names(project.name, stage), [p.name for p in predictors])
    findings += map(of, problems(project.aws.ui, predictors))
    refuse(findings)


def secrets_of(app: App) -> Mapping[str, str]:
    """Return the secrets that the stage must have, with who needs each."""
    blueprint = app.blueprint()
    elsewhere = {PASSWORD} if is_password_in_secrets_manager(blueprint) else set()
    wanted = dict.fromkeys((name for name in blueprint.ui_secrets if name not in elsewhere), "the UI")
    for predictor in blueprint.predictors:
        wanted |= dict.fromkeys(predictor.resources.secrets, predictor.name)
    return wanted
