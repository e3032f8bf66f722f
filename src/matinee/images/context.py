"""Which files go into an image, where they lie there, and which stay out because their names look like secrets."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from matinee.environments.inspect import InspectedComponent
from matinee.project import Component, Project
from matinee.project.content import files_of, is_secret

APP = PurePosixPath("/app")


@dataclass(frozen=True)
class File:
    """One file: `path` below /app, and where it is on this machine."""

    path: str
    source: Path


@dataclass(frozen=True)
class Context:
    """What goes in, and what looked like a secret and stays out (paths as people know them)."""

    files: tuple[File, ...]
    left_out: tuple[str, ...] = ()

    def digest(self) -> str:
        """Return a hash of names and contents."""
        told = hashlib.sha256()
        for file in self.files:
            with file.source.open("rb") as stream:
                told.update(f"{file.path}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
        return told.hexdigest()

    def write(self, folder: Path) -> None:
        """Copy the files below `folder`, readable by everybody: an image runs as somebody else."""
        folder.mkdir(parents=True)
        for file in self.files:
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.source, target)
            target.chmod(0o755 if file.source.stat().st_mode & 0o100 else 0o644)


def component_context(item: InspectedComponent) -> Context:
    """Return what belongs to a component's image: the files of its snapshot, as the app's folder has them.

    A component's own Dockerfile is left out: it makes the image, it is not part of it.
    """
    root, own = item.code.app_folder, own_dockerfile(item.code)
    files = tuple(File(name, root / name) for name in item.files if root / name != own)
    return Context(files, tuple(name for name in item.left_out if is_secret(PurePosixPath(name).name)))


def own_dockerfile(component: Component) -> Path:
    """Return where a component has a Dockerfile of its own, if it has one: NAME/Dockerfile, or NAME.Dockerfile."""
    source = component.source
    return source / "Dockerfile" if source.is_dir() else source.with_suffix(".Dockerfile")


def context_of(project: Project, roots: Sequence[Path]) -> Context:
    """Return the files below some roots of the app's folder, without those whose names look like secrets."""
    found: dict[str, File] = {}
    left_out: dict[str, None] = {}
    for root in roots:
        for _, path in files_of(root):
            name = path.relative_to(project.folder).as_posix()
            if is_secret(path.name):
                left_out[name] = None
            else:
                found[name] = File(name, path)
        left_out |= dict.fromkeys(_hidden_secrets(project, root))
    return Context(tuple(found.values()), tuple(left_out))


def in_image(project: Project, path: Path) -> PurePosixPath:
    """Return where a path of the app's folder lies in an image."""
    return APP / path.relative_to(project.folder).as_posix()


def _hidden_secrets(project: Project, root: Path) -> tuple[str, ...]:
    """Return hidden files that look like secrets: hidden files never go in, but people wonder."""
    if not root.is_dir():
        return ()
    hidden = (path for path in sorted(root.glob(".*")) if path.is_file() and is_secret(path.name))
    return tuple(path.relative_to(project.folder).as_posix() for path in hidden)
