"""`prepare(component)`: find or make the environment a component runs in. Made once per content, cached for ever.

dependencies → key by content → cached? → lock → uv venv → uv pip install → the framework by symlink → ready marker
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from matinee.environments import uv
from matinee.environments.lock import locked
from matinee.environments.python import is_present, python_request
from matinee.errors import BackendError, ComponentError
from matinee.project import Component
from matinee.project.dependencies import Dependencies

PACKAGE = Path(__file__).resolve().parent.parent
READY = "matinee-ready"  # written last: an environment without it is half-made
IN_EVERY_COMPONENT = ("awslambdaric", "boto3", "pydantic")  # what the framework's runtime imports


Report = Callable[[str, str], None]  # the component's name, what happens: for people to watch


@dataclass(frozen=True)
class Environment:
    """An interpreter. `variables` are to be set for every process started with it, over those inherited."""

    python: Path
    key: str
    variables: Mapping[str, str] = field(default_factory=dict)
    is_own: bool = False  # made for this component, or the present interpreter


def cache_folder() -> Path:
    """Return the folder of all environments, of all apps of this person."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "matinee" / "environments"


def prepare(component: Component, *, report: Report | None = None) -> Environment:
    """Return the component's environment, made first if it must be.

    `report` is called from this thread. Raises ComponentError for dependencies that cannot be read or resolved,
    BackendError when the cache folder cannot be written.
    """
    dependencies = component.dependencies()
    request = python_request(component.name, dependencies.requires_python)
    if dependencies.is_empty and is_present(request):
        return Environment(Path(sys.executable), f"python-{platform.python_version()}", _variables(component))
    key = _key(dependencies, request)
    folder = cache_folder() / key
    if not _is_ready(folder):
        _make_once(component, dependencies, request, folder, report or (lambda _component, _line: None))
    return Environment(_python(folder), key, _variables(component), is_own=True)


def _variables(component: Component) -> dict[str, str]:
    return {
        # What the parent was started with must not leak into another environment.
        "PYTHONPATH": os.pathsep.join(map(str, component.search_path)),
        # A file of the user's called `types.py` must not hide the standard library's.
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _key(dependencies: Dependencies, request: str) -> str:
    python = platform.python_version() if is_present(request) else request
    parts = (
        *(dependencies.requirements if dependencies.file is None else (dependencies.text,)),
        *dependencies.options,
        python,
        sys.implementation.name,
        sys.platform,
        platform.machine(),
        str(PACKAGE),  # what the symlink points to
        *runtime_requirements(),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


@lru_cache(maxsize=1)
def runtime_requirements() -> tuple[str, ...]:
    """Return what the framework's runtime needs, as its own metadata declares it, markers resolved by the installer."""
    declared = metadata.requires("matinee") or []
    return tuple(text for text in declared if text.startswith(IN_EVERY_COMPONENT))


def _is_ready(folder: Path) -> bool:
    # The second look: a virtual environment dies with the interpreter it was made from.
    return (folder / READY).is_file() and _python(folder).exists()


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _make_once(component: Component, dependencies: Dependencies, request: str, folder: Path, report: Report) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_suffix(".lock")):
            if _is_ready(folder):  # somebody else made it while this process waited
                return
            if folder.exists():
                shutil.rmtree(folder)
            _make(component, dependencies, request, folder, report)
    except OSError as error:
        raise BackendError(
            f"Component {component.name}'s environment cannot be made in {folder.parent}: {error.strerror or error}.",
            hint="Make room or choose another folder with the variable XDG_CACHE_HOME.",
        ) from error


def _make(component: Component, dependencies: Dependencies, request: str, folder: Path, report: Report) -> None:
    began = time.monotonic()
    report(component.name, f"Making its environment: {dependencies.describe() or request}")
    try:
        uv.make(component.name, request, folder)
        uv.install(component, dependencies, runtime_requirements(), _python(folder))
    except ComponentError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _add_framework(folder)
    (folder / READY).write_text("\n".join(dependencies.requirements), encoding="utf-8")
    report(component.name, f"Environment ready in {time.monotonic() - began:.1f} s")


def _add_framework(folder: Path) -> None:
    """Put the running framework, and nothing else of its site-packages, into the environment."""
    if sys.platform == "win32":
        packages = folder / "Lib" / "site-packages"
    else:
        packages = next((folder / "lib").glob("python*/site-packages"))
    target = packages / "matinee"
    if target.exists():  # the component named it among its dependencies: the running one wins
        shutil.rmtree(target)
    try:
        target.symlink_to(PACKAGE, target_is_directory=True)
    except OSError:  # no right to make symlinks, on Windows
        shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__"))
