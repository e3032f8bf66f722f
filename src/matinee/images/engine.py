"""The container engine behind a command line: Docker's, or one that takes the same words (Podman, nerdctl)."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from platform import machine, system
from typing import Any

from matinee.errors import BackendError, UsageError
from matinee.log_lines import cut
from matinee.settings import ENGINE

Json = Any
CHOICE = ENGINE
KNOWN = ("docker", "podman", "nerdctl", "finch")
PLATFORMS = ("linux/amd64", "linux/arm64")
SYSTEM, MACHINE = system(), machine()
BINFMT = Path("/proc/sys/fs/binfmt_misc")  # where Linux lists what runs foreign programs
_EMULATORS = {"linux/arm64": "qemu-aarch64", "linux/amd64": "qemu-x86_64"}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}

OnLine = Callable[[str], None]


@dataclass(frozen=True)
class Engine:
    """An engine that answered. `platform` is what it runs without emulation."""

    command: str
    version: str
    platform: str
    buildkit: bool = False
    flags: tuple[str, ...] = ()  # of a build, as this builder knows them
    variables: Mapping[str, str] = field(default_factory=dict)
    running: set[subprocess.Popen[str]] = field(default_factory=set, repr=False, compare=False)

    @classmethod
    def detect(cls) -> Engine:
        """Return the engine of this machine: the one that the variable names, or the first that is installed.

        Raises BackendError, with what to install or start, when there is none or it does not run.
        """
        command = _find()
        answer = _run([command, "version", "--format", "{{json .}}"])
        if answer.returncode:
            raise not_running(command, answer.stderr)
        found = json.loads(answer.stdout)
        server = found.get("Server") or found.get("Client") or {}
        arch = str(server.get("Arch") or server.get("OsArch") or MACHINE).rpartition("/")[2]
        platform = f"linux/{_MACHINES.get(arch, arch)}"
        version = str(server.get("Version", ""))
        if "podman" in command or "Podman" in answer.stdout:
            return cls(command, version, platform, buildkit=True, flags=("--format", "docker"))
        return cls(command, version, platform, *_builder(command, found.get("Client") or {}))

    def can_run(self, platform: str) -> bool:
        """Return whether images of a platform run here, by themselves or emulated."""
        brings_emulators = SYSTEM != "Linux"  # Docker Desktop does
        return platform == self.platform or brings_emulators or (BINFMT / _EMULATORS[platform]).exists()

    # --- asking -----------------------------------------------------------------------------------------------------

    def inspect(self, image: str) -> dict[str, Json] | None:
        """Return what the engine knows of an image it has, None if it has none of that name."""
        answer = self.run("image", "inspect", image, check=False)
        if answer.returncode:
            return None
        found: dict[str, Json] = json.loads(answer.stdout)[0]
        return found

    def run(self, *arguments: str, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run one command of the engine. Raises BackendError with its words when it fails, unless told not to."""
        answer = _run([self.command, *arguments], self.variables, stdin)
        if check and answer.returncode:
            raise failed(f"{self.command} {arguments[0]}", answer.stderr or answer.stdout)
        return answer

    def _lines(self, command: Sequence[str], done: Callable[[int], None]) -> Iterator[str]:
        """Yield the lines a command says, both streams, then call `done` with its code."""
        process = subprocess.Popen(
            command,
            env={**os.environ, **self.variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is ours to pass on: first to the builds, then to what waits for them
        )
        assert process.stdout is not None
        self.running.add(process)
        try:
            with process.stdout:
                for line in process.stdout:
                    yield line.rstrip()
        finally:
            if process.poll() is None:
                process.terminate()
            code = process.wait()
            self.running.discard(process)
        done(code)

    # --- making -----------------------------------------------------------------------------------------------------

    def build(
        self, folder: Path, tag: str, options: Sequence[str] = (), on_line: OnLine | None = None
    ) -> dict[str, Json]:
        """Build the folder (with its Dockerfile) under `tag` and return what the engine then knows of the image.

        The tag is set when all is done: an interrupted build leaves none. Raises BackendError with the builder's words.
        """
        command = [self.command, "build", *self.flags, "--tag", tag, *options, str(folder)]
        lines: list[str] = []
        for line in self._lines(command, lambda code: _check_build(tag, code, lines)):
            lines.append(line)
            if on_line is not None:
                on_line(line)
        found = self.inspect(tag)
        if found is None:
            raise BackendError(f"{self.command} built {tag} but does not have it.", hint="Is its disk full?")
        return found

    def cancel_builds(self) -> None:
        """End the builds that run: they fail, and leave no tag."""
        for process in tuple(self.running):
            process.terminate()

    def pull(self, image: str, platform: str) -> None:
        """Fetch an image. Raises BackendError with the engine's words."""
        answer = self.run("pull", "--platform", platform, image, check=False)
        if answer.returncode:
            raise failed(
                f"The image {image} ({platform}) cannot be fetched",
                answer.stderr,
                hint="Check its name and the network; for a private registry, sign in first: "
                f"{self.command} login REGISTRY.",
            )

    def tag(self, image: str, name: str) -> None:
        """Give an image one more name."""
        self.run("tag", image, name)

    def login(self, registry: str, username: str, password: str) -> None:
        """Sign in at a registry; the password goes through a pipe."""
        self.run("login", "--username", username, "--password-stdin", registry, stdin=password)

    def push(self, image: str, target: str) -> str:
        """Push a local image as `target` ("registry/repository:tag") and return its digest ("sha256:…")."""
        self.tag(image, target)
        answer = self.run("push", target)
        found = re.search(r"digest: (sha256:[0-9a-f]{64})", answer.stdout)
        if found:
            return found[1]
        repository = target.rpartition(":")[0]
        for known in (self.inspect(target) or {}).get("RepoDigests") or ():
            if known.startswith(f"{repository}@"):
                return str(known.rpartition("@")[2])
        raise BackendError(f"{self.command} pushed {target} but named no digest.", hint="Push it again.")


def check_platform(platform: str) -> str:
    """Return the platform. Raises UsageError for one that neither Lambda nor Fargate has."""
    if platform not in PLATFORMS:
        raise UsageError(f"{platform!r} is no platform.", hint=f"It is one of: {', '.join(PLATFORMS)}.")
    return platform


def _find() -> str:
    chosen = os.environ.get(CHOICE)
    if chosen:
        if shutil.which(chosen) is None:
            raise absent(f"{CHOICE}={chosen} names no command on this machine.")
        return chosen
    for command in KNOWN:
        if shutil.which(command):
            return command
    raise absent("There is no Docker on this machine.")


def _builder(command: str, client: Mapping[str, Json]) -> tuple[bool, tuple[str, ...], Mapping[str, str]]:
    """Return whether this builds with BuildKit, and the flags and variables that go with it.

    Lambda takes one manifest of one platform: no attestations, where the builder would add them.
    """
    if not Path(command).name.startswith("docker"):
        return True, (), {}
    buildx = _run([command, "buildx", "version"])
    if not buildx.returncode:
        context = _run([command, "context", "show"]).stdout.strip() or "default"
        # A builder in a container of its own would not see the images of this engine.
        variables = {"BUILDX_BUILDER": context, "DOCKER_BUILDKIT": "1"}
        return True, ("--provenance=false", "--sbom=false", "--progress=plain"), variables
    major = int(re.match(r"\d*", str(client.get("Version", "")))[0] or 0)  # type: ignore[index]
    if os.environ.get("DOCKER_BUILDKIT") == "1" and major < 23:  # BuildKit was part of the client until then
        return True, ("--progress=plain",), {}
    return False, ("--force-rm",), {"DOCKER_BUILDKIT": "0"}


def _run(
    command: Sequence[str], variables: Mapping[str, str] | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            env={**os.environ, **(variables or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise absent(f"{command[0]} cannot be started: {error.strerror or error}.") from error


def _check_build(tag: str, code: int, lines: list[str]) -> None:
    if code:
        raise failed(f"The image {tag} cannot be built", "\n".join(lines))


# --- error messages of the engine -------------------------------------------------------------------------------------
# What an engine says when it cannot, in plain words and with the way out.

INSTALL = "Install Docker (https://docs.docker.com/get-docker/) or Podman, or do without: matinee dev needs neither."
_NOISE = re.compile(
    r"(?i)^(deprecated:|\s*install the buildx|\s*buildkit is |removing intermediate|sending build|---> |#\d+ )"
)
_KNOWN = (
    (
        r"(?i)no space left on device|disk quota exceeded|not enough free space",
        "the engine's disk is full",
        "Make room: docker system prune (it removes what no container uses), then try again.",
    ),
    (
        r"(?i)permission denied.*(docker\.sock|daemon socket)|dial unix.*permission denied",
        "you may not use the engine",
        "Add yourself to its group, then sign in again: sudo usermod -aG docker $USER",
    ),
    (
        r"(?i)cannot connect to|is the docker daemon running|connection refused|no such file or directory.*\.sock",
        "the engine does not run",
        "",
    ),
    (
        r"(?i)exec format error",
        "its architecture cannot run here",
        "Install emulation: docker run --privileged --rm tonistiigi/binfmt --install all",
    ),
)


def absent(message: str) -> BackendError:
    """Return the error for a machine without an engine."""
    return BackendError(message, hint=INSTALL)


def not_running(command: str, stderr: str) -> BackendError:
    """Return the error for an engine that is installed but does not answer."""
    error = failed(f"{command} is installed but cannot be used", stderr)
    return BackendError(error.message, hint=error.hint or how_to_start(command))


def how_to_start(command: str) -> str:
    """Return how one starts this engine here."""
    if command == "podman":
        return "Start it: podman machine start"
    if platform.system() == "Linux":
        return "Start it: sudo systemctl start docker"
    return "Start Docker Desktop, wait until it says that it runs, then try again."


def failed(what: str, output: str, *, hint: str = "") -> BackendError:
    """Return the error for a command that failed: `what` could not be done, and the engine's last words on it."""
    for pattern, meaning, way_out in _KNOWN:
        if re.search(pattern, output):
            return BackendError(f"{what}: {meaning}.", hint=way_out or how_to_start("docker"))
    return BackendError(f"{what}: {last_words(output)}", hint=hint)


def last_words(output: str, limit: int = 400) -> str:
    """Return the last lines that tell something, on one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not _NOISE.match(line.strip())]
    text = " ".join(lines[-3:]) or "it said nothing"
    text = text.removeprefix("Error response from daemon: ").removeprefix("ERROR: ")
    text = cut(text, limit)
    return text if text.endswith((".", "!", "?")) else f"{text}."
