"""Inspection: components → environments → `python -m matinee.runtime.inspect` in each → manifests with overrides.

In parallel, and cached by content: an unchanged component costs a hash. A component that fails has `trouble` and the
others keep working.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from matinee import schedule, secrets
from matinee.environments.prepare import (
    KILLED,
    Environment,
    KilledError,
    Report,
    StoppedError,
    prepare,
    run_process,
    threads_that_end_at_once,
)
from matinee.environments.snapshots import Snapshot, SnapshotFolder
from matinee.errors import ComponentError, InputError, MatineeError, ProjectError, UsageError
from matinee.manifest import (
    ComponentManifest,
    PredictorManifest,
    Trouble,
    component_from_json,
    plain_predictor,
    to_json,
)
from matinee.own_paths import THE_FOLDER, name_own_files
from matinee.private_files import make_private_folder
from matinee.project.content import files_of, is_secret
from matinee.project.load import load
from matinee.project.model import Component, Project
from matinee.retry import retry
from matinee.settings import COMPONENT, HANDLER, SOURCE, Settings
from matinee.values import encode, validate

Json = Any
_KILLS = (signal.SIGKILL, signal.SIGTERM)  # by somebody else: other signals are the component's own doing
_NO_DATA = (".py", ".md", ".toml", ".lock", ".Dockerfile")
DEADLINE_S = 60.0  # for importing a component; what takes longer hangs


@dataclass(frozen=True)
class InspectedComponent:
    """A component with what is known of it.

    `environment` is None for an image that exists, and when it could not be made: then there is trouble. `code` is the
    component as its snapshot has it: what all its processes run from. `files` are its files' names there, relative to
    the app's folder; `left_out` has the others that were met there, and why they do not belong.
    """

    component: Component
    manifest: ComponentManifest
    environment: Environment | None
    code: Component
    files: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    was_killed: bool = False  # what made or inspected it was killed, again and again: the trouble may pass by itself


def inspect_app(
    project: Project, report: Report | None = None, *, deadline_s: float = DEADLINE_S
) -> tuple[InspectedComponent, ...]:
    """Inspect all components, in parallel and in their order.

    `report` is called from several threads. An interruption (Ctrl-C) ends what runs at once. Raises ProjectError for
    two predictors of one name, settings for a predictor that is not there, or a folder that cannot be written.
    """
    make_private_folder(project.data_root)
    with threads_that_end_at_once() as pool:
        inspected = tuple(
            pool.map(lambda c: inspect_component(project, c, report, deadline_s=deadline_s), project.components)
        )
    check_together(project, inspected)
    return inspected


def inspect_component(
    project: Project, component: Component, report: Report | None = None, *, deadline_s: float = DEADLINE_S
) -> InspectedComponent:
    """Inspect one component; what is wrong with it becomes its `trouble`. Follow with `check_together`."""
    if component.image:
        predictors = (plain_predictor(component.name, "image"),)
        manifest = ComponentManifest(component.name, component.content_hash(), predictors=predictors)
        return InspectedComponent(component, _with_overrides(project, manifest), None, component)
    folder, snapshots = ManifestFolder.open(project.data), SnapshotFolder(project.folder)
    static = _static_hash(component)
    opened = set(folder.read_opened(component.name, static))
    environment: Environment | None = None
    while True:
        snapshot = snapshots.take(component, opened - {THE_FOLDER})
        try:
            environment = prepare(snapshot.component, report=report)
            variables = _variables_at_import(project, component)
            manifest, seen = _manifest_of(snapshot, environment, folder, variables, deadline_s)
            snapshots.check(snapshot)
            was_killed = False
        except StoppedError:
            raise
        except MatineeError as error:
            trouble = _trouble(error, component)
            manifest, seen = ComponentManifest(component.name, snapshot.hash, trouble=trouble), frozenset()
            was_killed = isinstance(error, KilledError)
        opened |= seen - snapshot.digests.keys()
        contents = component.contents(opened - {THE_FOLDER})
        if contents.files.keys() == snapshot.digests.keys():
            break  # else it looked for files that were not there: again, with them
    manifest = _with_own_paths(manifest)
    if manifest.trouble is None:
        folder.keep(manifest)
        folder.keep_opened(component.name, static, opened)
    files = tuple(snapshot.digests)
    manifest = _with_overrides(project, manifest)
    left_out = {**contents.left_out, **_listed_folder(component, files, opened)}
    return InspectedComponent(component, manifest, environment, snapshot.component, files, left_out, was_killed)


def _listed_folder(component: Component, files: Collection[str], opened: Collection[str]) -> dict[str, str]:
    """Return what to say to a component that lists the app's folder: it sees its own files there, and no others."""
    others = [name for name in _data_files(component.app_folder) if name not in files and "/" not in name]
    if THE_FOLDER not in opened or not others:
        return {}
    pattern = f"*{Path(others[0]).suffix}" if Path(others[0]).suffix else others[0]
    return {
        others[0]: f"the folder is listed, and only what belongs to {component.name} is there: "
        f'name the rest in matinee.toml, as in files = ["{pattern}"]'
    }


