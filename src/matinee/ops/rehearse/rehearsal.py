"""A rehearsal while it goes on: the world with an app deployed to it, and what can be done with it.

This is what a story is given: `def story(stage): …`.
"""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from matinee.client.core import Client
from matinee.client.stage import open_stage
from matinee.errors import BackendError
from matinee.manifest import Release
from matinee.names import Names
from matinee.ops.deploy import pipeline
from matinee.ops.deploy.destroy import Destroyed, destroy
from matinee.ops.deploy.events import Report, silent
from matinee.ops.deploy.rollback import RolledBack, rollback
from matinee.ops.deploy.tools import ImageSource, Tools
from matinee.ops.deploy.work import Deployed, DeployOptions
from matinee.ops.rehearse.adapt import adapt
from matinee.ops.rehearse.credentials import ROOT
from matinee.ops.rehearse.world import World
from matinee.project import Project, load
from matinee.settings import AWS_ENDPOINT, AwsSettings
from matinee.stack.blueprint import UI

POLL_S = 0.2  # between looks of the deploy: nothing here takes longer
USABLE_S = 60.0
BACKSTOP = "rate(1 minute)"  # the schedule that looks at all pools
_OTHERS = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL")


@dataclass
class Rehearsal:
    """One stage of an app in a world. `url` is what people open."""

    world: World
    path: Path
    stage: str
    source: ImageSource
    folder: Path  # of its own data
    report: Report = silent
    _clients: dict[str, Client] = field(default_factory=dict, repr=False)

    @property
    def url(self) -> str:
        """The app's address."""
        return self.world.entry.url

    @property
    def project(self) -> Project:
        """The app as its folder has it, with the stage's settings."""
        return load(self.path).for_stage(self.stage)

    @property
    def names(self) -> Names:
        """What everything of the stage is called."""
        return Names(self.project.name, self.stage)

    @property
    def tools(self) -> Tools:
        """What the deploy is told: the emulator's endpoint, images from here, templates as it takes them."""
        settings = AwsSettings(region=self.world.region, endpoint=self.world.endpoint)
        return Tools(self.source, adapt=adapt, settings=settings, poll_s=POLL_S)

    def deploy(self, only: str = "", *, path: Path | None = None, may_wait: bool = True) -> Deployed:
        """Deploy the app, or a component of it alone, as `matinee deploy` does; `path`: another copy of the app."""
        options = DeployOptions(self.stage, only=only, may_wait=may_wait)
        return pipeline.deploy(path or self.path, options, self.tools, self.report)

    def rollback(self, name: str = "") -> RolledBack:
        """Make what was live before live again, as `matinee rollback` does."""
        return rollback(self.path, self.stage, self.tools, name=name, report=self.report)

    def environment(self) -> dict[str, str]:
        """Return what another process is told to work on this stage as the administrator."""
        return administrator(self.world)

    def destroy(self) -> Destroyed:
        """Destroy the stage and its data, as `matinee destroy --data` does; BackendError when anything is left."""
        gone = destroy(self.path, self.stage, self.tools, with_data=True, report=self.report)
        if gone.left:
            raise BackendError(f"After destroy there is still {', '.join(gone.left)}.")
        return gone

    def connect(self, user: str = "rehearsal") -> Client:
        """Return this person's client, as a laptop has with `matinee.connect(stage=…)`; it ends with the rehearsal."""
        if user not in self._clients:
            self._clients[user] = open_stage(self.project, self.stage, region=self.world.region, user=user)
        return self._clients[user]

    @property
    def release(self) -> Release:
        """What is live now."""
        release = self.connect().backend.store.release()
        assert release is not None, "it is deployed"
        return release

    def backstop(self) -> None:
        """Do now what the clock does every minute: call the dispatcher, as the schedule's own role."""
        for schedule in self.world.events.schedules():
            if schedule.expression == BACKSTOP:
                self.world.events.fire(schedule, time.time())

    def scale_ui(self, count: int) -> None:
        """Have so many tasks of the UI, and wait until all are healthy."""
        cluster = self.names.base
        self.world.clients("ecs").update_service(cluster=cluster, service=UI, desiredCount=count)
        self._await(lambda: self._is_steady(count), f"{count} tasks of the UI")

    def await_usable(self) -> None:
        """Return when the entry answers as healthy."""
        self._await(self._answers, "an answer of the UI")

    def _is_steady(self, count: int) -> bool:
        service = self.world.services.get(UI)
        return service is not None and service.desired == count and service.is_steady

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.world.entry.port, timeout=5)
        try:
            connection.request("GET", "/_stcore/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + USABLE_S
        while not condition():
            if time.monotonic() > deadline:
                service = self.world.services.get(UI)
                why = f": {service.reason}" if service and service.reason else ""
                raise BackendError(f"{what} did not come within {USABLE_S:.0f} s{why}.")
            time.sleep(0.1)


def administrator(world: World) -> dict[str, str]:
    """Return the variables with which a process works as the emulated account's administrator."""
    return {
        AWS_ENDPOINT: world.endpoint,
        "AWS_REGION": world.region,
        "AWS_ACCESS_KEY_ID": ROOT[0],
        "AWS_SECRET_ACCESS_KEY": ROOT[1],
    }


@contextmanager
def as_administrator(world: World) -> Iterator[None]:
    """Have this process work as the emulated account's administrator: never with anybody's real credentials."""
    told = administrator(world)
    before = {name: os.environ.get(name) for name in (*told, *_OTHERS)}
    for name in _OTHERS:
        os.environ.pop(name, None)
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
