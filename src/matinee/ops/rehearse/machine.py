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
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from matinee.backends.local.lambda_service.function import passed_on
from matinee.ops.rehearse.workload import Workload


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
        """See `Machine`."""
        folder = self._images.folder_of(workload.image)
        told = {**passed_on(), **folder.variables, **workload.environment, **added}
        start = (str(folder.python), "-m", "matinee.runtime.start", *workload.command, *listening(port))
        return Command(start, told, str(folder.path))

    def kill(self, name: str) -> None:
        """See `Machine`."""

    def close(self) -> None:
        """See `Machine`."""


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
