"""Host an app on this machine: environments, manifests, the local Lambda service and the dispatcher.

project → inspect every component in its environment → functions at the Lambda service → release → dispatch.
`matinee dev` keeps one host for all; `connect()` without a running dev makes its own and ends it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from matinee import secrets
from matinee.backends.factory import Backend, open_backend, open_launcher
from matinee.backends.local.dev_record import DevRecord, running_dev
from matinee.backends.local.lambda_service.function import LocalFunction
from matinee.backends.local.lambda_service.guests import ACCESS_KEY_ID
from matinee.backends.local.lambda_service.service import LambdaService
from matinee.backends.local.launcher import LaunchCommand, ProcessLauncher
from matinee.backends.local.logs import FolderLogs
from matinee.backends.local.store import SqliteStore
from matinee.client.background import Delivering, Dispatching, HostedLogs
from matinee.client.core import Client
from matinee.client.processes import Housing, Processes, StageData
from matinee.environments.inspect import InspectedComponent, inspect_app
from matinee.environments.prepare import locked
from matinee.environments.snapshots import SnapshotFolder
from matinee.errors import BackendError, UsageError
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Trouble
from matinee.private_files import make_private_folder, open_private
from matinee.project.load import FILE
from matinee.project.model import Project, details
from matinee.runs import Slot
from matinee.settings import DISPATCHER, AwsSettings, Settings

FIRST_RELEASE_S = 900.0  # that a client waits for the first release of a dev: it may have to make environments
_STORE = "state.db"
_ADOPTED = ("files", "logs", "cookie.secret")
Report = Callable[[str, str], None]  # component ("" = the app), line


@contextmanager
def open_client(project: Project, *, user: str = "local", report: Report | None = None) -> Iterator[Client]:
    """Give a client on this app: at its running dev, else at a host of its own that ends with the block."""
    adopt_data(project)
    running = wait_for_release(project.data, report)
    if running:
        settings = Settings.of_folder(project.name, project.data, running.lambda_endpoint)
        settings = settings._replace(lambda_secret=running.aws_secret_access_key)
        place = StageData(AwsSettings(**running.aws)) if running.aws else None
        settings = place.settings(settings) if place else settings
        backend = place.open(settings) if place else open_backend(settings)
        client = Client(backend, settings, user, owner=True)  # whoever has the folder
        try:
            yield client
        finally:
            client.close()
        return
    with LocalHost(project, report) as host:
        host.reload(project)
        yield Client(host.backend, host.settings, user, owner=True)


def adopt_data(project: Project) -> None:
    """Move the data of a single file into the folder of its own, from the one that a folder's files shared before.

    It goes to the file that was live there last; nothing is moved while a `dev` runs on it.
    """
    shared, own = project.data_root, project.data
    if own == shared or (own / _STORE).exists() or not (shared / _STORE).exists() or (project.folder / FILE).exists():
        return
    make_private_folder(own)
    with suppress(BlockingIOError), (shared / "dev.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        store = SqliteStore(shared / _STORE)
        live = store.release()
        store.close()  # as the last one: what is in its log is now in the file
        if live is None or [component.name for component in live.components] != [project.components[0].name]:
            return
        for path in sorted(shared.iterdir()):
            if path.name in _ADOPTED or path.name.startswith(_STORE):
                path.rename(own / path.name)


def wait_for_release(
    data: Path, report: Report | None = None, *, timeout_s: float = FIRST_RELEASE_S
) -> DevRecord | None:
    """Return the record of the dev that runs here once its first release is live; None when none runs.

    Raises BackendError when it takes longer than `timeout_s`.
    """
    deadline, was_reported = time.monotonic() + timeout_s, False
    while (running := running_dev(data)) is not None and not running.is_ready:
        if time.monotonic() > deadline:
            raise BackendError("`matinee dev` has no release yet.", hint="Look at its terminal: it says what it does.")
        if report and not was_reported:
            report("", "Waiting for the first release of `matinee dev` …")
        was_reported = True
        time.sleep(0.05)
    return running


class LocalHost:
    """The app's backend side on this machine. `reload` makes what is on disk live; `stop` ends all it started.

    `housing` says how components are started: as processes, by default. `data` is another folder than the
    app's own; `place` a stage's table and bucket, in which runs and files are kept instead of there.
    """

    def __init__(
        self,
        project: Project,
        report: Report | None = None,
        *,
        housing: Housing | None = None,
        data: Path | None = None,
        place: StageData | None = None,
    ) -> None:
        self.project = project
        self._housing = housing or Processes()
        if place is not None:
            self._housing = place.housing(self._housing)
        self._place = place
        self.ui_environment = place.environment() if place else {}  # what the UI's process gets beside the settings
        data = data or project.data
        self._report = report or (lambda _component, _line: None)
        self._functions: dict[str, LocalFunction] = {}
        self._components: dict[str, InspectedComponent] = {}
        self._secrets: dict[str, dict[str, str]] = {}  # by predictor: name → value
        make_private_folder(data)
        self._logs = HostedLogs(FolderLogs(data / "logs"), self._report)
        self.service = LambdaService(on_log=self._logs.take)
        self.service.start()
        self.settings = Settings.of_folder(project.name, data.resolve(), self.service.endpoint)
        self.settings = self.settings._replace(lambda_secret=self.service.secret)
        if place is not None:
            self.settings = place.settings(self.settings)
        try:
            self.backend: Backend = place.open(self.settings) if place else open_backend(self.settings)
        except BaseException:
            self.service.stop()
            raise
        self.launcher = open_launcher(self.settings, self._launch_command, self._worker_ended)
        self.dispatching = Dispatching(self.backend.store, self.launcher, self._batch_predictor)
        self.service.put_builtin(DISPATCHER, self._dispatch_request)
        self.dispatching.start()
        self.delivering = Delivering(self.backend.store)
        self.delivering.start()

    def __enter__(self) -> LocalHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def reload(self, project: Project) -> Release:
        """Inspect what changed, replace exactly the functions that changed, and make the release."""
        self.project = project
        secret_values = secrets.read(project.folder)
        report = lambda component, line: self._report(component, line)  # noqa: E731
        found = tuple(self._with_secrets(item, secret_values) for item in inspect_app(project, report))
        inspected = self._housing.settle(project, found, report)
        release = self._release(inspected)
        live = {component.name: component for component in release.components}
        self._components = {i.manifest.name: replace(i, manifest=live[i.manifest.name]) for i in inspected}
        self._replace_functions(release)
        self._logs.follow(c.name for c in release.components if any(p.kind == "batch" for p in c.predictors))
        self.publish(release)
        SnapshotFolder(project.folder).remove_unused([item.code.app_folder.name for item in inspected])
        self.dispatching.poke_all()
        return release

    @property
    def own_files(self) -> set[Path]:
        """The user's files that the live components are made of."""
        items = self._components.values()
        return {item.component.app_folder / name for item in items for name in item.files}

    @property
    def has_trouble(self) -> bool:
        """Whether a component does not load."""
        return any(item.manifest.trouble for item in self._components.values())

    @property
    def was_killed(self) -> bool:
        """Whether a component has trouble because its inspection was killed: it may come right by itself."""
        return any(item.was_killed for item in self._components.values())

    def dev_record(self, url: str = "", *, is_ready: bool = True) -> DevRecord:
        """Return what others of this user need to reach this host; `url` is the UI's."""
        aws = self._place.aws._asdict() if self._place else None
        key = self.service.secret
        return DevRecord(os.getpid(), self.service.endpoint, url, aws, ACCESS_KEY_ID, key, is_ready)

    def publish(self, release: Release) -> None:
        """Make this live; clients of this process see it at once."""
        self.backend.store.put_release(release)
        self.backend.poll.forget()

    def stop(self) -> None:
        """End workers (their runs go back to the queue), the dispatcher and the Lambda service."""
        with ExitStack() as steps:  # from the last to the first; one that fails keeps no other from its end
            steps.callback(self.backend.store.close)
            steps.callback(self._logs.stop)
            steps.callback(self._housing.close)
            steps.callback(self.service.stop)
            if isinstance(self.launcher, ProcessLauncher):
                steps.callback(self.launcher.close)
            steps.callback(self.dispatching.stop)
            steps.callback(self.delivering.stop)

    def _with_secrets(self, item: InspectedComponent, secret_values: Mapping[str, str]) -> InspectedComponent:
        """Keep the values of its predictors' secrets; a component that lacks one has trouble."""
        try:
            for p in item.manifest.predictors:
                self._secrets[p.name] = secrets.of_predictor(p.name, p.resources.secrets, secret_values)
        except UsageError as error:
            trouble = Trouble(error.message, error.hint)
            return replace(item, manifest=replace(item.manifest, predictors=(), trouble=trouble))
        return item

    # --- the release --------------------------------------------------------------------------------------------

    def _release(self, inspected: Sequence[InspectedComponent]) -> Release:
        last = self.backend.store.release()
        before = {c.name: c for c in last.components} if last else {}
        with VersionNumbers.open(self.settings.data) as numbers:
            components = tuple(numbers.label(i.manifest, before.get(i.manifest.name)) for i in inspected)
        release = Release(
            app=self.project.name,
            title=self.project.title,
            number=last.number + 1 if last else 1,
            created_at=time.time(),
            components=components,
            details=details(self.project, self.project.folder),
        )
        return release.with_aws(self._place.release()) if self._place else release

    # --- realtime -----------------------------------------------------------------------------------------------

    def _replace_functions(self, release: Release) -> None:
        functions = {
            predictor.name: self._function(component, predictor)
            for component in release.components
            for predictor in component.predictors
            if predictor.kind == "realtime"
        }
        for name in self._functions.keys() - functions.keys():
            self.service.remove_function(name)
        for name, function in functions.items():
            if self._functions.get(name) != function:
                self.service.put_function(function)
        self._functions = functions

    def _function(self, component: ComponentManifest, predictor: PredictorManifest) -> LocalFunction:
        start = self._housing.realtime(
            self._components[component.name], predictor, self.settings, self._secrets.get(predictor.name, {})
        )
        return LocalFunction(
            name=predictor.name,
            command=start.command,
            environment=start.environment,
            memory_mb=predictor.resources.memory_mb,
            timeout_s=predictor.resources.timeout_s,
            concurrency=predictor.resources.concurrency,
            cwd=start.cwd,
            version=component.label.removeprefix("v"),
            contained=start.contained,
        )

    # --- batch --------------------------------------------------------------------------------------------------

    def _batch_predictor(self, name: str) -> tuple[PredictorManifest, str] | None:
        """Return the live batch predictor and its component's hash, None when it is not live (or does not load)."""
        release = self.backend.store.release()
        predictor = release.predictor(name) if release else None
        component = release.component_of(name) if release else None
        if predictor is None or component is None or component.name not in self._components:
            return None
        return predictor, component.hash

    def _launch_command(self, slot: Slot) -> LaunchCommand:
        live = self._batch_predictor(slot.predictor)
        if live is None:
            raise BackendError(f"The predictor {slot.predictor} is not live.", hint="Its component may not load.")
        predictor = live[0]
        settings = self.settings._replace(slot_token=slot.token, slot_number=slot.number)
        start = self._housing.worker(
            self._components[predictor.component], predictor, settings, self._secrets.get(predictor.name, {})
        )
        return LaunchCommand(start.command, start.environment, start.cwd)

    def _worker_ended(self, slot: Slot) -> None:
        self.dispatching.poke(slot.predictor)

    def _dispatch_request(self, payload: bytes, _context: dict[str, str]) -> bytes:
        name = json.loads(payload or b"{}").get("predictor", "")
        if name:
            self.dispatching.dispatch_now(name)
        else:
            self.dispatching.poke_all()
        return b"{}"


