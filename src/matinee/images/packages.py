"""An image's packages, unpacked and compiled on this machine as they will lie in it.

A package that would have to be compiled is refused: no compiler of this machine makes what runs in that one.
"""

from __future__ import annotations

import compileall
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from py_compile import PycInvalidationMode

from matinee.environments import prepare
from matinee.environments.prepare import cache_folder, locked
from matinee.errors import BackendError, ComponentError, ProjectError
from matinee.project.content import framework_files, framework_hash, ui_framework_files, ui_framework_hash
from matinee.project.dependencies import Dependencies
from matinee.project.model import Component

PREFIX = "usr/local"  # where the official Python images have theirs
_LINE = re.compile(r"(?m)^(?=[A-Za-z0-9])")  # a requirement begins where a line does; its hashes are indented
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_FOREIGN_TAG = re.compile(r"(?m)^Tag: [^-\s]+-[^-\s]+-(?!any$|manylinux|musllinux)\S+$")
_UNWANTED = ("direct_url.json", "uv_cache.json")  # they say where a file came from, perhaps with a password


def packages_layer(
    name: str,
    lock: str,
    *,
    python: Path,
    platform: str,
    settings: Path | None = None,
    options: tuple[str, ...] = (),
    tidy: Callable[[Path], None] | None = None,
    tidy_key: tuple[str, ...] = (),
) -> Path:
    """Return the layer of the packages a lock lists, for a platform and the version of this Python.

    `name` is the component's, for messages; `settings` the folder where uv finds its own (a private index); `options`
    are uv's, as the component declares them; `tidy` may remove what is not wanted, and `tidy_key` says how. Raises
    ComponentError for a package without a wheel for the platform, BackendError when packages cannot be fetched.
    """

    def make(folder: Path) -> None:
        _install(name, lock, folder, python=python, platform=platform, settings=settings, options=options)
        _check_wheels(name, folder, platform)
        _tidy(folder)
        compile_all(folder, python)
        if tidy is not None:
            tidy(folder)

    return layer("packages", (lock, python_version(python), platform, *tidy_key), make)


def framework_layer(python: Path) -> Path:
    """Return the layer of what of this very framework runs inside a component, with its metadata."""
    return _framework_layer(python, framework_hash(), framework_files)


def ui_framework_layer(python: Path) -> Path:
    """Return the same for the UI's image: all but the developer's tools."""
    return _framework_layer(python, ui_framework_hash(), ui_framework_files)


def _framework_layer(python: Path, digest: str, files: Callable[[], Iterable[tuple[str, Path]]]) -> Path:
    def make(folder: Path) -> None:
        _put_framework(folder, python_version(python), files())
        compile_all(folder, python)

    return layer("framework", (digest, python_version(python)), make)


def _install(
    name: str,
    lock: str,
    folder: Path,
    *,
    python: Path,
    platform: str,
    settings: Path | None,
    options: tuple[str, ...],
) -> None:
    ended = prepare.run_uv(
        "pip", "install", *options, "--prefix", str(folder / PREFIX), "--python", str(python), "--no-deps",
        "--verify-hashes",
        "--python-platform", PLATFORMS[platform], "--requirement", "-",
        folder=settings, stdin=lock,
    )  # fmt: skip
    if ended.returncode:
        raise BackendError(
            f"The packages of {name}'s image cannot be fetched: {prepare.shortened(ended.stderr)}",
            hint="If a package has no wheel for Linux, make the image with a Dockerfile of your own: "
            f"matinee build --eject {name}.",
        )


def split(lock: str, names: frozenset[str]) -> tuple[str, str]:
    """Return the lock's part with packages of these names, and the rest: so that images share what is common."""
    common: list[str] = []
    rest: list[str] = []
    for requirement in _LINE.split(lock):
        named = _NAME.match(requirement)
        if named and not requirement.startswith("#"):
            (common if named[0].lower() in names else rest).append(requirement)
    return "".join(common), "".join(rest)


def _put_framework(folder: Path, python_version: str, files: Iterable[tuple[str, Path]]) -> None:
    packages = folder / PREFIX / "lib" / f"python{python_version}" / "site-packages"
    for name, path in files:
        target = packages / "matinee" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    installed = metadata.distribution("matinee")
    info = packages / f"matinee-{installed.version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(installed.read_text("METADATA") or "", "utf-8")


def compile_all(folder: Path, python: Path) -> None:
    """Compile what is below `folder`: a read-only image cannot, and would at every start.

    By content rather than by time (PEP 552), since copying changes times. What cannot be compiled (a template, code for
    another Python) cannot be imported either: not ours to say.
    """
    options = ["-s", str(folder), "-p", "/", str(folder)]
    command = [str(python), "-m", "compileall", "-qq", "-j", "0", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*command, *options], stdin=subprocess.DEVNULL, check=False)


def compile_few(folder: Path, python: Path) -> None:
    """Do the same for a few files: in this process, if it is of the same version, since another takes time to start."""
    if python_version(python) != "{}.{}".format(*sys.version_info):
        compile_all(folder, python)
        return
    mode = PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(folder, quiet=2, stripdir=folder, prependdir="/", invalidation_mode=mode)


