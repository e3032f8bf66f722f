"""One batch predictor with its store and launcher in a folder, for the benchmarks of the worker."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from matinee.backends.local.launcher import LaunchCommand, ProcessLauncher, worker_command
from matinee.backends.local.store import SqliteStore
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources, to_json
from matinee.queue.dispatch import dispatch
from matinee.runs import Json, Run, Slot, Status, new_run_id
from matinee.settings import Settings

PARAMETERS = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def environment() -> dict[str, str]:
    """Return ours, but with compiled modules kept, as a user's machine does: the floor gets the same."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class App:
    """A predictor `work(n: int)`, its source given."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder = folder
        (folder / "work.py").write_text(source)
        predictor = PredictorManifest("work", "batch", "work", "", PARAMETERS, {}, Resources(timeout_s=60.0))
        component = ComponentManifest("work", "hash", "v1", (predictor,))
        (folder / "manifest.json").write_text(json.dumps(to_json(component)))
        self.store = SqliteStore(folder / "state.db")
        self.store.put_release(Release("bench", "Bench", 1, time.time(), (component,)))
        self.launcher = ProcessLauncher(self._command, folder)

    def submit(self, numbers: Sequence[int]) -> list[Run]:
        """Queue a run per number, durably."""
        return self.store.submit(
            [Run(new_run_id(), "work", "batch", "ann", Status.QUEUED, {"n": n}, time.time()) for n in numbers]
        )

    def dispatch(self) -> None:
        """Start the worker."""
        dispatch(self.store, self.launcher, "work", max_workers=1, version="hash", now=time.time())

    def result(self, run_id: str, timeout_s: float = 30.0) -> Json:
        """Wait for a run and return its result."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            run = self.store.run(run_id)
            if run is not None and run.status.is_final:
                assert run.status is Status.SUCCEEDED, run.failure
                return run.result
            time.sleep(0.002)
        raise TimeoutError(run_id)

    def wait_idle(self, timeout_s: float = 60.0) -> None:
        """Wait until nothing is queued and no worker is left."""
        until = time.monotonic() + timeout_s
        while self.store.entries("work", 1) or self.store.pool("work").slots or self.launcher._started:
            if time.monotonic() > until:
                raise TimeoutError("the worker did not end")
            time.sleep(0.01)

    def close(self) -> None:
        """End what runs."""
        self.launcher.stop_all()
        self.store.close()

    def _command(self, slot: Slot) -> LaunchCommand:
        settings = Settings(
            data=self.folder,
            component="work",
            source=self.folder / "work.py",
            manifest=self.folder / "manifest.json",
            predictor="work",
            slot_token=slot.token,
            slot_number=slot.number,
        )
        return LaunchCommand(
            worker_command(sys.executable), {**environment(), **settings.environment()}, str(self.folder)
        )