class VersionNumbers:
    """The numbers of an app's versions on this machine: v1, v2, …, a number for each content of a component.

    A number never names two contents, and content that returns has its old number.
    """

    def __init__(self, known: dict[str, dict[str, int]]) -> None:
        self._known = known

    @classmethod
    @contextmanager
    def open(cls, data: Path) -> Iterator[VersionNumbers]:
        """Give the numbers, to nobody else at the same time, and keep them."""
        file = data / "versions.json"
        with locked(file.with_suffix(".lock")):
            known: dict[str, dict[str, int]] = {}
            with suppress(OSError, ValueError):
                known = json.loads(file.read_bytes())
            before = json.dumps(known)
            yield cls(known)
            if json.dumps(known) != before:
                partial = file.with_suffix(".tmp")
                with open_private(partial, "wb") as unfinished:
                    unfinished.write(json.dumps(known).encode())
                partial.replace(file)

    def label(self, component: ComponentManifest, last: ComponentManifest | None) -> ComponentManifest:
        """Return the component with its version's number; `last` is its version of the release before."""
        numbers = self._known.setdefault(component.name, {})
        if last is not None and last.label[1:].isdecimal():  # of before there were files of numbers
            numbers.setdefault(last.hash, int(last.label[1:]))
        number = numbers.setdefault(component.hash, max(numbers.values(), default=0) + 1)
        return replace(component, label=f"v{number}")


# --- data of the hosted app -------------------------------------------------------------------------------------------


def stage_data(project: Project) -> StageData | None:
    """Return where a running `dev --data STAGE` keeps the data of this app, None when it is in the folder."""
    running = running_dev(project.data)
    return StageData(AwsSettings(**running.aws)) if running and running.aws else None


def open_data(project: Project) -> tuple[Backend, Settings]:
    """Open the data of the app here: what the running dev has, on this machine or on a stage, else the folder's."""
    place, settings = stage_data(project), Settings.of_folder(project.name, project.data)
    settings = place.settings(settings) if place else settings
    return (place.open(settings) if place else open_backend(settings)), settings
