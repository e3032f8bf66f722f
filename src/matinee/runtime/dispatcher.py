"""The Lambda handler of the dispatcher on AWS: `matinee.runtime.dispatcher.handler`. It alone starts workers.

It is called in four ways:

    {"predictor": "plan"}                          a submit's poke, or a worker that leaves: that pool
    {"predictor": "plan", "scheduled": "…Z"}       EventBridge Scheduler: submit one run for that time, then that pool
    ECS "Task State Change", lastStatus STOPPED    a worker has ended: its pool; then notices of a run's end
    anything else                                  every minute, the backstop: all pools; then notices

AWS calls at least once and in any order: everything here may be done again. An error makes AWS call twice more.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from matinee.backends.aws.launcher import GROUP, AwsLauncher
from matinee.backends.aws.store import SKEW_S
from matinee.backends.factory import Backend, open_backend, open_launcher
from matinee.client.core import SCHEDULE, Client, submit_scheduled
from matinee.errors import BackendError, MatineeError, UsageError
from matinee.manifest import Release
from matinee.notices.deliver import deliver, open_senders
from matinee.ports import Invocation, Launcher, Store
from matinee.queue.dispatch import dispatch, end_overlong_back_offs
from matinee.runtime.secrets import fetch
from matinee.settings import Settings, secret_paths

Json = Any

log = logging.getLogger(__name__)


def handler(event: Json, _context: Any = None) -> Json:
    """Do what the event asks for and return what was done; BackendError has AWS call again."""
    return _open().act(event if isinstance(event, dict) else {}, time.time())


@cache
def _open() -> Dispatcher:
    if secret_paths(os.environ):  # the mail server's password
        os.environ.update(fetch(os.environ))
    settings = Settings.from_environment()
    return Dispatcher(open_backend(settings), settings, open_launcher(settings))


@dataclass(frozen=True)
class Dispatcher:
    """Brings pools to what their queues need. An AwsLauncher gets the release before anything is launched."""

    backend: Backend
    settings: Settings
    launcher: Launcher

    def act(self, event: Mapping[str, Json], now: float) -> dict[str, Json]:
        """Do what the event asks for. Raises BackendError when a pool could not be looked at, after all the others."""
        store = self.backend.store
        release = store.release()
        if release is None:
            return {"note": "Nothing is live yet."}
        if isinstance(self.launcher, AwsLauncher):
            self.launcher.follow(release)
        done: dict[str, Json] = {}
        if event.get("scheduled"):
            done["submitted"] = self._submit(str(event["predictor"]), event)
        named = _predictor_of(event)
        pools = [named] if named else list(store.pools())
        done["pools"], failures = self._dispatch(release, pools, now, is_backstop=not named)
        if "predictor" not in event:
            done["tell_next_at"] = deliver(store, now, open_senders(release, store))
            _tell_queues(store, now)
        if failures:
            raise BackendError(f"The dispatcher could not look at {'; '.join(failures)}")
        return done

    def _dispatch(
        self, release: Release, predictors: Iterable[str], now: float, *, is_backstop: bool
    ) -> tuple[list[Json], list[str]]:
        """Return what was done, and which pools could not be looked at and why."""
        done: list[Json] = []
        failures: list[str] = []
        for predictor in predictors:
            try:
                if is_backstop:
                    end_overlong_back_offs(self.backend.store, predictor, now, skew_s=SKEW_S)
                done.append(dispatch_pool(self.backend.store, self.launcher, release, predictor, now))
            except MatineeError as error:  # one pool that fails must not keep the others waiting
                log.warning("The dispatcher could not look at %s: %s", predictor, error)
                failures.append(f"{predictor}: {error}")
        return done, failures

    def _submit(self, predictor: str, event: Mapping[str, Json]) -> str:
        """Submit the run of a scheduled time, once; return its id, or why there is none."""
        client = Client(replace(self.backend, invoker=_Silent()), self.settings, SCHEDULE, owner=True)
        try:
            return submit_scheduled(client, predictor, str(event["scheduled"]), event.get("inputs")).id
        except UsageError as error:  # the same again would be refused again
            log.error("The schedule of %s could not submit a run: %s", predictor, error)
            return str(error)


class _Silent:
    """An Invoker that pokes nobody: who submits here dispatches next."""

    def invoke(self, function: str, payload: bytes, **_: Any) -> Invocation:  # noqa: ARG002 (the port's)
        """Refuse: the dispatcher predicts nothing."""
        raise BackendError(f"The dispatcher does not call {function}.")

    def poke(self, function: str, payload: bytes = b"{}") -> None:
        """Do nothing."""


def dispatch_pool(store: Store, launcher: Launcher, release: Release, predictor: str, now: float) -> dict[str, Json]:
    """Bring one predictor's workers to what its queue needs and return what was done."""
    manifest, component = release.predictor(predictor), release.component_of(predictor)
    if manifest is None or component is None:
        note = "Its component does not load, or it is no longer part of the app."
        store.note(predictor, note)
        return {"predictor": predictor, "launched": 0, "note": note}
    workers = manifest.resources.max_workers
    did = dispatch(store, launcher, predictor, max_workers=workers, version=component.hash, now=now)
    return {
        "predictor": predictor,
        "launched": len(did.launched),
        "note": did.note,
        "next_due_at": did.next_due_at,
    }


def _tell_queues(store: Store, now: float) -> None:
    """Print how long the run that waits longest has waited: the stack makes a metric of this line."""
    first = [entry for predictor in store.pools() for entry in store.due(predictor, now, 1)]
    waiting = [run for entry in first if (run := store.run(entry.run_id))]
    oldest_s = max((now - run.created_at for run in waiting), default=0.0)
    print(json.dumps({"event": "queues", "oldest_s": round(oldest_s, 1)}), flush=True)  # noqa: T201 (the function's log)


def _predictor_of(event: Mapping[str, Json]) -> str:
    """Return the predictor that a poke or the group of a stopped task names, "" for all pools."""
    if isinstance(event.get("predictor"), str):
        return str(event["predictor"])
    detail = event.get("detail")
    group = str(detail.get("group", "")) if isinstance(detail, dict) else ""
    return group.removeprefix(GROUP) if group.startswith(GROUP) else ""
