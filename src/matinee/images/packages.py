"""An image's packages, unpacked and compiled on this machine as they will lie in it.

A package that would have to be compiled is refused: no compiler of this machine makes what runs in that one.
"""

from __future__ import annotations

import compileall
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from py_compile import PycInvalidationMode

from matinee.environments import uv
from matinee.errors import BackendError, ComponentError
from matinee.images.layers import layer
from matinee.images.lock import PLATFORMS
from matinee.project.content import framework_files, framework_hash, ui_framework_files, ui_framework_hash

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
    told: tuple[str, ...] = (),
) -> Path:
    """Return the layer of the packages a lock lists, for a platform and the version of this Python.

    `name` is the component's, for messages; `settings` the folder where uv finds its own (a private index); `options`
    are uv's, as the component declares them; `tidy` may remove what is not wanted, and `told` says how. Raises
    ComponentError for a package without a wheel for the platform, BackendError when packages cannot be fetched.
    """

    def make(folder: Path) -> None:
        _install(name, lock, folder, python=python, platform=platform, settings=settings, options=options)
        _check_wheels(name, folder, platform)
        _tidy(folder)
        compile_all(folder, python)
        if tidy is not None:
            tidy(folder)

    return layer("packages", (lock, python_version(python), platform, *told), make)


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
    ended = uv.run(
        "pip", "install", *options, "--prefix", str(folder / PREFIX), "--python", str(python), "--no-deps",
        "--verify-hashes",
        "--python-platform", PLATFORMS[platform], "--requirement", "-",
        folder=settings, stdin=lock,
    )  # fmt: skip
    if ended.returncode:
        raise BackendError(
            f"The packages of {name}'s image cannot be fetched: {uv.shortened(ended.stderr)}",
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
    told = metadata.distribution("matinee")
    info = packages / f"matinee-{told.version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(told.read_text("METADATA") or "", "utf-8")


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
