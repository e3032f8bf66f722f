"""Components in containers of the very images that will be deployed, with the memory and CPU they declare.

A signal does not reach what an engine runs. So each container's input is a lifeline: it ends with the process that
started the container, however that ends, and the container ends with it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from matinee.backends.local.lambda_service.function import reserved_names
from matinee.client.housing import Start
from matinee.environments import Report
from matinee.environments.inspect import InspectedComponent
from matinee.images import BuiltImage, Engine, build_images, plan_images
from matinee.manifest import PredictorManifest
from matinee.project import Project
from matinee.settings import LABEL, LIFELINE_FD, MANIFEST, SOURCE, Settings

LABEL_HOST, LABEL_PREDICTOR = "matinee.host", "matinee.predictor"
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
        """See `Housing`."""
        names = [name for name in reserved_names() if name != "LAMBDA_TASK_ROOT"]  # a place on this machine
        return self._start("realtime", item, predictor, settings, secrets, more=names)

    def worker(
        self, item: InspectedComponent, predictor: PredictorManifest, settings: Settings, secrets: Mapping[str, str]
    ) -> Start:
        """See `Housing`."""
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
        told = inside.environment()
        for baked_in in (SOURCE, MANIFEST, LIFELINE_FD):
            del told[baked_in]
        told |= {LABEL: item.manifest.label, **secrets}
        command = [
            *self._run(predictor, settings.data),
            *(word for name in (*told, *more) for word in ("--env", name)),  # values are not for the process list
            self.built[item.component.name].reference,  # by content, and what `docker ps` shows
            *([] if item.component.image else [role]),  # an image that exists has a command of its own
        ]
        mine = {name: os.environ[name] for name in _OF_THE_ENGINE if name in os.environ}
        return Start(command, {**mine, **self.engine.variables, **told}, contained=True)

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
