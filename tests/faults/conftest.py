"""A stage on emulated AWS with real workers: the dispatcher launches them as processes, told what a task is told."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from matinee.backends.aws.session import Session
from matinee.backends.aws.store import DynamoStore
from matinee.backends.factory import open_backend
from matinee.backends.local.launcher import LaunchCommand, ProcessLauncher
from matinee.errors import BackendError
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources, to_json
from matinee.runs import Run, Slot, Status, new_run_id
from matinee.runtime.dispatcher import Dispatcher
from matinee.settings import Settings
from support.emulators import dynamodb_local, make_table, session_on, skip_if_unavailable

N = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
WRONG_CLOCK = "import os, time; right = time.time; time.time = lambda: right() + float(os.environ['WRONG_S'])"
ATTEMPTS = 3  # AWS repeats an asynchronous call that failed twice


@pytest.fixture(scope="session")
def dynamodb() -> Iterator[str]:
    """The endpoint of a real DynamoDB engine."""
    with skip_if_unavailable(), dynamodb_local() as found:
        yield found


class Stage:
    """A table and one batch predictor `work(n)` with all that runs it; a test that wants the bucket makes it."""

    def __init__(self, folder: Path, endpoint: str, body: str, *, through: str = "", **resources: Any) -> None:
        """Make all on `endpoint`; everybody but the test itself goes `through` a disturbance of it, if there is one."""
        self.folder = folder
        mine = session_on(endpoint)
        make_table(mine)
        self.seen = DynamoStore(mine)  # how a test looks on
        self.session = Session(mine.settings._replace(endpoint=through or endpoint))
        (folder / "work.py").write_text(textwrap.dedent(body))
        predictor = PredictorManifest("work", "batch", "works", "", N, {}, Resources(**resources))
        self.component = ComponentManifest("works", "hash", "v1", (predictor,))
        (folder / "manifest.json").write_text(json.dumps(to_json(self.component)))
        # Where no function answers: a worker's poke is lost, and the news of its end must do.
        self.settings = Settings(backend="aws", app="app", lambda_endpoint="http://127.0.0.1:9")
        self.clocks_s: list[float] = []  # by how much the clocks of workers are wrong, in turn
        self.launched: list[Slot] = []
        self._closed = False
        self.launcher = ProcessLauncher(self._command, folder, on_exit=self._ended)
        self.dispatcher = Dispatcher(open_backend(self.settings, self.session), self.settings, self.launcher)
        self.store = self.dispatcher.backend.store
        self.store.put_release(Release("app", "App", 1, time.time(), (self.component,)))

    def submit(self, *numbers: int) -> list[Run]:
        """Queue a run per number and poke the dispatcher."""
        now = time.time()
        runs = [Run(new_run_id(), "work", "batch", "ana", Status.QUEUED, {"n": n}, now) for n in numbers]
        self.store.submit(runs)
        self.act({"predictor": "work"})
        return runs

    def act(self, event: dict[str, Any]) -> None:
        """Call the dispatcher as AWS does: again when it fails."""
        for attempt in range(1, ATTEMPTS + 1):
            if self._closed:
                return
            try:
                self.dispatcher.act(event, time.time())
                return
            except BackendError:
                if attempt == ATTEMPTS and not self._closed:
                    raise

    def environment(self, slot: Slot) -> dict[str, str]:
        """Return what a worker's container is told, by its definition and its task's overrides."""
        settings = Settings(
            backend="aws",
            app="app",
            lambda_endpoint=self.settings.lambda_endpoint,
            component="works",
            source=self.folder / "work.py",
            manifest=self.folder / "manifest.json",
            predictor=slot.predictor,
            slot_token=slot.token,
            slot_number=slot.number,
        )
        return {**os.environ, **settings.environment(), **self.session.settings.environment()}

    def _command(self, slot: Slot) -> LaunchCommand:
        environment = self.environment(slot)
        if self.clocks_s:
            (self.folder / "sitecustomize.py").write_text(WRONG_CLOCK)
            wrong_s = self.clocks_s[len(self.launched) % len(self.clocks_s)]
            environment |= {"PYTHONPATH": str(self.folder), "WRONG_S": str(wrong_s)}
        self.launched.append(slot)
        return LaunchCommand([sys.executable, "-m", "matinee.worker.main"], environment, str(self.folder))

    def _ended(self, slot: Slot) -> None:
        self.act({"source": "aws.ecs", "detail": {"lastStatus": "STOPPED", "group": f"matinee:{slot.predictor}"}})

    def kill_one(self, chance: random.Random) -> bool:
        """Kill -9 one of the workers that have begun; False if none has."""
        slots = [slot for slot in self.seen.pool("work").slots if slot.handle and slot.renewed_at]
        statuses = self.launcher.status(slots)
        alive = [slot for slot in slots if not statuses[slot.token].ended]
        if not alive:
            return False
        record = json.loads((self.folder / "workers" / f"{chance.choice(alive).token}.json").read_text())
        with suppress(ProcessLookupError):
            os.kill(record["pid"], signal.SIGKILL)
        return True

    def finished(self, run: Run, timeout_s: float = 30.0) -> Run:
        """Return the run once it is final."""

        def final() -> Run | None:
            found = self.seen.run(run.id)
            return found if found is not None and found.status.is_final else None

        return wait_until(final, timeout_s, f"the end of {run.id}")

    def words(self) -> str:
        """Return what the workers said."""
        return "\n".join(path.read_text() for path in sorted((self.folder / "logs" / "workers").glob("*.log")))

    def close(self) -> None:
        """End every worker."""
        self._closed = True
        self.launcher.close()
        self.store.close()
        self.seen.close()


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Return the first true value of the condition."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s:g} s"
        time.sleep(0.05)
    return value


@pytest.fixture
def make_stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Return a function that makes a stage on an endpoint from its predictor's source; all end with the test."""
    made: list[Stage] = []

    def make(endpoint: str, body: str, **options: Any) -> Stage:
        made.append(Stage(tmp_path, endpoint, body, **options))
        return made[-1]

    yield make
    for stage in made:
        stage.close()