def _data_files(app: Path) -> Iterator[str]:
    """Yield the files of the app's folder that may be data: no code, no texts about the app, no settings."""
    for name, path in files_of(app):
        if path.suffix not in _NO_DATA and not is_secret(path.name):
            yield name


def _static_hash(component: Component) -> str:
    """Return a hash of the files that the component's code names, without what it was only seen to open."""
    try:
        return component.content_hash()
    except OSError as error:
        raise ProjectError(f"Component {component.name} cannot be read: {error}.") from error


def _manifest_of(
    snapshot: Snapshot,
    environment: Environment,
    folder: ManifestFolder,
    variables: Mapping[str, str],
    deadline_s: float,
) -> tuple[ComponentManifest, frozenset[str]]:
    """Return what a snapshot holds, and what of the app's folder its import opened or looked for."""
    component = snapshot.component
    known = folder.read(component.name, snapshot.hash)
    if known:
        return known, frozenset()
    app = Path(name_own_files(str(component.app_folder)))  # the user's own, not the snapshot's
    has_more = any(name not in snapshot.digests for name in _data_files(app))
    options = ("--examples",) if has_more else ()  # only then can they open what does not belong to it yet
    manifest, seen = retry(
        lambda: _ask(component, environment, variables, deadline_s, options), on=(KilledError,), backoff=KILLED
    )
    return replace(manifest, hash=snapshot.hash), seen


def _variables_at_import(project: Project, component: Component) -> dict[str, str]:
    """Return what a plain handler's module may read while it is imported: Lambda sets all this before.

    Predictors are typed, and read their variables when they run; a secret that is not set here is missing here.
    """
    if not component.handler:
        return {}
    own = project.overrides.get(plain_predictor(component.name, "handler").name, {})
    in_file = secrets.read(project.folder)
    values = {name: in_file.get(name) or os.environ.get(name, "") for name in own.get("secrets", ())}
    region = project.aws.region or "us-east-1"
    return {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        **own.get("environment", {}),
        **{name: value for name, value in values.items() if value},
    }


def _with_own_paths(manifest: ComponentManifest) -> ComponentManifest:
    """Return the manifest with the user's own files in its trouble, not those of the snapshot."""
    wrong = manifest.trouble
    if wrong is None:
        return manifest
    message, hint, file = map(name_own_files, (wrong.message, wrong.hint, wrong.file))
    return replace(manifest, trouble=Trouble(message, hint, file, wrong.line))


def check_together(project: Project, inspected: tuple[InspectedComponent, ...]) -> None:
    """Raise ProjectError for what only shows when all components are seen together."""
    home: dict[str, InspectedComponent] = {}
    for item in inspected:
        for predictor in item.manifest.predictors:
            if (other := home.setdefault(predictor.name, item)) is not item:
                raise ProjectError(
                    f"Two predictors have the name {predictor.name}: "
                    f"in {_shown(project, other)} and in {_shown(project, item)}.",
                    hint="Rename one of the functions.",
                )
    if all(item.manifest.trouble is None for item in inspected):  # else the missing one may be in a broken component
        project.check_overrides(list(home))
    _check_overrides(project, [p for item in inspected for p in item.manifest.predictors])


