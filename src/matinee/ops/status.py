"""`matinee status`: is it well, what is live, who waits, what failed last; of the app here, or of a deployed stage.

release → versions · queues and workers from the store · on a stage its parts, as AWS tells them (`status_aws`)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matinee.client.core import Client
from matinee.client.host import running_dev
from matinee.manifest import Release
from matinee.ops.runs import reader
from matinee.ports import RunQuery
from matinee.project import Project, load
from matinee.runs import Run, Status

State = Literal["ok", "asleep", "attention", "down", "unknown"]
ERRORS = 5
COUNTED = 1000
LONG_S = 900.0  # a run that waits longer than this is worth a word; the alarm of the stage says the same


@dataclass(frozen=True)
class Part:
    """Something that is to work. `hint` says what to do when it does not."""

    name: str
    state: State
    text: str
    hint: str = ""


@dataclass(frozen=True)
class Version:
    """A live component. `problem` is why it does not load, "" if it does."""

    component: str
    label: str
    predictors: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True)
class Queue:
    """One batch predictor's queue and its workers. `note` says why nothing starts; `oldest_s` how long one waits.

    No more than COUNTED runs are counted.
    """

    predictor: str
    waiting: int
    running: int
    workers: int
    max_workers: int
    oldest_s: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Cost:
    """What AWS has billed since the first of the month; `usd` is None where it does not say, `text` why."""

    usd: float | None
    text: str = ""


@dataclass(frozen=True)
class AppStatus:
    """An app as it is. `release` is 0 and `parts` say so while nothing is live."""

    app: str
    stage: str  # "" = here
    url: str
    release: int
    released_at: float
    parts: tuple[Part, ...]
    versions: tuple[Version, ...]
    queues: tuple[Queue, ...]
    errors: tuple[Run, ...]
    cost: Cost | None = None

    @property
    def is_well(self) -> bool:
        """Whether nothing is down."""
        return all(part.state != "down" for part in self.parts)


def status_of(app: Path, *, stage: str = "", with_cost: bool = False) -> AppStatus:
    """Return the status. With `with_cost` Cost Explorer is asked, which AWS charges $0.01 for.

    Raises NotFoundError for a stage on which nothing is deployed, BackendError without credentials.
    """
    project = load(app)
    with reader(app, stage) as client:
        release = client.backend.store.release() if client else None
        queues = _queues(client, release) if client and release else ()
        errors = _errors(client) if client else ()
    parts, url, cost = _on_stage(project, stage, release, with_cost) if stage else _here(project, release)
    return AppStatus(
        project.name,
        stage,
        url,
        release.number if release else 0,
        release.created_at if release else 0.0,
        (*parts, *_troubles(release, queues)),
        _versions(release),
        queues,
        errors,
        cost,
    )


def _here(project: Project, release: Release | None) -> tuple[tuple[Part, ...], str, None]:
    dev = running_dev(project)
    if dev is None:
        return (Part("dev", "asleep", "`matinee dev` does not run on this app."),), "", None
    live = "" if release else " and nothing is live yet"
    return (Part("dev", "ok", f"`matinee dev` runs (process {dev.pid}){live}."),), dev.url, None


def _on_stage(
    project: Project, stage: str, release: Release | None, with_cost: bool
) -> tuple[tuple[Part, ...], str, Cost | None]:
    from matinee.ops import status_aws
    from matinee.ops.on_stage import cloud_of

    cloud = cloud_of(project, stage)
    try:
        url = release.aws.url if release else ""
        parts = status_aws.parts_of(cloud, project.for_stage(stage).aws, release)
        return parts, url, status_aws.cost_of(cloud) if with_cost else None
    finally:
        cloud.session.close()


def _versions(release: Release | None) -> tuple[Version, ...]:
    return tuple(
        Version(c.name, c.label, tuple(p.name for p in c.predictors), c.trouble.message if c.trouble else "")
        for c in (release.components if release else ())
    )


def _queues(client: Client, release: Release) -> tuple[Queue, ...]:
    """Return the queue of each batch predictor, and of realtime ones whose rows are being worked off."""
    busy = set(client.backend.store.pools())
    shown = [p for p in release.predictors if p.kind == "batch" or p.name in busy]
    return tuple(_queue(client, p.name, p.resources.max_workers) for p in shown)


def _queue(client: Client, predictor: str, max_workers: int) -> Queue:
    store, now = client.backend.store, time.time()
    entries, pool = store.entries(predictor, COUNTED), store.pool(predictor)
    held = {entry.run_id for entry in store.leased(predictor)}
    waiting = [entry.run_id for entry in entries if entry.run_id not in held]
    oldest = store.run(min(waiting)) if waiting else None  # ids sort by time
    oldest_s = now - oldest.created_at if oldest else 0.0
    return Queue(predictor, len(waiting), len(held), len(pool.slots), max_workers, max(0.0, oldest_s), pool.note)


def _troubles(release: Release | None, queues: tuple[Queue, ...]) -> tuple[Part, ...]:
    """Return what the store knows to be wrong: components that do not load, runs that wait too long."""
    parts = [
        Part(c.name, "down", f"It does not load: {c.trouble.message}", c.trouble.hint)
        for c in (release.components if release else ())
        if c.trouble
    ]
    for queue in queues:
        if queue.oldest_s > LONG_S or (queue.note and queue.waiting):
            why = queue.note or "its workers are busy, or none starts"
            text = f"A run has been waiting for {queue.oldest_s / 60:.0f} min: {why}"
            parts.append(Part(queue.predictor, "attention", text, f"matinee logs {queue.predictor} --since 1h"))
    return tuple(parts)


def _errors(client: Client) -> tuple[Run, ...]:
    return tuple(client.runs(RunQuery(statuses=frozenset({Status.FAILED}), limit=ERRORS)))
