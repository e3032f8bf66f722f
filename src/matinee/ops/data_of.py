"""The data of `matinee dev --data STAGE`: a table and a bucket that `matinee deploy --data-only` made."""

from __future__ import annotations

from matinee.client.stage import session_on
from matinee.client.stage_data import StageData
from matinee.errors import ConflictError, NotFoundError
from matinee.ops.deploy import live
from matinee.ops.deploy.cloud import open_cloud
from matinee.ops.deploy.stacks.state import describe
from matinee.project import Project


def data_of(project: Project, stage: str) -> StageData:
    """Return where a stage keeps its data.

    Raises NotFoundError when it keeps none, ConflictError when an app is deployed there: what runs here would be live
    in its place.
    """
    names, session = session_on(project, stage)
    cloud = open_cloud(names, session.settings)
    if describe(cloud, names.data_stack) is None:
        raise NotFoundError(
            f"The stage {stage} of {names.app} has no table and no bucket in {cloud.region}.",
            hint=f"Make them: matinee deploy --stage {stage} --data-only",
        )
    if live.look(cloud).aws.stack:
        raise ConflictError(
            f"The app is deployed on {stage}: what runs here would be live in its place.",
            hint="Take a stage of your own: matinee deploy --stage NAME --data-only",
        )
    return StageData(cloud.session.settings)