def _check_overrides(project: Project, predictors: list[PredictorManifest]) -> None:
    """Raise ProjectError for a setting that `matinee.toml` gives to a predictor which cannot have it."""
    for p in predictors:
        for overrides in (project.overrides, *(stage.predictors for stage in project.stages.values())):
            own = overrides.get(p.name, {})
            try:
                for number, example in enumerate(_examples(p, own), 1):
                    _check_example(p, number, example)
                schedule.check(own.get("schedule", ""), p.name, p.kind, p.parameters, p.examples)
                secrets.check_declared(p.name, own.get("secrets", ()))
                secrets.check_environment(p.name, own.get("environment", {}), own.get("secrets", p.resources.secrets))
            except UsageError as error:
                raise ProjectError(f"{project.file}: {error.message}", hint=error.hint) from error


def _examples(predictor: PredictorManifest, overrides: Mapping[str, Json]) -> tuple[Json, ...]:
    """Return the examples of a predictor, as inputs: those of `matinee.toml`, else its own.

    What a plain handler takes is its event: it may stand there by itself, or as {event = {…}}.
    """
    if "examples" not in overrides:
        return predictor.examples
    written = tuple(encode.to_json(example) for example in overrides["examples"])
    if not predictor.plain:
        return written
    return tuple(
        one if isinstance(one, dict) and one.keys() == {"event"} and isinstance(one["event"], dict) else {"event": one}
        for one in written
    )


def _check_example(predictor: PredictorManifest, number: int, example: Json) -> None:
    try:
        validate.check(predictor.parameters, example)
    except InputError as error:
        raise UsageError(
            f"example {number} of {predictor.name} does not fit its parameters: {error.message}.",
            hint=f"Mend it under [predictors.{predictor.name}].",
        ) from error


def _shown(project: Project, item: InspectedComponent) -> str:
    return str(item.component.entry.relative_to(project.folder))


def _trouble(error: MatineeError, component: Component) -> Trouble:
    if isinstance(error, ComponentError):
        return Trouble(error.message, error.hint, error.file, error.line)
    return Trouble(error.message, error.hint, str(component.entry))


def _with_overrides(project: Project, manifest: ComponentManifest) -> ComponentManifest:
    """Return the manifest with the settings of `matinee.toml`; a schedule that never comes is its trouble."""

    def overridden(predictor: PredictorManifest) -> PredictorManifest:
        own = project.overrides.get(predictor.name, {})
        resources = replace(predictor.resources, **{key: own[key] for key in own if key != "examples"})
        return replace(predictor, resources=resources, examples=_examples(predictor, own))

    manifest = replace(manifest, predictors=tuple(map(overridden, manifest.predictors)))
    try:
        for predictor in manifest.predictors:
            resources = predictor.resources
            schedule.check_comes(resources.schedule, resources.timezone, time.time())
    except UsageError as error:
        return replace(manifest, predictors=(), trouble=Trouble(f"{predictor.name}: {error.message}", error.hint))
    return manifest


# --- the inspection process -------------------------------------------------------------------------------------


def _ask(
    component: Component,
    environment: Environment,
    variables: Mapping[str, str],
    deadline_s: float,
    options: tuple[str, ...] = (),
) -> tuple[ComponentManifest, frozenset[str]]:
    """Run the inspection in the component's environment. Raises ComponentError when it crashes or hangs."""
    settings = Settings(component=component.name, source=component.source).environment()
    own = {name: settings[name] for name in (COMPONENT, SOURCE)}
    handler = {HANDLER: component.handler} if component.handler else {}
    command = [str(environment.python), "-m", "matinee.runtime.inspect", *options]
    variables = {**os.environ, **environment.variables, **variables, **own, **handler}
    try:
        ended = run_process(command, variables, component.folder, timeout_s=deadline_s)
    except subprocess.TimeoutExpired as error:
        raise ComponentError(
            f"Component {component.name} did not finish importing within {deadline_s:g} s.",
            hint="Keep what runs long, or waits, out of the module level.",
            file=str(component.entry),
        ) from error
    return _answer(component, ended.returncode, ended.stdout, ended.stderr)


