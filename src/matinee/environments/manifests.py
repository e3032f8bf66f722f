"""What inspection found, by content, under `.matinee/manifests/inspected`: so nothing unchanged is asked again."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from matinee.errors import ProjectError
from matinee.manifest import ComponentManifest, component_from_json, to_json


@dataclass(frozen=True)
class ManifestFolder:
    """Files are written whole or not at all; any number of processes may use one folder."""

    folder: Path

    @classmethod
    def open(cls, data: Path) -> ManifestFolder:
        """Return the folder below an app's data, made if it must be. Raises ProjectError if it cannot be made."""
        folder = data / "manifests" / "inspected"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from error
        return cls(folder)

    def read(self, component: str, digest: str) -> ComponentManifest | None:
        """Return what was found in this very content, None if it was never inspected."""
        try:
            return component_from_json(json.loads(self._file(component, digest).read_bytes()))
        except (OSError, ValueError, KeyError, TypeError):  # a damaged file is no better than none
            return None

    def keep(self, manifest: ComponentManifest) -> None:
        """Remember what was found, before overrides. Raises ProjectError if it cannot be written."""
        self._write(self._file(manifest.name, manifest.hash), json.dumps(to_json(manifest), ensure_ascii=False))

    def _write(self, file: Path, text: str) -> None:
        half = file.with_name(f"{file.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        try:
            half.write_text(text, "utf-8")
            half.replace(file)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def read_opened(self, component: str, static: str) -> list[str]:
        """Return what a component was seen to open beside the files that its code names (their hash is `static`)."""
        try:
            return list(json.loads(self._opened_file(component, static).read_bytes()))
        except (OSError, ValueError, TypeError):
            return []

    def keep_opened(self, component: str, static: str, names: Iterable[str]) -> None:
        """Remember what it was seen to open. Raises ProjectError if it cannot be written."""
        if names := sorted(names):
            self._write(self._opened_file(component, static), json.dumps(names))

    def _opened_file(self, component: str, static: str) -> Path:
        return self.folder / f"{component}-{static}.opened.json"

    def _file(self, component: str, digest: str) -> Path:
        return self.folder / f"{component}-{digest}.json"


def _unwritable(folder: Path, error: OSError) -> ProjectError:
    return ProjectError(
        f"Cannot write to {folder}: {error.strerror or error}.",
        hint="Make room, or give yourself the right to write there.",
    )
