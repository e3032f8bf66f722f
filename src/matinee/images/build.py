"""`build_images`: environments first, each once, then the code on top; images that are there cost a question."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matinee.environments.prepare import Report
from matinee.errors import BackendError, ProjectError
from matinee.images import packages
from matinee.images.dockerfile import ARGUMENT, ENTRYPOINT, HOW_TO, USER
from matinee.images.engine import Engine
from matinee.images.packages import folder_of_layers, unwritable
from matinee.images.plan import MANIFEST_FILE, EnvironmentPlan, ImagePlan
from matinee.manifest import to_json

Json = Any
LABEL = "matinee.component"  # what `docker image prune --filter label=…` finds all of ours by
BUILDS_AT_ONCE = 3
LINE_CHARS = 100  # of a step that are reported


@dataclass(frozen=True)
class BuiltImage:
    """An image the engine has. `reference` is its name there, `id` its content; `was_cached` if it was there before."""

    name: str
    tag: str
    reference: str
    id: str
    size_bytes: int
    was_cached: bool
    seconds: float = 0.0


def build_images(engine: Engine, plans: Sequence[ImagePlan], report: Report | None = None) -> tuple[BuiltImage, ...]:
    """Build what the engine has not got yet, in parallel; return all images in the plans' order.

    `report` is called from several threads. Raises BackendError with the builder's words; what was finished stays,
    and nothing half-made has a name.
    """
    tell = report or (lambda _component, _line: None)
    stopped = threading.Event()
    with ThreadPoolExecutor(max_workers=BUILDS_AT_ONCE) as pool:
        waiting = [pool.submit(_build, engine, plan, tell, stopped) for plan in plans]
        try:
            return tuple(each.result() for each in waiting)
        except BaseException:
            stopped.set()
            engine.cancel_builds()
            pool.shutdown(cancel_futures=True)
            raise


def _build(engine: Engine, plan: ImagePlan, report: Report, stopped: threading.Event) -> BuiltImage:
    began = time.monotonic()
    for note in plan.notes:
        report(plan.name, note)
    found = engine.inspect(plan.reference)
    if found is not None:
        return _built(plan, found, began, was_cached=True)
    if plan.environment is None:
        engine.tag(plan.existing, plan.reference)
    else:
        if engine.inspect(plan.environment.reference) is None:
            report(plan.name, "Making its environment: packages, then the framework")
            if plan.environment.note:
                report(plan.name, plan.environment.note)
            _build_environment(engine, plan.environment, report, stopped)
        found = _build_code(engine, plan, plan.environment, report, stopped)
    built = _built(plan, found or engine.inspect(plan.reference) or {}, began, was_cached=False)
    report(plan.name, f"{plan.tag}: {built.size_bytes / 1e6:.0f} MB, in {built.seconds:.1f} s")
    return built


def stage_environment(plan: EnvironmentPlan, folder: Path, stopped: threading.Event | None = None) -> None:
    """Put what the environment's image is built from into an empty folder: layers as archives, and the Dockerfile."""
    for layer in plan.layers:
        _go_on(stopped)
        _put(layer.make(), folder / f"{layer.name}.tar")
    (folder / "Dockerfile").write_text(plan.dockerfile, "utf-8")


def stage_code(plan: ImagePlan, environment: EnvironmentPlan, folder: Path) -> None:
    """Put what the last layer is built from into an empty folder: the app's files, its manifest, and the Dockerfile."""
    app = folder / "app"
    plan.context.write(app)
    (app / MANIFEST_FILE).write_text(json.dumps(to_json(plan.manifest), ensure_ascii=False), "utf-8")
    packages.compile_few(app, environment.python)
    (folder / "Dockerfile").write_text(plan.dockerfile, "utf-8")


def _build_environment(engine: Engine, plan: EnvironmentPlan, report: Report, stopped: threading.Event) -> None:
    with _work_folder() as folder:
        stage_environment(plan, folder, stopped)
        _go_on(stopped)
        # The code's image has the label from here: a step less in what is built at each save.
        options = ["--label", f"{LABEL}={plan.name}", *_platform(engine, plan)]
        engine.build(folder, plan.reference, options, lambda line: _progress(report, plan.name, line))


def _build_code(
    engine: Engine, plan: ImagePlan, environment: EnvironmentPlan, report: Report, stopped: threading.Event
) -> dict[str, Json]:
    with _work_folder() as folder:
        stage_code(plan, environment, folder)
        options = ["--build-arg", f"{ARGUMENT}={environment.reference}", *_platform(engine, plan)]
        _go_on(stopped)
        found = engine.build(folder, plan.reference, options, lambda line: _progress(report, plan.name, line))
    _check_made(engine, plan, found.get("Config", {}))
    return found


def _check_made(engine: Engine, plan: ImagePlan, config: dict[str, Json]) -> None:
    """Raise ProjectError, and leave no image, if a Dockerfile of somebody's own changed what every image must have."""
    problem = ""
    if tuple(config.get("Entrypoint") or ()) != ENTRYPOINT:
        problem = f"has another ENTRYPOINT than {json.dumps(list(ENTRYPOINT))}"
    elif config.get("User") in {"", "root", "0", "0:0", "root:root"}:
        problem = f"would run as root: end it with USER {USER}"
    if problem:
        engine.run("image", "rm", plan.reference, check=False)
        raise ProjectError(f"The Dockerfile of {plan.name} {problem}.", hint=f"{HOW_TO} says what it must have.")


def _go_on(stopped: threading.Event | None) -> None:
    if stopped is not None and stopped.is_set():
        raise BackendError("The build was interrupted.")


def _put(file: Path, target: Path) -> None:
    try:
        target.hardlink_to(file)
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, target)


def _platform(engine: Engine, plan: ImagePlan | EnvironmentPlan) -> list[str]:
    return [] if plan.platform == engine.platform else ["--platform", plan.platform]


def _built(plan: ImagePlan, found: dict[str, object], began: float, *, was_cached: bool) -> BuiltImage:
    made_for = f"{found.get('Os')}/{found.get('Architecture')}"
    if made_for != plan.platform:
        raise BackendError(
            f"The image of {plan.name} is for {made_for}, not for {plan.platform}.",
            hint="Its Dockerfile names a base of another architecture.",
        )
    size = found["Size"]
    assert isinstance(size, int)
    return BuiltImage(plan.name, plan.tag, plan.reference, str(found["Id"]), size, was_cached, time.monotonic() - began)


def _progress(report: Report, name: str, line: str) -> None:
    """Pass on the steps that take time; the rest a builder says is for errors."""
    found = re.match(r"(?:Step \d+/\d+ : |#\d+ \[[^\]]*\] )((?:RUN|COPY|ADD) .+)", line)
    if found:
        report(name, found[1] if len(found[1]) <= LINE_CHARS else f"{found[1][:LINE_CHARS]} …")


@contextmanager
def _work_folder() -> Iterator[Path]:
    """Give a folder beside the layers, so that they can be linked, and remove it."""
    base = folder_of_layers()
    try:
        with tempfile.TemporaryDirectory(dir=base) as folder:
            yield Path(folder)
    except OSError as error:
        raise unwritable(base, error) from error
