"""Where a rehearsal's images come from when there is no engine: a folder for each, told to the emulated registry."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from matinee.environments.inspect import InspectedComponent
from matinee.manifest import ComponentManifest
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import ImageMoved, Report
from matinee.ops.deploy.tools import UI_COMPONENT, WantedImage
from matinee.ops.rehearse.folders import FolderImages
from matinee.project import Project
from matinee.project.content import PACKAGE, files_of


class FolderSource:
    """An `ImageSource` of folders."""

    def __init__(self, images: FolderImages) -> None:
        self._images = images
        self._inspected: dict[str, InspectedComponent] = {}
        self._ui: dict[str, Path] = {}

    def plan(
        self,
        project: Project,
        inspected: Sequence[InspectedComponent],
        architecture_of: Callable[[str], str],  # noqa: ARG002 (this machine's)
    ) -> tuple[WantedImage, ...]:
        """See `ImageSource`."""
        self._inspected = {item.manifest.name: item for item in inspected}
        self._ui = dict(_ui_files(project))
        digest = _digest(self._ui)
        ui = WantedImage(UI_COMPONENT, f"{UI_COMPONENT}-{digest}", ComponentManifest(UI_COMPONENT, digest))
        return (*(WantedImage(i.manifest.name, _tag(i.manifest), i.manifest) for i in inspected), ui)

    def push(self, wanted: Sequence[WantedImage], cloud: Cloud, report: Report) -> Mapping[str, str]:
        """See `ImageSource`."""
        digests = {}
        for image in wanted:
            if image.component == UI_COMPONENT:
                self._images.make_ui(image.tag, Path(sys.executable), self._ui)
            else:
                self._images.make(self._inspected[image.component], image.tag)
            digests[image.component] = self._images.push(cloud.names.base, image.tag)
            report(ImageMoved(image.component, "stands as a folder"))
        return digests


def _tag(manifest: ComponentManifest) -> str:
    return f"{manifest.name}-{manifest.hash}"


def _ui_files(project: Project) -> Iterator[tuple[str, Path]]:
    """Yield the app's own pages, its pictures and texts, and what its pages may import."""
    ui = project.ui
    for name in dict.fromkeys((*(page.file for page in ui.pages), ui.logo, ui.about)):
        if name:
            yield name, project.folder / name
    for component in project.components:
        for shared in component.shared:
            yield shared.name, shared


def _digest(files: Mapping[str, Path]) -> str:
    told = hashlib.sha256()
    for name, path in [("matinee", PACKAGE), *files.items()]:
        for inner, file in files_of(path):
            told.update(f"{name}/{inner}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return told.hexdigest()[:16]
