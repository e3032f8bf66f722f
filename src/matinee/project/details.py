"""What a release says of the app as a whole: the part of `matinee.toml` that running processes read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from matinee.project.model import Project
from matinee.project.sections import ui_details

Json = Any


def details(project: Project, folder: Path | str) -> dict[str, Json]:
    """Return the app's part of `Release.details`; `folder` is where the UI's process finds the app's files."""
    return {
        "description": project.description,
        "limits": asdict(project.limits),
        "api": asdict(project.api),
        "auth": asdict(project.auth),
        "notices": asdict(project.notices),
        "ui": ui_details(project.ui, folder),
    }
