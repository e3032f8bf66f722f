"""One batch run on what has just gone live: queue, dispatcher, Fargate, table and bucket, all at once."""

from __future__ import annotations

import time

from matinee.backends.aws.logs import CloudWatchLogs
from matinee.backends.factory import Backend
from matinee.client.core import Client
from matinee.errors import BackendError, MatineeError
from matinee.manifest import PredictorManifest, Release
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Note, Report, Tried
from matinee.ops.deploy.live import Live
from matinee.ops.deploy.tools import Tools
from matinee.ops.deploy.trial import USER
from matinee.runs import Run, Status
from matinee.settings import LIVE, Settings

START_S = 240.0  # for Fargate to start a task with a large image
LONGEST_S = 600.0  # of the run itself: a longer one is not waited for to its end


def pick(release: Release, former: Release | None) -> PredictorManifest | None:
    """Return a batch predictor to try: one with an example whose version is new; None when there is none."""
    known = {(c.name, c.hash) for c in former.components} if former else set()
    for component in release.components:
        for predictor in component.predictors:
            is_new = (component.name, component.hash) not in known
            if is_new and predictor.kind == "batch" and predictor.examples and not predictor.resources.gpu:
                return predictor
    return None


def try_batch(cloud: Cloud, tools: Tools, live: Live, predictor: PredictorManifest, report: Report) -> None:
    """Submit the predictor's first example and wait. Raises BackendError when the run does not succeed."""
    logs = CloudWatchLogs(cloud.session, live.store.run, prefix=cloud.names.prefix)
    backend = Backend(live.store, live.files, tools.invoker_at(cloud, LIVE), logs)
    settings = Settings("aws", cloud.names.app, function_prefix=cloud.names.prefix)
    client = Client(backend, settings, USER, owner=True)
    began = time.monotonic()
    try:
        run = client.submit(predictor.name, predictor.examples[0], idempotency_key=f"deploy-{time.time_ns()}")
        run = client.wait(run.id, timeout_s=START_S + min(predictor.resources.timeout_s, LONGEST_S))
        problem = _problem(client, run)
    except MatineeError as error:
        problem = str(error)
    report(Tried(predictor.name, run_version(live), time.monotonic() - began, problem))
    if problem:
        raise BackendError(
            f"{predictor.name} fails its first example on AWS: {problem}",
            hint=f"`matinee test {predictor.name}` runs it here; `matinee logs {predictor.name}` shows what it wrote.",
        )
    if not run.status.is_final:
        report(
            Note(
                f"The example of {predictor.name} still runs.",
                f"matinee runs show {run.id} --stage {cloud.names.stage}",
            )
        )


def run_version(live: Live) -> str:
    """Return the number of the release that is live."""
    release = live.store.release()
    return f"release {release.number}" if release else ""


def _problem(client: Client, run: Run) -> str:
    if run.status is Status.FAILED and run.failure is not None:
        return f"{run.failure.message} {run.failure.hint}".strip()
    if run.status is Status.QUEUED:
        return f"No worker has started within {START_S / 60:.0f} minutes. {client.why_waiting(run)}".strip()
    return ""
