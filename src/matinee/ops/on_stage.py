"""A stage's names, session and cloud: what commands need that look after a deployed app."""

from __future__ import annotations

import re
from dataclasses import replace

from matinee.backends.aws.session import AwsSettings, Session
from matinee.errors import UsageError
from matinee.names import Names
from matinee.ops.deploy.cloud import Cloud, open_cloud
from matinee.project import Project

_STAGE = re.compile("[a-z][a-z0-9-]{0,15}")


def session_on(project: Project, stage: str) -> tuple[Names, Session]:
    """Return the names of a stage and a session in its region; UsageError for what can be no stage."""
    if not _STAGE.fullmatch(stage):
        hint = "A stage is at most 16 small letters, digits and hyphens, as in dev or prod."
        raise UsageError(f"There can be no stage {stage!r}.", hint=hint)
    names, told = Names(project.name, stage), AwsSettings.from_environment()
    region = project.for_stage(stage).aws.region or told.region
    return names, Session(replace(told, table=names.base, bucket="", region=region))


def cloud_of(project: Project, stage: str) -> Cloud:
    """Return a stage's cloud; AWS is asked who we are. BackendError without credentials or region."""
    names, session = session_on(project, stage)
    return open_cloud(names, session.settings)
