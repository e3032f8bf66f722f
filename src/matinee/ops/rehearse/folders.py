"""Images without an engine: a folder per component and version, as its image would hold it, and a tag in the registry.

The sources are copied, so what runs stays what was deployed; the environment is the component's own, cached by
content. The emulated registry is told a manifest whose digest is the version's, so everything that names an image by
digest, and every permission to pull it, works as with a real one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matinee.environments.inspect import InspectedComponent
from matinee.manifest import to_json
from matinee.ops.rehearse.credentials import Clients, Credentials
from matinee.ops.rehearse.machine import ImageFolder, ImageMissingError
from matinee.project.content import files_of
from matinee.settings import image_environment

Json = Any
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_CARD = "image.json"


class FolderImages:
    """Makes and finds the folders under `base`; implements `machine.Images`."""

    def __init__(self, base: Path, clients: Clients) -> None:
        self._base = base
        self._clients = clients
        self._known: dict[str, str] = {}

    def make(self, inspected: InspectedComponent, tag: str) -> Path:
        """Make a component's folder, unless it is there."""
        folder = self._base / tag
        if (folder / _CARD).exists():
            return folder
        environment, component = inspected.environment, inspected.component
        assert environment is not None, "a component without environment has trouble, and is not deployed"
        app = folder / "app"
        for name in inspected.files:
            _copy(inspected.code.app_folder / name, app / name)
        there = component.moved_to(app)
        (folder / "manifest.json").write_text(json.dumps(to_json(replace(inspected.manifest, label=""))))
        baked = {
            **environment.variables,
            "PYTHONPATH": os.pathsep.join(map(str, dict.fromkeys((*there.search_path, app)))),
            **image_environment(component.name, str(there.source), str(folder / "manifest.json")),
        }
        _write_card(folder, environment.python, baked, component.folder.relative_to(component.app_folder))
        return folder

    def make_ui(self, tag: str, python: Path, files: Mapping[str, Path]) -> Path:
        """Make the folder of the UI's image: this interpreter, and the app's own pages."""
        folder = self._base / tag
        if not (folder / _CARD).exists():
            for name, path in files.items():
                _copy(path, folder / "app" / name)
            (folder / "app").mkdir(parents=True, exist_ok=True)
            baked = {"PYTHONPATH": str(folder / "app"), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
            _write_card(folder, python, baked, Path())
        return folder

    def push(self, repository: str, tag: str) -> str:
        """Tell the registry of a folder, and return its digest; one that is there already is left."""
        ecr = self._clients("ecr")
        manifest = manifest_of(tag)
        digest = f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"
        with contextlib.suppress(
            ecr.exceptions.ImageAlreadyExistsException, ecr.exceptions.ImageTagAlreadyExistsException
        ):
            ecr.put_image(
                repositoryName=repository, imageManifest=manifest, imageTag=tag, imageManifestMediaType=_MANIFEST
            )
        self._known[digest] = tag
        return digest

    def folder_of(self, reference: str) -> ImageFolder:
        """See `machine.Images`."""
        tag = self._tag_of(reference)
        folder = self._base / tag
        if not (folder / _CARD).exists():
            raise ImageMissingError(f"failed to resolve ref {reference}: {tag}: not found")
        card = json.loads((folder / _CARD).read_text())
        return ImageFolder(Path(card["cwd"]), Path(card["python"]), card["variables"])

    def _tag_of(self, reference: str) -> str:
        name, _, digest = reference.partition("@")
        if not digest:
            return name.rpartition(":")[2]
        if digest not in self._known:
            for image in self._images(name.partition("/")[2]):
                self._known[image["imageDigest"]] = next(iter(image.get("imageTags", [])), "")
        if digest not in self._known:
            raise ImageMissingError(f"failed to resolve ref {reference}: not found")
        return self._known[digest]

    def _images(self, repository: str) -> Json:
        try:
            return self._clients("ecr").describe_images(repositoryName=repository)["imageDetails"]
        except Exception as error:
            raise ImageMissingError(f"repository {repository}: {error}") from error


def manifest_of(tag: str) -> str:
    """Return the manifest that stands for a tag."""
    config, layer = (hashlib.sha256(f"{kind} {tag}".encode()).hexdigest() for kind in ("config", "layer"))
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "size": 2, "digest": f"sha256:{config}"},
            "layers": [{"mediaType": _LAYER, "size": 2, "digest": f"sha256:{layer}"}],
        }
    )


@dataclass(frozen=True)
class Puller:
    """Pulls an image as far as permissions go: the four calls of the agent, as the execution role."""

    clients: Clients

    def __call__(self, reference: str, who: Credentials) -> None:
        """Raise when the image may not be pulled, or is not there."""
        ecr = self.clients("ecr", who)
        name, _, digest = reference.partition("@")
        repository = name.partition("/")[2]
        ecr.get_authorization_token()
        wanted = {"imageDigest": digest} if digest else {"imageTag": repository.rpartition(":")[2]}
        repository = repository.partition(":")[0]
        answer = ecr.batch_get_image(repositoryName=repository, imageIds=[wanted])
        if not answer["images"]:
            raise ImageMissingError(f"failed to resolve ref {reference}: not found")
        for layer in json.loads(answer["images"][0]["imageManifest"])["layers"]:
            ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[layer["digest"]])
            with contextlib.suppress(ecr.exceptions.LayersNotFoundException):  # a folder stands for it
                ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=layer["digest"])


def _copy(source: Path, target: Path) -> None:
    for name, path in files_of(source):
        to = target / name if name else target
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)


def _write_card(folder: Path, python: Path, baked: Mapping[str, str], cwd: Path) -> None:
    """Written last: a folder without it is half made."""
    card = {"python": str(python), "variables": dict(baked), "cwd": str(folder / "app" / cwd)}
    partial = folder / (_CARD + ".tmp")
    partial.write_text(json.dumps(card))
    partial.replace(folder / _CARD)
