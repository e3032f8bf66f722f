"""An app as its folder and `matinee.toml` say it: `load(path)` returns a frozen `Project`."""

from __future__ import annotations

from matinee.project.auth import Auth
from matinee.project.load import load
from matinee.project.model import Api, Component, Limits, Project, Stage, Ui

__all__ = ["Api", "Auth", "Component", "Limits", "Project", "Stage", "Ui", "load"]
