"""The exact versions of an image: resolved once by uv, kept in `locks/` next to the app, resolved again on change."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matinee.environments import uv
from matinee.errors import ComponentError, ProjectError
from matinee.project import Component
from matinee.project.dependencies import Dependencies

FOLDER = "locks"
# glibc 2.34 is in Debian since 12, in Amazon Linux since 2023: older wheels run there, newer ones may not.
PLATFORMS = {"linux/amd64": "x86_64-manylinux_2_34", "linux/arm64": "aarch64-manylinux_2_34"}
_MADE_FROM = "# made from: "
_LOCAL = re.compile(r"(?m)^(?:-e .+|\.{0,2}/.+|file:.+|[\w.-]+ @ file:.+/)$")
_PIN = re.compile(r"(?m)^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)")


@dataclass(frozen=True)
class Lock:
    """Exact versions with their hashes, as a requirements file. `changes` says what is new in it, in short lines."""

    text: str
    file: Path
    changes: tuple[str, ...] = ()

    @property
    def versions(self) -> dict[str, str]:
        """The version of each package."""
        return versions(self.text)


def lock(
    component: Component,
    dependencies: Dependencies,
    runtime: tuple[str, ...],
    *,
    folder: Path,
    platform: str,
    python: str,
    upgrade: bool = False,
) -> Lock:
    """Return the component's lock for a platform and a Python ("3.11"), as kept while nothing it is made from changes.

    Versions of an older lock stay where they still fit, unless `upgrade`. Raises ComponentError with the resolver's
    words, ProjectError when the lock cannot be kept.
    """
    file = folder / f"{component.name}-{platform.replace('/', '-')}.txt"
    made_from = _fingerprint(dependencies, runtime, platform, python)
    kept = file.read_text("utf-8") if file.is_file() else ""
    if f"{_MADE_FROM}{made_from}" in kept and not upgrade:
        return Lock(kept, file)
    uv.check(component, dependencies)
    known = "" if upgrade else kept or _of_another_platform(component, folder)
    body = _resolve(component, dependencies, runtime, known, platform=platform, python=python)
    text = _HEADER.format(name=component.name, platform=platform) + f"{_MADE_FROM}{made_from}\n{body}"
    _keep(file, text)
    return Lock(text, file, _changes(versions(kept), versions(text)))


_HEADER = "# Exact versions in the image of {name} for {platform}, by `matinee build`. Keep this file with your code.\n"


def versions(text: str) -> dict[str, str]:
    """Return the version of each package of a lock."""
    return {name.lower(): version for name, version in _PIN.findall(text)}


def _fingerprint(dependencies: Dependencies, runtime: tuple[str, ...], platform: str, python: str) -> str:
    parts = (*dependencies.requirements, dependencies.text, *dependencies.options, *runtime, platform, python)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _of_another_platform(component: Component, folder: Path) -> str:
    """Return a lock of the same component for another platform: its versions are to be the same where they can."""
    others = sorted(folder.glob(f"{component.name}-linux-*.txt")) if folder.is_dir() else []
    return others[0].read_text("utf-8") if others else ""


def _resolve(
    component: Component,
    dependencies: Dependencies,
    runtime: tuple[str, ...],
    known: str,
    *,
    platform: str,
    python: str,
) -> str:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "lock.txt"
        output.write_text(known, "utf-8")  # what uv finds there, it prefers
        files = [] if dependencies.file is None else [str(dependencies.file)]
        ended = uv.run(
            "pip", "compile", *dependencies.options, *files, "-", "--output-file", str(output), "--generate-hashes",
            "--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links", "--python-version", python,
            "--python-platform", PLATFORMS[platform],
            folder=component.folder, stdin="\n".join((*dependencies.requirements, *runtime)) + "\n",
        )  # fmt: skip
        if ended.returncode:
            raise uv.unresolved(component, dependencies, ended.stderr)
        resolved = output.read_text("utf-8")
    local = _LOCAL.search(resolved)
    if local:
        raise ComponentError(
            f"Component {component.name} depends on {local[0]}, a folder of this machine.",
            hint='Share the folder instead, in matinee.toml (shared = ["…"]), or depend on a wheel made from it.',
            file=str(dependencies.file or component.entry),
        )
    return resolved


def _keep(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(exist_ok=True)
        half = file.with_name(f".{file.name}.tmp")
        half.write_text(text, "utf-8")
        half.replace(file)
    except OSError as error:
        raise ProjectError(
            f"The lock {file} cannot be written: {error.strerror or error}.", hint="Make the app's folder writable."
        ) from error


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    if not before:
        return ()
    gone = [f"{name} {version} is gone" for name, version in before.items() if name not in after]
    moved = [f"{n} {before[n]} → {v}" for n, v in after.items() if n in before and before[n] != v]
    new = [f"{name} {version} is new" for name, version in after.items() if name not in before]
    return (*moved, *new, *gone)
