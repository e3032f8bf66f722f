"""`prepare(component)`: find or make the environment a component runs in. Made once per content, cached for ever.

dependencies → key by content → cached? → lock → uv venv → uv pip install → the framework by symlink → ready marker
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from matinee.errors import BackendError, ComponentError
from matinee.project.dependencies import Dependencies
from matinee.project.model import Component
from matinee.retry import Backoff, retry

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
        make_environment(component.name, request, folder)
        install_packages(component, dependencies, runtime_requirements(), _python(folder))
    except (ComponentError, BackendError):
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


# --- the Python of a component ----------------------------------------------------------------------------------------
# Which Python a component gets: the present one if it may, else one that uv finds.

OLDEST = (3, 11)  # what the framework itself needs


def python_request(component: str, requires_python: str) -> str:
    """Return what to ask uv for: the present interpreter's path, or a version range such as `>=3.12`.

    Raises ComponentError for a range that is none, or that ends before the oldest Python of the framework.
    """
    try:
        allowed = SpecifierSet(requires_python)
    except InvalidSpecifier as error:
        raise ComponentError(
            f"`requires-python` of component {component} is not a version range: {requires_python!r}.",
            hint='Write it as requires-python = ">=3.11".',
        ) from error
    if allowed.contains(platform.python_version(), prereleases=True):
        return sys.executable
    if not any(allowed.contains(f"{OLDEST[0]}.{minor}.{patch}") for minor in range(OLDEST[1], 100) for patch in (0, 9)):
        raise ComponentError(
            f"Component {component} asks for Python {requires_python}; matinee needs {OLDEST[0]}.{OLDEST[1]} or newer.",
            hint=f'Write requires-python = ">={OLDEST[0]}.{OLDEST[1]}".',
        )
    older = any(allowed.contains(f"{OLDEST[0]}.{minor}") for minor in range(OLDEST[1]))
    return f"{requires_python},>={OLDEST[0]}.{OLDEST[1]}" if older else requires_python


def is_present(request: str) -> bool:
    """Whether the request is the interpreter this process runs in."""
    return request == sys.executable


# --- a lock between processes -----------------------------------------------------------------------------------------
# A lock between processes: a file that the system unlocks when its holder dies.

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _acquire(descriptor: int) -> None:
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
                return
            except OSError:  # LK_LOCK gives up after ten seconds
                time.sleep(0.1)
else:
    import fcntl

    def _acquire(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold `file` exclusively, between threads and processes alike."""
    with file.open("ab") as stream:
        _acquire(stream.fileno())
        yield


# --- processes of the preparation -------------------------------------------------------------------------------
# What makes and inspects environments. Each process has a session of its own, so that it is ended with all it started.

_running: set[subprocess.Popen[str]] = set()
_is_stopping = threading.Event()


class KilledError(BackendError):
    """A process that makes or inspects an environment was killed: the same may work the next time."""


class StoppedError(BackendError):
    """Somebody has interrupted the work, with Ctrl-C for example."""


