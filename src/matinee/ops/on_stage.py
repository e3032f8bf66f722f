"""The cloud of a stage, for commands that look after a deployed app."""

from __future__ import annotations

from matinee.client.stage import session_on
from matinee.ops.deploy.cloud import Cloud, open_cloud
from matinee.project import Project


def cloud_of(project: Project, stage: str) -> Cloud:
    """Return a stage's cloud; AWS is asked who we are. BackendError without credentials or region."""
    names, session = session_on(project, stage)
    return open_cloud(names, session.settings)
