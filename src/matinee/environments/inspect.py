"""Inspection: components → environments → `python -m matinee.runtime.inspect` in each → manifests with overrides.

In parallel, and cached by content: an unchanged component costs a hash. A component that fails has `trouble` and the
others keep working.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from matinee import schedule, secrets
from matinee.environments.manifests import ManifestFolder
from matinee.environments.plain import plain_manifest
from matinee.environments.prepare import Environment, Report, prepare
from matinee.errors import ComponentError, MatineeError, ProjectError, UsageError
from matinee.manifest import ComponentManifest, PredictorManifest, Trouble, component_from_json
from matinee.project import Component, Project
from matinee.settings import COMPONENT, SOURCE, Settings

DEADLINE_S = 60.0  # for importing a component; what takes longer hangs


@dataclass(frozen=True)
class InspectedComponent:
    """A component with what is known of it. `environment` is None for an image that exists, and when it could not be
    made: then there is trouble.
    """

    component: Component
    manifest: ComponentManifest
    environment: Environment | None


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
    folder = ManifestFolder.open(project.data)
    digest = _hash(component)
    environment: Environment | None = None
    try:
        if not component.image:
            environment = prepare(component, report=report)
        known = None if component.is_plain else folder.read(component.name, digest)
        manifest = known or replace(_found(component, environment, deadline_s), hash=digest)
    except MatineeError as error:
        known, manifest = None, ComponentManifest(component.name, digest, trouble=_trouble(error))
    if known is None and manifest.trouble is None and not component.is_plain:
        folder.keep(manifest)
    return InspectedComponent(component, _with_overrides(project, manifest), environment)


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


def _hash(component: Component) -> str:
    try:
        return component.content_hash()
    except OSError as error:
        raise ProjectError(f"Component {component.name} cannot be read: {error}.") from error


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


def _found(component: Component, environment: Environment | None, deadline_s: float) -> ComponentManifest:
    if component.is_plain or environment is None:
        return plain_manifest(component)
    return _ask(component, environment, deadline_s)


def _ask(component: Component, environment: Environment, deadline_s: float) -> ComponentManifest:
    """Run the inspection in the component's environment. Raises ComponentError when it crashes or hangs."""
    settings = Settings(component=component.name, source=component.source).environment()
    wanted = {name: settings[name] for name in (COMPONENT, SOURCE)}
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


def _answer(component: Component, code: int, output: str, said: str) -> ComponentManifest:
    lines = output.strip().splitlines()
    try:
        return component_from_json(json.loads(lines[-1]))
    except (IndexError, ValueError, KeyError, TypeError) as error:
        last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise ComponentError(
            f"Component {component.name} could not be inspected: its process {how} ({last}).",
            hint=f"Run it by hand to see more: python {component.entry.name}",
            file=str(component.entry),
        ) from error
