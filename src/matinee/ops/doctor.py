"""`matinee doctor`: what this machine has of what an app needs, and the command that mends what it has not.

Each check is a function that returns one Finding; `examine` calls them in order. Checks of an account are the stage's.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matinee.environments import uv
from matinee.environments.prepare import cache_folder
from matinee.environments.python import OLDEST
from matinee.errors import MatineeError
from matinee.images.engine import PLATFORMS, Engine

ROOM_GB = 5.0  # what images of an ordinary app and what the builder keeps of them need


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `mend` is the command or the sentence that mends it, "" if nothing is to be done.

    What is not `needed` is missed by some commands only; `detail` says which.
    """

    what: str
    ok: bool
    detail: str
    mend: str = ""
    needed: bool = True


def examine(checks: Sequence[Callable[[], Finding]] = ()) -> tuple[Finding, ...]:
    """Look at this machine, then at what `checks` look at."""
    engine = _engine()
    here = (check_python(), check_uv(), _found(engine), *_of(engine), check_disk(engine))
    return (*here, *(check() for check in checks))


def check_python(version: tuple[int, int] = (sys.version_info[0], sys.version_info[1])) -> Finding:
    """Return whether this Python is new enough."""
    told = f"Python {platform.python_version()}, {sys.executable}"
    if version >= OLDEST:
        return Finding("Python", ok=True, detail=told)
    wanted = ".".join(map(str, OLDEST))
    return Finding("Python", ok=False, detail=f"{told} is older than {wanted}", mend=f"uv python install {wanted}")


def check_uv() -> Finding:
    """Return whether uv, which makes environments and locks, can be started."""
    try:
        answer = uv.run("--version")
    except MatineeError as error:
        return Finding("uv", ok=False, detail=error.message, mend=error.hint)
    if answer.returncode:
        mend = f"{sys.executable} -m pip install --force-reinstall uv"
        return Finding("uv", ok=False, detail=f"uv does not start: {answer.stderr.strip()}", mend=mend)
    return Finding("uv", ok=True, detail=answer.stdout.strip())


def check_disk(engine: Engine | MatineeError | None = None) -> Finding:
    """Return whether there is room where environments and images are kept."""
    rooms = {folder: shutil.disk_usage(folder).free / 1e9 for folder in _folders(engine)}
    folder, free = min(rooms.items(), key=lambda room: room[1])
    told = f"{free:.0f} GB free in {folder}"
    if free >= ROOM_GB:
        return Finding("Disk", ok=True, detail=told)
    prune = "image prune --all --filter label=matinee.component"
    mend = f"{engine.command} {prune}" if isinstance(engine, Engine) else f"Make room, or rm -r {cache_folder().parent}"
    return Finding("Disk", ok=False, detail=f"{told}; images need about {ROOM_GB:.0f}", mend=mend)


def check_emulation(engine: Engine) -> Finding:
    """Return whether images of the other architecture can run here, not only be made."""
    other = next(name for name in PLATFORMS if name != engine.platform)
    if engine.can_run(other):
        return Finding("Emulation", ok=True, detail=f"images for {engine.platform} and {other} run here", needed=False)
    return Finding(
        "Emulation",
        ok=False,
        detail=f"images for {other} can be made here, but not run: no Debian packages, slower starts",
        mend=f"{engine.command} run --privileged --rm tonistiigi/binfmt --install all",
        needed=False,
    )


def _engine() -> Engine | MatineeError:
    try:
        return Engine.detect()
    except MatineeError as error:
        return error


def _found(engine: Engine | MatineeError) -> Finding:
    if isinstance(engine, Engine):
        builder = "BuildKit" if engine.buildkit else "the legacy builder"
        return Finding("Docker", ok=True, detail=f"{engine.command} {engine.version} for {engine.platform}, {builder}")
    detail = f"{engine.message.rstrip('.')}: build, --containers and deploy need it"
    return Finding("Docker", ok=False, detail=detail, mend=engine.hint, needed=False)


def _of(engine: Engine | MatineeError) -> tuple[Finding, ...]:
    return (check_emulation(engine),) if isinstance(engine, Engine) else ()


def _folders(engine: Engine | MatineeError | None) -> list[Path]:
    """Return the folders, as far as they are this machine's: an engine may run in a machine of its own."""
    folders = [_nearest(cache_folder())]
    if isinstance(engine, Engine):
        root = Path(engine.run("info", "--format", "{{.DockerRootDir}}", check=False).stdout.strip())
        folders += [root] if root.is_absolute() and root.exists() else []
    return folders


def _nearest(folder: Path) -> Path:
    """Return the folder, or what is there above it."""
    return next(path for path in (folder, *folder.parents) if path.exists())
