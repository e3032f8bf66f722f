"""Calls uv and says in one sentence what it could not do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from matinee.errors import BackendError, ComponentError
from matinee.project import Component
from matinee.project.dependencies import Dependencies

_OFFLINE = r"(?i)dns error|error sending request|connection refused|network connectivity|failed to fetch"
_NETWORK = "The package index cannot be reached: check the network, then try again."
_finding = threading.Lock()
_COMMON = ("--quiet", "--color", "never", "--no-progress")


def make(component: str, request: str, folder: Path) -> None:
    """Make an empty virtual environment with the Python of the request (a path or a version range)."""
    ended = run("venv", "--no-project", "--python", request, str(folder))
    if ended.returncode:
        offline = re.search(_OFFLINE, ended.stderr)
        said = "none is on this machine and none could be downloaded." if offline else shortened(ended.stderr)
        raise ComponentError(
            f"There is no Python for component {component} ({request}): {said}",
            hint="Install that Python, or loosen the component's requires-python.",
        )


def install(component: Component, dependencies: Dependencies, runtime: tuple[str, ...], python: Path) -> None:
    """Install what the component declares and what the framework's runtime needs.

    Raises ComponentError with the resolver's own words and the requirement they are about.
    """
    check(component, dependencies)
    file = [] if dependencies.file is None else ["--requirement", str(dependencies.file)]
    wanted = [*file, "--", *dependencies.requirements, *runtime]
    ended = run("pip", "install", "--python", str(python), *dependencies.options, *wanted, folder=component.folder)
    if ended.returncode:
        raise unresolved(component, dependencies, ended.stderr)


def check(component: Component, dependencies: Dependencies) -> None:
    """Raise ComponentError for a requirement that is none."""
    for text in dependencies.requirements:
        _check(component, text)


def _check(component: Component, text: str) -> None:
    try:
        Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ComponentError(
            f"Component {component.name} has a dependency that cannot be read: {text!r}: {reason}.",
            hint='Write dependencies as "numpy" or "pandas>=2,<3".',
            file=str(component.entry),
        ) from error


def unresolved(component: Component, dependencies: Dependencies, said: str) -> ComponentError:
    """Return the error for dependencies that do not come together: which component, and the resolver's own words."""
    said = shortened(said)
    guilty = [text for text in dependencies.requirements if _name(text) in re.split(r"[^a-z0-9-]+", _normal(said))]
    named = f" ({', '.join(guilty)})" if guilty else ""
    return ComponentError(
        f"The dependencies of component {component.name} cannot be installed{named}: {said}",
        hint=_NETWORK if re.search(_OFFLINE, said) else f"Mend them in {dependencies.declared_in}, then try again.",
        file=str(dependencies.file or component.entry),
    )


def _name(requirement: str) -> str:
    return _normal(Requirement(requirement).name)


def _normal(name: str) -> str:
    return re.sub(r"[_.]+", "-", name.lower())


def shortened(said: str, limit: int = 320) -> str:
    """Return the resolver's words on one line, without its drawing, its hints and what follows from them."""
    lines = [re.sub(r"^[^\w'\"(<`]+", "", line).strip() for line in said.splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith(("warning:", "Using", "Creating")))
    text = re.split(r"\s(?:we can conclude|hint:)", text)[0]
    text = re.sub(r"^(?:error: )?No solution found when resolving dependencies:?\s*(?:cause: )?", "", text)
    text = re.sub(r"^error: ", "", text).strip(" ,.")
    return f"{text}." if len(text) <= limit else text[: limit - 1] + "…"


def run(*arguments: str, folder: Path | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run one command of uv, with its settings from the folder (a private index, for example)."""
    command = [_binary(), *arguments[:1], *_COMMON, *arguments[1:]]
    if arguments[0] == "pip":  # `uv pip install`: options follow the sub-command
        command = [_binary(), *arguments[:2], *_COMMON, *arguments[2:]]
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env={"UV_SYSTEM_CERTS": "true", **os.environ},  # behind a company's certificate authority too
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise BackendError(f"uv cannot be started: {error}.", hint=f"{sys.executable} -m pip install uv") from error


@lru_cache(maxsize=1)
def _binary() -> str:
    import sysconfig

    import uv

    try:
        with _finding:  # components are prepared in parallel, and what sysconfig reads at first is not thread-safe
            sysconfig.get_config_vars()
            return uv.find_uv_bin()
    except FileNotFoundError as error:
        raise BackendError("uv is not installed.", hint=f"{sys.executable} -m pip install uv") from error
