"""Inspection: components → environments → `python -m matinee.runtime.inspect` in each → manifests with overrides.

In parallel, and cached by content: an unchanged component costs a hash. A component that fails has `trouble` and the
others keep working.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from matinee import schedule, secrets
from matinee.environments.manifests import ManifestFolder
from matinee.environments.plain import plain_manifest
from matinee.environments.prepare import Environment, Report, prepare
from matinee.environments.snapshots import Snapshot, SnapshotFolder
from matinee.errors import ComponentError, MatineeError, ProjectError, UsageError
from matinee.manifest import ComponentManifest, PredictorManifest, Trouble, component_from_json
from matinee.own_paths import name_own_files
from matinee.project import Component, Project
from matinee.settings import Settings

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


def inspect_app(
    project: Project, report: Report | None = None, *, deadline_s: float = DEADLINE_S
) -> tuple[InspectedComponent, ...]:
    """Inspect all components, in parallel and in their order.

    `report` is called from several threads. Raises ProjectError for two predictors of one name, settings for a
    predictor that is not there, or a folder that cannot be written.
    """
    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1)) as pool:
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
        manifest = replace(plain_manifest(component), hash=component.content_hash())
        return InspectedComponent(component, _with_overrides(project, manifest), None, component)
    folder, snapshots = ManifestFolder.open(project.data), SnapshotFolder(project.folder)
    static = _static_hash(component)
    opened = set(folder.read_opened(component.name, static))
    environment: Environment | None = None
    while True:
        snapshot = snapshots.take(component, opened)
        try:
            environment = prepare(snapshot.component, report=report)
            manifest, seen = _manifest_of(snapshot, environment, folder, deadline_s)
            snapshots.check(snapshot)
        except MatineeError as error:
            manifest, seen = ComponentManifest(component.name, snapshot.hash, trouble=_trouble(error)), frozenset()
        opened |= seen - snapshot.digests.keys()
        contents = component.contents(opened)
        if contents.files.keys() == snapshot.digests.keys():
            break  # else it looked for files that were not there: again, with them
    manifest = _with_own_paths(manifest)
    if manifest.trouble is None and not component.is_plain:
        folder.keep(manifest)
        folder.keep_opened(component.name, static, opened)
    files = tuple(snapshot.digests)
    manifest = _with_overrides(project, manifest)
    return InspectedComponent(component, manifest, environment, snapshot.component, files, contents.left_out)


def _static_hash(component: Component) -> str:
    """Return a hash of the files that the component's code names, without what it was only seen to open."""
    try:
        return component.content_hash()
    except OSError as error:
        raise ProjectError(f"Component {component.name} cannot be read: {error}.") from error


def _manifest_of(
    snapshot: Snapshot, environment: Environment, folder: ManifestFolder, deadline_s: float
) -> tuple[ComponentManifest, frozenset[str]]:
    """Return what a snapshot holds, and what of the app's folder its import opened or looked for."""
    component = snapshot.component
    if component.is_plain:
        return replace(plain_manifest(component), hash=snapshot.hash), frozenset()
    known = folder.read(component.name, snapshot.hash)
    if known:
        return known, frozenset()
    manifest, seen = _ask(component, environment, deadline_s)
    return replace(manifest, hash=snapshot.hash), seen


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
    """Raise ProjectError for a schedule or a secret that `matinee.toml` gives to a predictor which cannot have it."""
    for p in predictors:
        for given in (project.overrides, *(stage.predictors for stage in project.stages.values())):
            told = given.get(p.name, {})
            try:
                schedule.check(told.get("schedule", ""), p.name, p.kind, p.parameters, p.examples)
                secrets.check_declared(p.name, told.get("secrets", ()))
            except UsageError as error:
                raise ProjectError(f"{project.file}: {error.message}", hint=error.hint) from error


def _shown(project: Project, item: InspectedComponent) -> str:
    return str(item.component.entry.relative_to(project.folder))


def _trouble(error: MatineeError) -> Trouble:
    if isinstance(error, ComponentError):
        return Trouble(error.message, error.hint, error.file, error.line)
    return Trouble(error.message, error.hint)


def _with_overrides(project: Project, manifest: ComponentManifest) -> ComponentManifest:
    def overridden(predictor: PredictorManifest) -> PredictorManifest:
        resources = replace(predictor.resources, **project.overrides.get(predictor.name, {}))
        return replace(predictor, resources=resources)

    return replace(manifest, predictors=tuple(map(overridden, manifest.predictors)))


# --- the process ------------------------------------------------------------------------------------------------


def _ask(component: Component, environment: Environment, deadline_s: float) -> tuple[ComponentManifest, frozenset[str]]:
    """Run the inspection in the component's environment. Raises ComponentError when it crashes or hangs."""
    settings = Settings(component=component.name, source=component.source).environment()
    wanted = {name: settings[name] for name in ("MATINEE_COMPONENT", "MATINEE_SOURCE")}
    process = subprocess.Popen(
        [str(environment.python), "-m", "matinee.runtime.inspect"],
        cwd=component.folder,
        env={**os.environ, **environment.variables, **wanted},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, said = process.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired as error:
        raise ComponentError(
            f"Component {component.name} did not finish importing within {deadline_s:g} s.",
            hint="Keep what runs long, or waits, out of the module level.",
            file=str(component.entry),
        ) from error
    finally:
        _end(process)
    return _answer(component, process.returncode, output, said)


def _end(process: subprocess.Popen[str]) -> None:
    """End the inspection and whatever it started: its session is its own."""
    kill: Callable[[], None] = process.kill
    if os.name == "posix":
        kill = lambda: os.killpg(process.pid, signal.SIGKILL)  # noqa: E731
    try:
        kill()
    except (ProcessLookupError, PermissionError):
        return
    finally:
        process.wait()


def _answer(component: Component, code: int, output: str, said: str) -> tuple[ComponentManifest, frozenset[str]]:
    lines = output.strip().splitlines()
    try:
        answer = json.loads(lines[-1])
        seen = frozenset(answer.pop("opened", ()))
        return component_from_json(answer), seen
    except (IndexError, ValueError, KeyError, TypeError) as error:
        last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise ComponentError(
            f"Component {component.name} could not be inspected: its process {how} ({last}).",
            hint=f"Run it by hand to see more: python {component.entry.name}",
            file=str(component.entry),
        ) from error
