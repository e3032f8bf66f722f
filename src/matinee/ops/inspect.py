"""`matinee inspect`: what an app holds, each component asked in its own environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matinee.environments import Report
from matinee.environments.inspect import InspectedComponent, inspect_app
from matinee.project import Project, load


@dataclass(frozen=True)
class Inspection:
    """An app and its components as they are on disk."""

    project: Project
    components: tuple[InspectedComponent, ...]

    @property
    def troubled(self) -> tuple[InspectedComponent, ...]:
        """The components that do not load."""
        return tuple(item for item in self.components if item.manifest.trouble)


def inspect(path: Path, report: Report | None = None, *, stage: str = "") -> Inspection:
    """Inspect the app at `path`, with a stage's settings if one is named.

    Raises ProjectError; a component that fails has `manifest.trouble` instead.
    """
    project = load(path).for_stage(stage)
    return Inspection(project, inspect_app(project, report))
