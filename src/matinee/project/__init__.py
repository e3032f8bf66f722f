"""An app as its folder and `matinee.toml` say it: `load(path)` returns a frozen `Project`."""

from __future__ import annotations

from matinee.project.aws import Aws
from matinee.project.load import load
from matinee.project.model import Api, Component, Limits, Project, Stage
from matinee.project.sections import Auth, Notices, Page, Ui, ui_details

__all__ = [
    "Api",
    "Auth",
    "Aws",
    "Component",
    "Limits",
    "Notices",
    "Page",
    "Project",
    "Stage",
    "Ui",
    "load",
    "ui_details",
]
