"""`matinee push`: images alone, ahead of a deployment. What the repository has costs one question."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matinee.errors import NotFoundError
from matinee.ops.deploy import registry
from matinee.ops.deploy.app import App, read_app
from matinee.ops.deploy.events import Report, Step, silent
from matinee.ops.deploy.ground import open_stage
from matinee.ops.deploy.stacks.state import describe
from matinee.ops.deploy.tools import UI_COMPONENT, Tools, WantedImage


@dataclass(frozen=True)
class PushedImage:
    """An image in the repository. `was_there`: nothing had to be uploaded."""

    component: str
    tag: str
    reference: str
    was_there: bool


def push(path: Path, stage: str, tools: Tools, *, name: str = "", report: Report = silent) -> tuple[PushedImage, ...]:
    """Upload the images of all components and the UI, or of one component.

    Raises NotFoundError for an unknown component, or while the stage has no repository.
    """
    app = read_app(path, stage, tools, report)
    wanted = (_image(app, name),) if name else app.images
    cloud = open_stage(app.names, app.project.aws.region, tools)
    known = registry.images(cloud)
    if not known and describe(cloud, cloud.names.data_stack) is None:
        hint = f"Make it first: `matinee deploy --stage {stage} --data-only`, or deploy the app."
        raise NotFoundError(f"The stage {stage} has no image repository yet.", hint=hint)
    missing = tuple(image for image in wanted if image.tag not in known)
    if missing:
        report(Step(f"Images: {', '.join(image.component for image in missing)}"))
    pushed = tools.images.push(missing, cloud, report) if missing else {}
    return tuple(
        PushedImage(
            image.component,
            image.tag,
            registry.reference(cloud, pushed.get(image.component) or known[image.tag].digest),
            image.component not in pushed,
        )
        for image in wanted
    )


def _image(app: App, name: str) -> WantedImage:
    component = name if name == UI_COMPONENT else app.component(name).name
    return next(image for image in app.images if image.component == component)
