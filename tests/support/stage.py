"""A deployed stage on this machine, for tests and benchmarks: everything behind the ports is AWS's interface.

Table, bucket and log groups are MiniStack's, functions run in the local Lambda service, workers are processes; all of
them are told what a deployed container is told (MATINEE_BACKEND=aws). Nothing is built and no template is involved:
`matinee rehearse` is for that.
"""

from __future__ import annotations

import json
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from matinee import settings as matinee_settings
from matinee.backends.aws.logs import log_group
from matinee.backends.aws.session import Session
from matinee.backends.aws.store import DynamoStore
from matinee.backends.local.lambda_service.function import LocalFunction, passed_on, worker_command
from matinee.backends.local.lambda_service.service import LambdaService
from matinee.backends.local.launcher import LaunchCommand, ProcessLauncher
from matinee.backends.local.launcher import worker_command as batch_command
from matinee.client.background import Dispatching
from matinee.environments.inspect import InspectedComponent, inspect_app
from matinee.manifest import AwsRelease, ComponentManifest, PredictorManifest, Release, to_json
from matinee.names import Names
from matinee.project.load import load
from matinee.rehearsal.world import ACCOUNT, REGION
from matinee.runs import Slot
from matinee.settings import AWS_ENDPOINT, DISPATCHER, LAMBDA_ENDPOINT, LAMBDA_SECRET, STAGE, AwsSettings, Settings
from support.emulators import make_bucket, make_table

Through = Callable[[str], str]  # from an address to that of something before it
LABEL = "v1"
_LOOK_S = 0.1  # between two looks at what workers wrote
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@contextmanager
def emulated_stage(
    app: Path | str, endpoint: str, stage: str = "dev", *, through: Through = lambda endpoint: endpoint
) -> Iterator[EmulatedStage]:
    """Deploy an app to an emulator of AWS at `endpoint` until the block ends.

    `through` gives the address at which the emulator, and the local Lambda service, are seen by whoever uses them: of
    something that stands before them and counts.
    """
    made = EmulatedStage(Path(app), endpoint, stage, through)
    try:
        made.release()
        yield made
    finally:
        made.stop()