def _answer(component: Component, code: int, output: str, stderr: str) -> tuple[ComponentManifest, frozenset[str]]:
    lines = output.strip().splitlines()
    try:
        answer = json.loads(lines[-1])
        seen = frozenset(answer.pop("opened", ()))
        return component_from_json(answer), seen
    except (IndexError, ValueError, KeyError, TypeError) as error:
        if -code in _KILLS:
            hint = "Most often memory ran out. `matinee dev` tries again by itself."
            message = f"The inspection of {component.entry.name} was killed by signal {-code}."
            raise KilledError(message, hint=hint) from error
        last = next((line.strip() for line in reversed(stderr.splitlines()) if line.strip()), "it said nothing")
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise ComponentError(
            f"Component {component.name} could not be inspected: its process {how} ({last}).",
            hint=f"Run it by hand to see more: python {component.entry.name}",
            file=str(component.entry),
        ) from error


# --- the cache of manifests -------------------------------------------------------------------------------------------
# What inspection found, by content, under `.matinee/manifests/inspected`: so nothing unchanged is asked again.


@dataclass(frozen=True)
class ManifestFolder:
    """Files are written whole or not at all; any number of processes may use one folder."""

    folder: Path

    @classmethod
    def open(cls, data: Path) -> ManifestFolder:
        """Return the folder below an app's data, made if it must be. Raises ProjectError if it cannot be made."""
        folder = data / "manifests" / "inspected"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from error
        return cls(folder)

    def read(self, component: str, digest: str) -> ComponentManifest | None:
        """Return what was found in this very content, None if it was never inspected."""
        try:
            return component_from_json(json.loads(self._file(component, digest).read_bytes()))
        except (OSError, ValueError, KeyError, TypeError):  # a damaged file is no better than none
            return None

    def keep(self, manifest: ComponentManifest) -> None:
        """Remember what was found, before overrides. Raises ProjectError if it cannot be written."""
        self._write(self._file(manifest.name, manifest.hash), json.dumps(to_json(manifest), ensure_ascii=False))

    def _write(self, file: Path, text: str) -> None:
        half = file.with_name(f"{file.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        try:
            half.write_text(text, "utf-8")
            half.replace(file)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def read_opened(self, component: str, static: str) -> list[str]:
        """Return what a component was seen to open beside the files that its code names (their hash is `static`)."""
        try:
            return list(json.loads(self._opened_file(component, static).read_bytes()))
        except (OSError, ValueError, TypeError):
            return []

    def keep_opened(self, component: str, static: str, names: Iterable[str]) -> None:
        """Remember what it was seen to open. Raises ProjectError if it cannot be written."""
        if names := sorted(names):
            self._write(self._opened_file(component, static), json.dumps(names))

    def _opened_file(self, component: str, static: str) -> Path:
        return self.folder / f"{component}-{static}.opened.json"

    def _file(self, component: str, digest: str) -> Path:
        return self.folder / f"{component}-{digest}.json"


def _unwritable(folder: Path, error: OSError) -> ProjectError:
    return ProjectError(
        f"Cannot write to {folder}: {error.strerror or error}.",
        hint="Make room, or give yourself the right to write there.",
    )


# --- matinee inspect --------------------------------------------------------------------------------------------------
# `matinee inspect`: what an app holds, each component asked in its own environment.


@dataclass(frozen=True)
class Inspection:
    """An app and its components as they are on disk."""

    project: Project
    components: tuple[InspectedComponent, ...]

    @property
    def troubled(self) -> tuple[InspectedComponent, ...]:
        """The components that do not load."""
        return tuple(item for item in self.components if item.manifest.trouble)


def inspect(path: Path, report: Report | None = None, *, stage: str = "") -> Inspection:
    """Inspect the app at `path`, with a stage's settings if one is named.

    Raises ProjectError; a component that fails has `manifest.trouble` instead.
    """
    project = load(path).for_stage(stage)
    return Inspection(project, inspect_app(project, report))
