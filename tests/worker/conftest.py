"""A rig of real processes: SQLite in a temporary folder, the process launcher, a predictor written to disk."""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from matinee.backends.local.launcher import LaunchCommand, ProcessLauncher, worker_command
from matinee.backends.local.logs import FolderLogs
from matinee.backends.local.store import SqliteStore
from matinee.errors import MatineeError
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources, to_json
from matinee.ports import LaunchStatus
from matinee.queue.dispatch import dispatch
from matinee.runs import Run, Slot, Status, new_run_id
from matinee.settings import Settings

T = TypeVar("T")
HEADER = """
    import os, signal, sys, time, logging, subprocess
    from pathlib import Path
    from typing import Any
    from matinee import batch, context, progress, track, InputError
"""
PARAMETERS = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


def wait_until(condition: Callable[[], T], *, timeout_s: float = 20.0, what: str = "the condition") -> T:
    """Return the first true value of the condition."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s:g} s"
        time.sleep(0.01)
    return value


class Rig:
    """One batch predictor `work(n)` with everything that runs it."""

    def __init__(self, folder: Path, body: str, **resources: Any) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.source = folder / "work.py"
        self.resources = Resources(**{"timeout_s": 30.0, "memory_mb": 512, **resources})
        self.result_schema: dict[str, Any] = {}
        self.store = SqliteStore(self.data / "state.db")
        self.logs = FolderLogs(self.data / "logs")
        self.tokens: dict[str, Slot] = {}
        self.ended: list[Slot] = []
        self._closed = False
        self.launcher = ProcessLauncher(self._command, self.data, on_exit=self._worker_ended)
        self.write(body)
        self.release("hash-1", "v1")

    def write(self, body: str) -> None:
        """Write the component."""
        self.source.write_text(textwrap.dedent(HEADER) + textwrap.dedent(body))

    def release(self, content_hash: str, label: str) -> None:
        """Make the component as it is now live."""
        predictor = PredictorManifest("work", "batch", "work", "", PARAMETERS, self.result_schema, self.resources)
        self.component = ComponentManifest("work", content_hash, label, (predictor,))
        self.manifest = self.folder / f"{content_hash}.json"
        self.manifest.write_text(json.dumps(to_json(self.component)))
        self.store.put_release(Release("tiny", "Tiny", 1, time.time(), (self.component,)))

    def submit(self, *numbers: int, user: str = "ann") -> list[Run]:
        """Queue a run per number and dispatch."""
        queued = [
            Run(new_run_id(), "work", "batch", user, Status.QUEUED, {"n": number}, time.time()) for number in numbers
        ]
        self.store.submit(queued)
        self.dispatch()
        return queued

    def dispatch(self) -> None:
        """Bring the workers to what the queue needs."""
        if self._closed:
            return
        dispatch(
            self.store,
            self.launcher,
            "work",
            max_workers=self.resources.max_workers,
            version=self.component.hash,
            now=time.time(),
        )

    def run(self, number: int) -> Run:
        """Submit one run and return it finished."""
        return self.finished(self.submit(number)[0])

    def finished(self, run: Run, timeout_s: float = 20.0) -> Run:
        """Return the run once it is final."""
        return self.when(run, lambda now: now.status.is_final, timeout_s)

    def when(self, run: Run, condition: Callable[[Run], Any], timeout_s: float = 20.0) -> Run:
        """Return the run once the condition holds; dispatches meanwhile, as a host does when something becomes due."""

        def holds() -> Run | None:
            self.dispatch()
            now = self.now(run)
            return now if condition(now) else None

        return wait_until(holds, timeout_s=timeout_s, what=f"{run.id} ({self.now(run)})")

    def now(self, run: Run) -> Run:
        """Return the run as it is."""
        found = self.store.run(run.id)
        assert found is not None
        return found

    def messages(self, run: Run) -> list[str]:
        """Return the texts the run logged."""
        return [line.message for line in self.logs.read(run.id)]

    def worker_pids(self) -> list[int]:
        """Return the supervisors that live."""
        slots = [slot for slot in list(self.tokens.values()) if not self.status(slot).ended]
        return [pid for slot in slots if (pid := self.pid(slot))]

    def pid(self, slot: Slot) -> int:
        """Return the supervisor's process id."""
        path = self.data / "workers" / f"{slot.token}.json"
        return int(json.loads(path.read_text())["pid"]) if path.exists() else 0

    def status(self, slot: Slot) -> LaunchStatus:
        """Return what the launcher knows of a worker."""
        return self.launcher.status([slot])[slot.token]

    def close(self) -> None:
        """End every worker."""
        self._closed = True
        self.launcher.stop_all()
        self.store.close()

    def _command(self, slot: Slot) -> LaunchCommand:
        self.tokens[slot.token] = slot
        settings = Settings(
            data=self.data,
            component="work",
            source=self.source,
            manifest=self.manifest,
            predictor="work",
            slot_token=slot.token,
            slot_number=slot.number,
        )
        environment = {**os.environ, **settings.environment()}
        return LaunchCommand(worker_command(sys.executable), environment, str(self.folder))

    def _worker_ended(self, slot: Slot) -> None:
        self.ended.append(slot)
        if not self._closed:
            try:
                self.dispatch()
            except MatineeError:
                if not self._closed:
                    raise


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Return a function that makes a rig from a predictor's body and its resources; all end with the test."""
    rigs: list[Rig] = []

    def make(body: str, **resources: Any) -> Rig:
        rigs.append(Rig(tmp_path, body, **resources))
        return rigs[-1]

    yield make
    for made in rigs:
        made.close()


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def kill(pid: int) -> None:
    """Kill -9, if it still is there."""
    if pid and alive(pid):
        os.kill(pid, signal.SIGKILL)
