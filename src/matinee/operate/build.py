"""`matinee build`: an image for each component and one for the UI, made here."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from matinee.backends.local.lambda_service.function import reserved_names
from matinee.client.processes import Start
from matinee.environments.inspect import InspectedComponent, Inspection, inspect_app, inspect_component
from matinee.environments.prepare import Report
from matinee.errors import UsageError
from matinee.images.build import BuiltImage, build_images
from matinee.images.dockerfile import ejected_dockerfile, own_dockerfile
from matinee.images.engine import Engine
from matinee.images.packages import FOLDER as LOCKS
from matinee.images.plan import MANIFEST_FILE, ImagePlan, plan_images
from matinee.images.ui_image import NAME, plan_ui
from matinee.manifest import PredictorManifest, to_json
from matinee.project.content import PACKAGE
from matinee.project.fields import nearest
from matinee.project.load import load
from matinee.project.model import Project
from matinee.settings import ENVIRONMENT, LABEL, LIFELINE_FD, MANIFEST, SOURCE, Settings
from matinee.stack.blueprint import UI_COMPONENT, Blueprint


@dataclass(frozen=True)
class Build:
    """What there is now. Plans and images are in the same order."""

    project: Project
    platform: str
    plans: tuple[ImagePlan, ...]
    images: tuple[BuiltImage, ...]


def build(
    path: Path,
    names: Sequence[str] = (),
    *,
    platform: str = "",
    upgrade: bool = False,
    report: Report | None = None,
) -> Build:
    """Build the images of the named components, or of all and of the UI; `platform` "" is what the engine runs.

    Raises UsageError for a name that is none, ComponentError for a component that does not load or whose dependencies
    do not come together, BackendError for an engine that is not there or cannot.
    """
    project = load(path)
    chosen = _named(project, names)
    engine = Engine.detect()
    platform = platform or engine.platform
    inspected = _inspect(project, chosen, report)
    plans = plan_images(project, inspected, platform=platform, engine=engine, upgrade=upgrade)
    if NAME in chosen:
        plans += (plan_ui(project, platform=platform, engine=engine, upgrade=upgrade),)
    return Build(project, platform, plans, build_images(engine, plans, report))


def eject(path: Path, names: Sequence[str] = (), *, platform: str = "", report: Report | None = None) -> list[Path]:
    """Write the Dockerfiles of the named components, or of all and of the UI, for their owner to change.

    Raises UsageError, and has written nothing, for one that is there already, or for an image that exists.
    """
    project = load(path)
    chosen = _named(project, names)
    platform = platform or "linux/amd64"  # the text is the same for both
    for component in project.components:
        if component.image and component.name in names:
            raise UsageError(f"{component.name} is an image that exists: it has no Dockerfile here.")
    plans = plan_images(project, _inspect(project, chosen, report), platform=platform)
    if NAME in chosen:
        plans += (plan_ui(project, platform=platform),)
    files = {_own_file(project, plan): ejected_dockerfile(plan.name, plan.environment.dockerfile)
             for plan in plans if plan.environment}  # fmt: skip
    for file in files:
        if file.exists():
            raise UsageError(f"{file} is there already.", hint="Change it as you like: it is taken as it is.")
    for file, text in files.items():
        file.write_text(text, "utf-8")
    return list(files)


def _own_file(project: Project, plan: ImagePlan) -> Path:
    component = project.component(plan.name)
    return own_dockerfile(component) if component else project.folder / f"{plan.name}.Dockerfile"


def _inspect(project: Project, chosen: set[str], report: Report | None) -> tuple[InspectedComponent, ...]:
    """Inspect the chosen components, and if these are all, also how they go together."""
    components = [component for component in project.components if component.name in chosen]
    if len(components) == len(project.components):
        return inspect_app(project, report)
    with ThreadPoolExecutor(max_workers=4) as pool:
        return tuple(pool.map(lambda component: inspect_component(project, component, report), components))


def _named(project: Project, names: Sequence[str]) -> set[str]:
    known = [*(component.name for component in project.components), NAME]
    for name in names:
        if name not in known:
            raise UsageError(
                f"{project.name} has no component {name!r}.",
                hint=nearest(name, known) or f"It has: {', '.join(known)}.",
            )
    return set(names or known)


# --- build contexts as files ------------------------------------------------------------------------------------------
# What each image is built from, as files that a plain `docker build` takes: nothing of this machine's is needed.

FRAMEWORK = "framework"
_PATH = "/usr/local/lib/matinee"
_CACHES = shutil.ignore_patterns("__pycache__")


def write_images(folder: Path, found: Inspection, b: Blueprint) -> tuple[str, ...]:
    """Write a folder for each image, and the framework beside them; return the Dockerfiles, relative to `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    plans = [_plan(found, number, b) for number in range(len(found.components))]
    plans.append(plan_ui(found.project, platform=_platform(b.architecture(UI_COMPONENT))))
    shutil.copytree(PACKAGE, folder / FRAMEWORK / PACKAGE.name, ignore=_CACHES)
    return tuple(_write(folder, found.project.folder, plan) for plan in plans)


def _plan(found: Inspection, number: int, b: Blueprint) -> ImagePlan:
    item = found.components[number]
    [plan] = plan_images(found.project, [item], platform=_platform(b.architecture(item.component.name)))
    return plan


def _platform(architecture: str) -> str:
    return "linux/arm64" if architecture == "arm64" else "linux/amd64"


def _write(folder: Path, project: Path, plan: ImagePlan) -> str:
    own = folder / plan.name
    if plan.environment is None:  # an image that exists
        own.mkdir()
        (own / "Dockerfile").write_text(f"FROM {plan.existing}\n", "utf-8")
        return f"{plan.name}/Dockerfile"
    plan.context.write(own / "app")
    if plan.name != UI_COMPONENT:
        (own / "app" / MANIFEST_FILE).write_text(json.dumps(to_json(plan.manifest), ensure_ascii=False), "utf-8")
    lock = project / LOCKS / f"{plan.name}-{plan.platform.replace('/', '-')}.txt"
    shutil.copyfile(lock, own / "requirements.txt")
    (own / "Dockerfile").write_text(dockerfile(plan, plan.environment.dockerfile), "utf-8")
    return f"{plan.name}/Dockerfile"


def dockerfile(plan: ImagePlan, environment: str) -> str:
    """Return the image's Dockerfile: that of its environment, packages installed from the lock instead, and the code.

    With a Dockerfile of the user's own, its lines follow those of the environment.
    """
    lines = [
        f"# The image of {plan.name}. Made by `matinee eject`; build it in the folder above:",
        f"#   docker build --platform {plan.platform} -f {plan.name}/Dockerfile -t {plan.tag} .",
    ]
    is_installed = False
    for line in environment.splitlines()[1:]:
        if line.startswith("ADD "):
            lines += [] if is_installed else _installed(plan.name)
            is_installed = True
        elif line.startswith("USER "):
            lines += [f"COPY {plan.name}/app/ /app/", line]
        else:
            lines.append(line)
    return "\n".join([*lines, *_own_lines(plan)]) + "\n"


def _installed(name: str) -> list[str]:
    return [
        f"COPY {name}/requirements.txt /tmp/requirements.txt",
        "RUN python -m pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.txt",
        f"COPY {FRAMEWORK}/ {_PATH}/",
        f"RUN echo {_PATH} > $(python -c 'import site; print(site.getsitepackages()[0])')/matinee.pth",
    ]


def _own_lines(plan: ImagePlan) -> list[str]:
    """Return what a Dockerfile of the user's own adds after the environment it starts from."""
    lines = [
        line
        for line in plan.dockerfile.splitlines()
        if not line.startswith(("#", f"ARG {ENVIRONMENT}", "FROM ", "COPY app/ /app/"))
    ]
    return lines if any(line.strip() for line in lines) else []


# --- components in containers -----------------------------------------------------------------------------------------
# Components in containers of the very images that will be deployed, with the memory and CPU they declare.
#
# A signal does not reach what an engine runs. So each container's input is a lifeline: it ends with the process that
# started the container, however that ends, and the container ends with it.

LABEL_HOST, LABEL_PREDICTOR = "matinee.host", "matinee.predictors"
DATA = Path("/data")  # where the app's data folder is in a container
VCPU_MB = (
    1769  # of a function's memory come with one vCPU: docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
)
TMP_MB = 512  # of /tmp, which is all that can be written: Lambda's default
_OF_THE_ENGINE = (
    "PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY",
    "CONTAINER_HOST", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME",
)  # fmt: skip
# The launcher's lock is a worker's input, its lifeline another descriptor: this keeps the one and reads the other.
_WITH_LIFELINE = f"""import os, sys
os.set_inheritable(os.dup(0), True)
os.dup2(int(os.environ["{LIFELINE_FD}"]), 0)
os.execvp(sys.argv[1], sys.argv[1:])"""


class Containers:
    """Implements `Housing` on an engine of this machine. `built` has the images of what is live, by component."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.built: dict[str, BuiltImage] = {}
        self._host = f"{os.getpid()}-{time.time_ns():x}"
        self._sweep_orphans()

    def settle(
        self, project: Project, inspected: Sequence[InspectedComponent], report: Report
    ) -> tuple[InspectedComponent, ...]:
        """Build the images that changed; raises what `plan_images` and `build_images` raise."""
        sound = [item for item in inspected if item.manifest.trouble is None]
        plans = plan_images(project, sound, platform=self.engine.platform, engine=self.engine)
        self.built = {image.name: image for image in build_images(self.engine, plans, report)}
        hashes = {plan.name: plan.manifest.hash for plan in plans}
        return tuple(
            replace(item, manifest=replace(item.manifest, hash=hashes.get(item.manifest.name, item.manifest.hash)))
            for item in inspected
        )

    def realtime(
        self, item: InspectedComponent, predictor: PredictorManifest, settings: Settings, secrets: Mapping[str, str]
    ) -> Start:
        """Return how a container of a realtime predictor is started."""
        names = [name for name in reserved_names() if name != "LAMBDA_TASK_ROOT"]  # a place on this machine
        return self._start("realtime", item, predictor, settings, secrets, more=names)

    def worker(
        self, item: InspectedComponent, predictor: PredictorManifest, settings: Settings, secrets: Mapping[str, str]
    ) -> Start:
        """Return how a container of a batch worker is started; it ends with this process."""
        start = self._start("worker", item, predictor, settings, secrets)
        return replace(start, command=[sys.executable, "-I", "-S", "-c", _WITH_LIFELINE, *start.command])

    def names(self, predictor: str) -> list[str]:
        """Return the ids of the containers of a predictor that run now."""
        return self._ids(f"{LABEL_HOST}={self._host}", f"{LABEL_PREDICTOR}={predictor}")

    def close(self) -> None:
        """Remove containers that have not ended with their lifelines: of images that are not ours."""
        self._remove(self._ids(f"{LABEL_HOST}={self._host}"))

    # --- one container ----------------------------------------------------------------------------------------------

    def _start(
        self,
        role: str,
        item: InspectedComponent,
        predictor: PredictorManifest,
        settings: Settings,
        secrets: Mapping[str, str],
        more: Iterable[str] = (),
    ) -> Start:
        inside = settings._replace(data=DATA, component=item.component.name, predictor=predictor.name)
        variables = inside.environment()
        for baked_in in (SOURCE, MANIFEST, LIFELINE_FD):
            del variables[baked_in]
        variables = {**predictor.resources.environment, **variables, LABEL: item.manifest.label, **secrets}
        command = [
            *self._run(predictor, settings.data),
            *(word for name in (*variables, *more) for word in ("--env", name)),  # values are not for the process list
            self.built[item.component.name].reference,  # by content, and what `docker ps` shows
            *([] if item.component.image else [role]),  # an image that exists has a command of its own
        ]
        mine = {name: os.environ[name] for name in _OF_THE_ENGINE if name in os.environ}
        return Start(command, {**mine, **self.engine.variables, **variables}, contained=True)

    def limits(self, predictor: PredictorManifest) -> list[str]:
        """Return the engine's options that keep a container to what the predictor declares."""
        has = predictor.resources
        memory = f"{has.memory_mb}m"
        cpus = has.cpu if predictor.kind == "batch" else has.memory_mb / VCPU_MB
        return [
            "--memory", memory, "--memory-swap", memory, "--cpus", f"{min(cpus, os.cpu_count() or 1):.3f}",
            "--read-only", "--tmpfs", f"/tmp:rw,exec,mode=1777,size={TMP_MB}m",  # noqa: S108
        ]  # fmt: skip

    def _run(self, predictor: PredictorManifest, data: Path) -> list[str]:
        return [
            self.engine.command, "run", "--rm", "--interactive", *self.limits(predictor),
            "--label", f"{LABEL_HOST}={self._host}", "--label", f"{LABEL_PREDICTOR}={predictor.name}",
            "--network", "host",  # Lambda's Runtime API listens on this machine's loopback
            "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
            "--user", f"{os.getuid()}:{os.getgid()}",  # what it writes into the data folder is this person's
            "--volume", f"{data}:{DATA}",
            "--env", f"{LIFELINE_FD}=0",
        ]  # fmt: skip

    # --- what is left -----------------------------------------------------------------------------------------------

    def _ids(self, *labels: str) -> list[str]:
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        return self.engine.run("ps", "--all", "--quiet", *filters).stdout.split()

    def _remove(self, ids: Sequence[str]) -> None:
        if ids:
            self.engine.run("rm", "--force", *ids, check=False)  # one that ends at this moment is no error

    def _sweep_orphans(self) -> None:
        """Remove containers of hosts that are no more."""
        form = f'{{{{.ID}}}} {{{{.Label "{LABEL_HOST}"}}}}'
        listed = self.engine.run("ps", "--all", "--filter", f"label={LABEL_HOST}", "--format", form).stdout
        rows = [line.split() for line in listed.splitlines()]
        self._remove([row[0] for row in rows if len(row) == 2 and not _is_alive(int(row[1].partition("-")[0]))])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