@lru_cache(maxsize=16)
def python_version(python: Path) -> str:
    """Return the version of an interpreter that matters to an image: "3.11"."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _check_wheels(name: str, folder: Path, platform: str) -> None:
    for wheel in folder.rglob("*.dist-info/WHEEL"):
        if _FOREIGN_TAG.search(wheel.read_text("utf-8")):
            package = wheel.parent.name.removesuffix(".dist-info").replace("-", " ")
            raise ComponentError(
                f"{name} needs {package}, which has no wheel for {platform}: it would have to be compiled.",
                hint=f"Choose another version, or compile it in a Dockerfile of your own: matinee build --eject {name}",
            )


def _tidy(folder: Path) -> None:
    for unwanted in _UNWANTED:
        for path in folder.rglob(f"*.dist-info/{unwanted}"):
            path.unlink()
    for script in (folder / PREFIX / "bin").glob("*"):
        text = script.read_bytes()
        if text.startswith(b"#!"):  # the interpreter it was installed by is none of the image's
            script.write_bytes(re.sub(rb"^#!.*", b"#!/usr/local/bin/python3", text, count=1))


# --- layers as archives -----------------------------------------------------------------------------------------------
# Layers as archives, made once per content and kept: the builder unpacks them, and need not be sent them as files.
#
# An archive of a layer takes the legacy builder half a second where its three thousand files take nine.

KEPT_S = 30 * 24 * 3600.0  # since it was last used


def folder_of_layers() -> Path:
    """Return where archives are kept, on the file system of uv's cache where that is possible: unpacking is linking."""
    folder = cache_folder().parent / "images"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder


def layer(name: str, parts: tuple[str, ...], make: Callable[[Path], None]) -> Path:
    """Return the archive of what `make` puts into a folder, from before if it was made of the same parts."""
    folder = folder_of_layers()
    file = folder / f"{name}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:20]}.tar"
    try:
        with locked(file.with_suffix(".lock")):
            if file.is_file():
                os.utime(file)
            else:
                _make(file, make)
                _forget_old(folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    return file


def unwritable(folder: Path, error: OSError) -> BackendError:
    """Return the error for a cache that cannot be written."""
    return BackendError(
        f"The image cannot be prepared in {folder}: {error.strerror or error}.",
        hint="Make room, or choose another folder with the variable XDG_CACHE_HOME.",
    )


def _make(file: Path, make: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(dir=file.parent) as work:
        make(Path(work))
        half = file.with_suffix(".half")
        pack(Path(work), half)
        half.replace(file)


def _forget_old(folder: Path) -> None:
    for file in folder.glob("*.tar"):
        if file.stat().st_mtime < time.time() - KEPT_S:
            file.unlink()


def pack(folder: Path, archive: Path) -> None:
    """Write what is in the folder as root's, readable by everybody, of no time: the same files are the same bytes."""
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as packed:
        for path in sorted(folder.rglob("*")):
            entry = packed.gettarinfo(path, path.relative_to(folder).as_posix())
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = "root"
            entry.mtime = 0
            entry.mode = readable(entry.mode)
            if entry.islnk():  # uv links files from its cache: here each is itself
                entry.type, entry.size = tarfile.REGTYPE, path.stat().st_size
            if entry.isreg():
                with path.open("rb") as content:
                    packed.addfile(entry, content)
            else:
                packed.addfile(entry)


def readable(mode: int) -> int:
    """Return the mode that lets everybody read what the owner reads, for an image runs as somebody else."""
    mode = stat.S_IMODE(mode)
    return 0o755 if mode & 0o100 else 0o644


# --- the lock of an image ---------------------------------------------------------------------------------------------
# The exact versions of an image: resolved once by uv, kept in `locks/` next to the app, resolved again on change.

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
    before = file.read_text("utf-8") if file.is_file() else ""
    if f"{_MADE_FROM}{made_from}" in before and not upgrade:
        return Lock(before, file)
    prepare.check_uv(component, dependencies)
    known = "" if upgrade else before or _of_another_platform(component, folder)
    body = _resolve(component, dependencies, runtime, known, platform=platform, python=python)
    text = _HEADER.format(name=component.name, platform=platform) + f"{_MADE_FROM}{made_from}\n{body}"
    _keep(file, text)
    return Lock(text, file, _changes(versions(before), versions(text)))


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
        ended = prepare.run_uv(
            "pip", "compile", *dependencies.options, *files, "-", "--output-file", str(output), "--generate-hashes",
            "--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links", "--python-version", python,
            "--python-platform", PLATFORMS[platform],
            folder=component.folder, stdin="\n".join((*dependencies.requirements, *runtime)) + "\n",
        )  # fmt: skip
        if ended.returncode:
            raise prepare.unresolved(component, dependencies, ended.stderr)
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
    removed = [f"{name} {version} is gone" for name, version in before.items() if name not in after]
    moved = [f"{n} {before[n]} → {v}" for n, v in after.items() if n in before and before[n] != v]
    new = [f"{name} {version} is new" for name, version in after.items() if name not in before]
    return (*moved, *new, *removed)
