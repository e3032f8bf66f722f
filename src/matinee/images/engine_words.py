"""What an engine says when it cannot, in plain words and with the way out."""

from __future__ import annotations

import platform
import re

from matinee.errors import BackendError
from matinee.log_lines import cut

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


def not_running(command: str, said: str) -> BackendError:
    """Return the error for an engine that is installed but does not answer."""
    told = failed(f"{command} is installed but cannot be used", said)
    return BackendError(told.message, hint=told.hint or how_to_start(command))


def how_to_start(command: str) -> str:
    """Return how one starts this engine here."""
    if command == "podman":
        return "Start it: podman machine start"
    if platform.system() == "Linux":
        return "Start it: sudo systemctl start docker"
    return "Start Docker Desktop, wait until it says that it runs, then try again."


def failed(what: str, said: str, *, hint: str = "") -> BackendError:
    """Return the error for a command that failed: `what` could not be done, and the engine's last words on it."""
    for pattern, meaning, way_out in _KNOWN:
        if re.search(pattern, said):
            return BackendError(f"{what}: {meaning}.", hint=way_out or how_to_start("docker"))
    return BackendError(f"{what}: {last_words(said)}", hint=hint)


def last_words(said: str, limit: int = 400) -> str:
    """Return the last lines that tell something, on one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not _NOISE.match(line.strip())]
    text = " ".join(lines[-3:]) or "it said nothing"
    text = text.removeprefix("Error response from daemon: ").removeprefix("ERROR: ")
    text = cut(text, limit)
    return text if text.endswith((".", "!", "?")) else f"{text}."