class EmulatedStage:
    """One stage. `environment` is what a laptop needs to reach it as `matinee.connect(stage=…)`."""

    def __init__(self, app: Path, endpoint: str, stage: str, through: Through) -> None:
        self.project = load(app)
        self.names = Names(self.project.name, stage)
        self._folder = tempfile.TemporaryDirectory(prefix="matinee-stage-")
        bucket = self.names.bucket(ACCOUNT, REGION)
        direct = Session(AwsSettings(self.names.base, bucket, REGION, endpoint))
        self.session = Session(direct.settings._replace(endpoint=through(endpoint)))
        for name, value in _CREDENTIALS.items():
            os.environ.setdefault(name, value)
        make_table(direct)
        make_bucket(direct)
        self.store = DynamoStore(self.session)
        self._inspected: dict[str, InspectedComponent] = {}
        self._shipped = _Shipper(direct, self.names, self.folder)
        self.service = LambdaService(on_log=self._shipped.take)
        self.service.start()
        self.lambda_endpoint = through(self.service.endpoint)
        self.launcher = ProcessLauncher(self._launch_command, self.folder, on_exit=self._worker_ended)
        self.dispatching = Dispatching(self.store, self.launcher, self._batch_predictor)
        self.service.put_builtin(self.names.prefix + DISPATCHER, self._dispatch)
        self.dispatching.start()

    @property
    def folder(self) -> Path:
        """Where workers leave what they write."""
        return Path(self._folder.name)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a laptop that reaches the emulator instead of AWS."""
        settings = self.session.settings
        endpoints = {
            AWS_ENDPOINT: settings.endpoint,
            LAMBDA_ENDPOINT: self.lambda_endpoint,
            LAMBDA_SECRET: self.service.secret,
        }
        return {**endpoints, "AWS_REGION": settings.region, **_CREDENTIALS}

    def release(self) -> Release:
        """Inspect the app, serve its functions and make the release, as a deployment does last."""
        for inspected in inspect_app(self.project):
            self._inspected[inspected.manifest.name] = inspected
        components = tuple(replace(i.manifest, label=LABEL) for i in self._inspected.values())
        realtime = [(c, p) for c in components for p in c.predictors if p.kind == "realtime"]
        for component, predictor in realtime:
            self.service.put_function(self._function(component, predictor))
        functions = {predictor.name: LABEL for _, predictor in realtime}
        aws = AwsRelease(self.names.stage, REGION, ACCOUNT, self.session.settings.bucket, functions)
        release = Release(self.project.name, self.project.title, 1, time.time(), components).with_aws(aws)
        self.store.put_release(release)
        return release

    def stop(self) -> None:
        """End workers, dispatcher and functions, and let go of the emulator."""
        self.dispatching.stop()
        self.launcher.close()
        self.service.stop()
        self._shipped.stop()
        self.session.close()
        self._folder.cleanup()

    def _function(self, component: ComponentManifest, predictor: PredictorManifest) -> LocalFunction:
        return LocalFunction(
            name=self.names.resource(predictor.name),
            command=worker_command(self._python(component.name)),
            environment=self._told(component.name, predictor=predictor.name),
            memory_mb=predictor.resources.memory_mb,
            timeout_s=predictor.resources.timeout_s,
            concurrency=predictor.resources.concurrency,
            cwd=str(self._inspected[component.name].component.folder),
            version=LABEL,
        )

    def _batch_predictor(self, name: str) -> tuple[PredictorManifest, str] | None:
        release = self.store.release()
        predictor = release.predictor(name) if release else None
        component = release.component_of(name) if release else None
        return (predictor, component.hash) if predictor and component else None

    def _launch_command(self, slot: Slot) -> LaunchCommand:
        release = self.store.release()
        component = release.component_of(slot.predictor) if release else None
        assert component is not None, "only what is released is dispatched"
        told = {"predictor": slot.predictor, "slot_token": slot.token, "slot_number": slot.number}
        environment = {**self._told(component.name, **told), "AWS_REGION": REGION, **_CREDENTIALS}
        folder = self._inspected[component.name].component.folder
        return LaunchCommand(batch_command(self._python(component.name)), environment, str(folder))

    def _worker_ended(self, slot: Slot) -> None:
        self.dispatching.poke(slot.predictor)

    def _dispatch(self, payload: bytes, _context: dict[str, str]) -> bytes:
        self.dispatching.dispatch_now(json.loads(payload)["predictor"])
        return b"{}"

    def _python(self, component: str) -> str:
        environment = self._inspected[component].environment
        assert environment is not None, f"{component} has no environment"
        return str(environment.python)

    def _told(self, component: str, **more: Any) -> dict[str, str]:
        """Return the variables of a deployed container of this component."""
        inspected = self._inspected[component]
        manifest = self.folder / f"{component}.json"
        manifest.write_text(json.dumps(to_json(inspected.manifest)))
        settings = Settings(
            backend="aws",
            app=self.project.name,
            lambda_endpoint=self.lambda_endpoint,
            lambda_secret=self.service.secret,
            function_prefix=self.names.prefix,
            component=component,
            source=inspected.component.source,
            manifest=manifest,
            **more,
        )
        variables = inspected.environment.variables if inspected.environment else {}
        aws = {**self.session.settings.environment(), matinee_settings.LABEL: LABEL, STAGE: self.names.stage}
        return {**passed_on(), **variables, **settings.environment(), **aws}


class _Shipper:
    """Does what AWS's log drivers do: brings the lines of functions and workers to their log groups."""

    def __init__(self, session: Session, names: Names, folder: Path) -> None:
        self._session = session
        self._names = names
        self._logs, self._records = folder / "logs" / "workers", folder / "workers"
        self._lines: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._read: dict[Path, int] = {}
        self._groups: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="matinee-ship-logs", daemon=True)
        self._thread.start()

    def take(self, function: str, _run_id: str, line: str) -> None:
        """Take a line of a function."""
        self._lines.put((function.removeprefix(self._names.prefix), line))

    def stop(self) -> None:
        """Ship what has come, then end."""
        self._stopping.set()
        self._thread.join()
        self._session.close()

    def _loop(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            self._look()
        self._look()

    def _look(self) -> None:
        found: dict[str, list[str]] = {}
        with suppress(queue.Empty):
            while True:
                name, line = self._lines.get_nowait()
                found.setdefault(name, []).append(line)
        for path in self._logs.glob("*.log"):
            name = self._predictor_of(path.stem)
            if name:
                found.setdefault(name, []).extend(self._more_of(path))
        for name, lines in found.items():
            self._put(name, lines)

    def _predictor_of(self, token: str) -> str:
        """Return whose worker it is, "" while that is not written yet."""
        with suppress(OSError, ValueError):
            return str(json.loads((self._records / f"{token}.json").read_text())["predictor"])
        return ""

    def _more_of(self, path: Path) -> list[str]:
        """Return the whole lines written since the last look."""
        begin = self._read.get(path, 0)
        with suppress(FileNotFoundError):  # a worker that wrote nothing leaves nothing
            with path.open("rb") as log:
                log.seek(begin)
                whole, end, _ = log.read().rpartition(b"\n")
            self._read[path] = begin + len(whole + end)
            return whole.decode(errors="replace").splitlines()
        return []

    def _put(self, name: str, lines: list[str]) -> None:
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line} for line in lines if line]
        if not events:
            return
        group, client = log_group(self._names.prefix, name), self._session.client("logs")
        if group not in self._groups:
            client.create_log_group(logGroupName=group)
            client.create_log_stream(logGroupName=group, logStreamName="all")
            self._groups.add(group)
        client.put_log_events(logGroupName=group, logStreamName="all", logEvents=events)
