"""A stage's names and AWS session: what commands need that look after a deployed app. Nothing is asked yet."""

from __future__ import annotations

import re
from dataclasses import replace

from matinee.backends.aws.session import AwsSettings, Session
from matinee.errors import UsageError
from matinee.names import Names
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