def run_process(
    command: list[str],
    environment: Mapping[str, str],
    folder: Path | None = None,
    *,
    stdin: str = "",
    timeout_s: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it wrote; what it has started ends with it.

    Raises OSError when it cannot be started, subprocess.TimeoutExpired after `timeout_s`, StoppedError when the work is
    interrupted meanwhile.
    """
    if _is_stopping.is_set():
        raise StoppedError("The work was interrupted.")
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    _running.add(process)
    try:
        output, errors = process.communicate(stdin, timeout=timeout_s)
    finally:
        _running.discard(process)
        _kill(process)
        process.wait()
    if _is_stopping.is_set():
        raise StoppedError("The work was interrupted.")
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


@contextmanager
def threads_that_end_at_once() -> Iterator[ThreadPoolExecutor]:
    """Give threads for `run_process`. When the block is interrupted, their processes are killed and so they end."""
    try:
        with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1)) as pool:
            try:
                yield pool
            except Exception:
                raise
            except BaseException:  # KeyboardInterrupt
                _is_stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                for process in tuple(_running):
                    _kill(process)
                raise
    finally:
        _is_stopping.clear()


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


# --- calls of uv ------------------------------------------------------------------------------------------------------
# Calls uv and says in one sentence what it could not do.

KILLED = Backoff(base_s=0.5, tries=3)
_OFFLINE = r"(?i)dns error|error sending request|connection refused|network connectivity|failed to fetch"
_NETWORK = "The package index cannot be reached: check the network, then try again."
_finding = threading.Lock()
_COMMON = ("--quiet", "--color", "never", "--no-progress")


def make_environment(component: str, request: str, folder: Path) -> None:
    """Make an empty virtual environment with the Python of the request (a path or a version range)."""
    ended = run_uv("venv", "--no-project", "--allow-existing", "--python", request, str(folder))
    if ended.returncode:
        offline = re.search(_OFFLINE, ended.stderr)
        why = "none is on this machine and none could be downloaded." if offline else shortened(ended.stderr)
        raise ComponentError(
            f"There is no Python for component {component} ({request}): {why}",
            hint="Install that Python, or loosen the component's requires-python.",
        )


def install_packages(component: Component, dependencies: Dependencies, runtime: tuple[str, ...], python: Path) -> None:
    """Install what the component declares and what the framework's runtime needs.

    Raises ComponentError with the resolver's own words and the requirement they are about.
    """
    check_uv(component, dependencies)
    file = [] if dependencies.file is None else ["--requirement", str(dependencies.file)]
    options = [*file, "--", *dependencies.requirements, *runtime]
    ended = run_uv("pip", "install", "--python", str(python), *dependencies.options, *options, folder=component.folder)
    if ended.returncode:
        raise unresolved(component, dependencies, ended.stderr)


def check_uv(component: Component, dependencies: Dependencies) -> None:
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


def unresolved(component: Component, dependencies: Dependencies, stderr: str) -> ComponentError:
    """Return the error for dependencies that do not come together: which component, and the resolver's own words."""
    stderr = shortened(stderr)
    guilty = [text for text in dependencies.requirements if _name(text) in re.split(r"[^a-z0-9-]+", _normal(stderr))]
    named = f" ({', '.join(guilty)})" if guilty else ""
    return ComponentError(
        f"The dependencies of component {component.name} cannot be installed{named}: {stderr}",
        hint=_NETWORK if re.search(_OFFLINE, stderr) else f"Mend them in {dependencies.declared_in}, then try again.",
        file=str(dependencies.file or component.entry),
    )


def _name(requirement: str) -> str:
    return _normal(Requirement(requirement).name)


def _normal(name: str) -> str:
    return re.sub(r"[_.]+", "-", name.lower())


def shortened(stderr: str, limit: int = 320) -> str:
    """Return the resolver's words on one line, without its drawing, its hints and what follows from them."""
    lines = [re.sub(r"^[^\w'\"(<`]+", "", line).strip() for line in stderr.splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith(("warning:", "Using", "Creating")))
    text = re.split(r"\s(?:we can conclude|hint:)", text)[0]
    text = re.sub(r"^(?:error: )?No solution found when resolving dependencies:?\s*(?:cause: )?", "", text)
    text = re.sub(r"^error: ", "", text).strip(" ,.")
    return f"{text}." if len(text) <= limit else text[: limit - 1] + "…"


def run_uv(*arguments: str, folder: Path | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run one command of uv, with its settings from the folder (a private index, for example).

    One that is killed is run again; KilledError when that happens again and again.
    """
    return retry(lambda: _run_uv(arguments, folder, stdin), on=(KilledError,), backoff=KILLED)


def _run_uv(arguments: tuple[str, ...], folder: Path | None, stdin: str) -> subprocess.CompletedProcess[str]:
    command = [_binary(), *arguments[:1], *_COMMON, *arguments[1:]]
    if arguments[0] == "pip":  # `uv pip install`: options follow the sub-command
        command = [_binary(), *arguments[:2], *_COMMON, *arguments[2:]]
    try:
        environment = {"UV_SYSTEM_CERTS": "true", **os.environ}  # behind a company's certificate authority too
        ended = run_process(command, environment, folder, stdin=stdin)
    except OSError as error:
        raise BackendError(f"uv cannot be started: {error}.", hint=f"{sys.executable} -m pip install uv") from error
    if ended.returncode < 0:
        raise KilledError(
            f"uv was killed by signal {-ended.returncode}.", hint="Most often memory ran out: end something, try again."
        )
    return ended


def _binary() -> str:
    import sysconfig

    import uv

    try:
        with _finding:  # components are prepared in parallel, and what sysconfig reads at first is not thread-safe
            sysconfig.get_config_vars()
            return uv.find_uv_bin()
    except FileNotFoundError as error:
        raise BackendError("uv is not installed.", hint=f"{sys.executable} -m pip install uv") from error
