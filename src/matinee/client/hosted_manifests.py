"""The manifest of a component as a file, for the processes that run it here."""

from __future__ import annotations

import json
import os
from pathlib import Path

from matinee.manifest import ComponentManifest, to_json


def write_manifest(data: Path, component: ComponentManifest) -> Path:
    """Write the manifest below the data folder unless it is there, whole or not at all, and return its path."""
    path = data / "manifests" / f"{component.name}-{component.label}.json"
    text = json.dumps(to_json(component))
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        partial.write_text(text)
        partial.replace(path)
    return path
