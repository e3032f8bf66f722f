"""The folder `.matinee/manifests`: what inspection found, by content, and the counter people say ("v7")."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from matinee.environments.lock import locked
from matinee.errors import ProjectError
from matinee.manifest import ComponentManifest, component_from_json, to_json


@dataclass(frozen=True)
class ManifestFolder:
    """Files are written whole or not at all; any number of processes may use one folder."""

    folder: Path

    @classmethod
    def open(cls, data: Path) -> ManifestFolder:
        """Return the folder below an app's data, made if it must be. Raises ProjectError if it cannot be written."""
        folder = data / "manifests"
        try:
            (folder / "inspected").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from error
        return cls(folder)

    def read(self, component: str, digest: str) -> ComponentManifest | None:
        """Return what was inspected of this very content, before overrides."""
        try:
            return component_from_json(json.loads(self._inspected(component, digest).read_bytes()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # none, or from another version of the framework
            return None

    def keep(self, manifest: ComponentManifest) -> None:
        """Remember what was inspected, before overrides."""
        file = self._inspected(manifest.name, manifest.hash)
        if not file.exists():
            _write(file, manifest)

    def write(self, manifest: ComponentManifest) -> Path:
        """Write the manifest that the component's processes read and return the file."""
        file = self.folder / f"{manifest.name}-{manifest.hash}.json"
        _write(file, manifest)
        return file

    def label(self, component: str, digest: str) -> str:
        """Return the version as people say it: `v1` for the first content this folder has seen, and so on."""
        file = self.folder / "versions.json"
        try:
            with locked(self.folder / "versions.lock"):
                versions = json.loads(file.read_text("utf-8")) if file.exists() else {}
                known = versions.setdefault(component, [])
                if digest not in known:
                    known.append(digest)
                    _replace(file, json.dumps(versions, indent=1))
                return f"v{known.index(digest) + 1}"
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        except ValueError as error:
            raise ProjectError(f"{file} is damaged: {error}.", hint="Delete it: versions are counted anew.") from error

    def _inspected(self, component: str, digest: str) -> Path:
        return self.folder / "inspected" / f"{component}-{digest}.json"


def _write(file: Path, manifest: ComponentManifest) -> None:
    text = json.dumps(to_json(manifest), ensure_ascii=False)
    try:
        if not file.exists() or file.read_text("utf-8") != text:
            _replace(file, text)
    except OSError as error:
        raise _unwritable(file.parent, error) from error


def _replace(file: Path, text: str) -> None:
    # A name of this process's own: two of them may write the same file at once.
    half = file.with_name(f"{file.name}.{os.getpid()}.{id(text)}.tmp")
    half.write_text(text, "utf-8")
    half.replace(file)


def _unwritable(folder: Path, error: OSError) -> ProjectError:
    return ProjectError(
        f"Cannot write to {folder}: {error.strerror or error}.",
        hint="Make room, or give yourself the right to write there.",
    )
