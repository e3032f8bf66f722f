"""Where workloads run: as processes in their components' environments, or in the images that were pushed.

Both are given the same: the workload as it was read back, and the variables a service adds to it. A process gets,
besides, what its image would have baked in.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from matinee.backends.local.lambda_service.function import passed_on
from matinee.errors import BackendError


@dataclass(frozen=True)
class Command:
    """What to execute; a workload's own variables are in `environment` already."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: str = ""
    is_contained: bool = False  # an engine runs it: its input is kept open as long as it may live


class ImageMissingError(Exception):
    """The image is not there, or is of something else; in the words ECS uses."""


class Machine(Protocol):
    """Knows how a workload is started on this machine."""

    def command(self, workload: Workload, added: Mapping[str, str], port: int, name: str) -> Command:
        """Return what starts it. `port` is where it shall listen, `name` what to call it; may raise ImageMissing."""

    def kill(self, name: str) -> None:
        """Kill what runs under this name, as far as ending the command is not enough."""

    def close(self) -> None:
        """Clear away what workloads may have left."""


class Running:
    """A started command, its output a pipe. It leads a process group, which is ended with it."""

    def __init__(self, command: Command) -> None:
        self._process = subprocess.Popen(
            list(command.arguments), env=dict(command.environment), cwd=command.cwd or None, process_group=0,
            stdin=subprocess.PIPE if command.is_contained else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.output = self._process.stdout
        self.pid = self._process.pid

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return the exit code as a container has it (128 + signal), None when it has not ended in time."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        return 128 - code if code < 0 else code

    def terminate(self) -> None:
        """Ask its first process to end, as ECS does."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End the whole group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


class Processes:
    """A `Machine` without an engine. `images` finds the folder that stands for an image: see `folders`."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def command(self, workload: Workload, added: Mapping[str, str], port: int, name: str) -> Command:  # noqa: ARG002
        """Return the command that runs the workload in the folder of its image."""
        folder = self._images.folder_of(workload.image)
        variables = {**passed_on(), **folder.variables, **workload.environment, **added}
        start = (str(folder.python), "-m", "matinee.start", *workload.command, *listening(port))
        return Command(start, variables, str(folder.path))

    def kill(self, name: str) -> None:
        """Do nothing: ending the command is enough."""

    def close(self) -> None:
        """Do nothing: workloads leave nothing."""


def listening(port: int) -> tuple[str, ...]:
    """Return where to listen, as options of the command: several tasks of one definition share this machine's ports."""
    return ("--host", "127.0.0.1", "--port", str(port)) if port else ()


@dataclass(frozen=True)
class ImageFolder:
    """What stands for an image where there is no engine: an interpreter, sources as they were, what is baked in."""

    path: Path
    python: Path
    variables: Mapping[str, str]


class Images(Protocol):
    """Finds what an image's reference stands for."""

    def folder_of(self, reference: str) -> ImageFolder:
        """Return the folder of `registry/repository@sha256:…`; ImageMissingError when there is none."""


# --- workloads of a stage ---------------------------------------------------------------------------------------------
# What was deployed, read back: a task definition or a function as one value that says what to start and how.

Json = Any
STOP_TIMEOUT_S = 30.0  # what ECS waits between SIGTERM and SIGKILL when a definition does not say


@dataclass(frozen=True)
class Workload:
    """One container of what was deployed. `environment` is the template's, without region, endpoint and credentials."""

    name: str  # of its function or task definition
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    role: str  # an ARN; "" = it has none
    memory_mb: int
    cpu: float = 0.0  # vCPU; 0 = not limited
    timeout_s: float = 0.0
    is_read_only: bool = False
    stop_timeout_s: float = STOP_TIMEOUT_S
    port: int = 0  # what it listens on; 0 = nothing
    container: str = ""
    execution_role: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)  # variable → SSM parameter or secret
    log_group: str = ""
    log_prefix: str = ""


def of_task(definition: Json, overrides: Json | None = None) -> Workload:
    """Return the one container of a task definition, with a RunTask's overrides; BackendError when there are more."""
    containers = definition["containerDefinitions"]
    if len(containers) != 1:
        raise BackendError(f"The task definition {definition['family']} has {len(containers)} containers, not one.")
    (container,) = containers
    over = _override(overrides or {}, container["name"])
    logs = container.get("logConfiguration", {}).get("options", {})
    return Workload(
        name=definition["family"],
        image=container["image"],
        command=tuple(over.get("command") or container.get("command", ())),
        environment=_pairs(container.get("environment", ())) | _pairs(over.get("environment", ())),
        role=(overrides or {}).get("taskRoleArn") or definition.get("taskRoleArn", ""),
        memory_mb=int(definition.get("memory") or container.get("memory") or 512),
        cpu=int(definition.get("cpu") or 256) / 1024,
        is_read_only=bool(container.get("readonlyRootFilesystem")),
        stop_timeout_s=float(container.get("stopTimeout") or STOP_TIMEOUT_S),
        port=next((int(p["containerPort"]) for p in container.get("portMappings", ())), 0),
        container=container["name"],
        execution_role=definition.get("executionRoleArn", ""),
        secrets=_pairs(container.get("secrets", ()), "valueFrom"),
        log_group=logs.get("awslogs-group", ""),
        log_prefix=logs.get("awslogs-stream-prefix", ""),
    )


def of_function(configuration: Json, image: str) -> Workload:
    """Return a function as it is configured; `image` is where its code is."""
    config = configuration.get("ImageConfigResponse", {}).get("ImageConfig", {})
    name = configuration["FunctionName"]
    return Workload(
        name=name,
        image=image,
        command=tuple(config.get("Command", ())),
        environment=dict(configuration.get("Environment", {}).get("Variables", {})),
        role=configuration["Role"],
        memory_mb=int(configuration["MemorySize"]),
        timeout_s=float(configuration["Timeout"]),
        is_read_only=True,  # all but /tmp is, on Lambda
        log_group=configuration.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{name}",
    )


def _override(overrides: Json, name: str) -> Json:
    return next((o for o in overrides.get("containerOverrides", ()) if o.get("name") == name), {})


def _pairs(listed: Json, value: str = "value") -> dict[str, str]:
    """Return values by name, whichever way the emulator spells the keys: as the API has them, or as templates do."""
    spelled = [{key[:1].lower() + key[1:]: text for key, text in one.items()} for one in listed]
    return {one["name"]: one[value] for one in spelled}
