"""Workloads in the images that were pushed to the emulated registry, within the limits that are declared.

The image is named by its digest at the registry, so what runs is what was deployed. Each container has a root that
cannot be written, this machine's network, and a lifeline: its input, which ends with this process however that ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from matinee.backends.local.lambda_service.function import reserved_names
from matinee.environments.inspect import InspectedComponent
from matinee.images import Engine
from matinee.ops.deploy.engine_images import EngineImages
from matinee.ops.deploy.tools import WantedImage
from matinee.ops.rehearse.machine import Command, listening
from matinee.ops.rehearse.workload import Workload
from matinee.project import Project
from matinee.settings import LIFELINE_FD

LABEL = "matinee.rehearsal"
VCPU_MB = 1769  # of a function's memory come with one vCPU
SCRATCH = "/tmp:rw,exec,mode=1777,size=512m"  # noqa: S108 (Lambda gives as much)
_OF_THE_ENGINE = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "CONTAINER_HOST", "XDG_RUNTIME_DIR")


class EngineMachine:
    """A `Machine` of containers. `endpoint` is the emulated AWS, which is the registry too."""

    is_contained = True

    def __init__(self, engine: Engine, endpoint: Callable[[], str]) -> None:
        self._engine = engine
        self._endpoint = endpoint
        self._host = f"{os.getpid()}-{time.time_ns():x}"

    def command(self, workload: Workload, added: Mapping[str, str], port: int, name: str) -> Command:
        """See `Machine`."""
        told = {**workload.environment, **added, LIFELINE_FD: "0"}
        reserved = [] if workload.container else [n for n in reserved_names() if n != "LAMBDA_TASK_ROOT"]
        image = f"{urlsplit(self._endpoint()).netloc}/{workload.image.partition('/')[2]}"
        memory, cpus = f"{workload.memory_mb}m", workload.cpu or workload.memory_mb / VCPU_MB
        named = ("--name", name) if workload.container else ()  # a function has several at once
        arguments = (
            self._engine.command, "run", "--rm", "--interactive", *named, "--label", f"{LABEL}={self._host}",
            "--network", "host", "--memory", memory, "--memory-swap", memory,
            "--cpus", f"{min(cpus, os.cpu_count() or 1):.3f}", "--cap-drop", "ALL",
            "--security-opt", "no-new-privileges",
            *(("--read-only", "--tmpfs", SCRATCH) if workload.is_read_only else ()),
            *(word for variable in (*told, *reserved) for word in ("--env", variable)),
            image, *workload.command, *listening(port),
        )  # fmt: skip
        mine = {variable: os.environ[variable] for variable in _OF_THE_ENGINE if variable in os.environ}
        return Command(arguments, {**mine, **self._engine.variables, **told}, is_contained=True)

    def kill(self, name: str) -> None:
        """See `Machine`."""
        self._engine.run("kill", name, check=False)

    def close(self) -> None:
        """Remove what is left: containers, and the names that images had at this registry."""
        left = self._engine.run("ps", "--all", "--quiet", "--filter", f"label={LABEL}={self._host}").stdout.split()
        if left:
            self._engine.run("rm", "--force", *left, check=False)
        registry = urlsplit(self._endpoint()).netloc
        listed = self._engine.run(
            "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={registry}/*"
        )
        if names := listed.stdout.split():
            self._engine.run("image", "rm", *names, check=False)


class EngineSource(EngineImages):
    """An `ImageSource` of real images, for this machine's processor whatever the stage's is."""

    def plan(
        self, project: Project, inspected: Sequence[InspectedComponent], _architecture_of: Callable[[str], str]
    ) -> tuple[WantedImage, ...]:
        """See `ImageSource`."""
        architecture = "arm64" if self._engine_here().platform.endswith("arm64") else "x86_64"
        return super().plan(project, inspected, lambda _component: architecture)
