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
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from matinee.backends.local.lambda_service.function import reserved_names
from matinee.deploy.cloud import UI_COMPONENT, Cloud, ImageMoved, Report, WantedImage
from matinee.deploy.registry import EngineImages
from matinee.environments.inspect import InspectedComponent
from matinee.errors import UsageError
from matinee.images.engine import Engine
from matinee.images.ui_image import ui_context
from matinee.manifest import ComponentManifest, to_json
from matinee.project.content import PACKAGE, files_of
from matinee.project.model import Project
from matinee.rehearsal.credentials import Clients, Credentials
from matinee.rehearsal.machines import Command, ImageFolder, ImageMissingError, Workload, listening
from matinee.settings import LIFELINE_FD, image_environment

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
        if environment is None:
            raise UsageError(
                f"{component.name} is the image {component.image}, which runs in a container only.",
                hint="Rehearse with them: matinee rehearse --images.",
            )
        app = folder / "app"
        for name in inspected.files:
            _copy(inspected.code.app_folder / name, app / name)
        there = component.moved_to(app)
        (folder / "manifest.json").write_text(json.dumps(to_json(replace(inspected.manifest, label=""))))
        baked = {
            **environment.variables,
            "PYTHONPATH": os.pathsep.join(map(str, dict.fromkeys((*there.search_path, app)))),
            **image_environment(component.name, str(there.source), str(folder / "manifest.json"), component.handler),
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

    def push(self, ecr: Any, repository: str, tag: str) -> str:
        """Tell the registry of a folder (`ecr`: a client of who pushes) and return its digest; an old one stays."""
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
        """Return the folder of an image; ImageMissingError when there is none."""
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
        expected = {"imageDigest": digest} if digest else {"imageTag": repository.rpartition(":")[2]}
        repository = repository.partition(":")[0]
        answer = ecr.batch_get_image(repositoryName=repository, imageIds=[expected])
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


# --- images as folders ------------------------------------------------------------------------------------------------
# Where a rehearsal's images come from when there is no engine: a folder for each, told to the emulated registry.


class FolderSource:
    """An `ImageSource` of folders."""

    def __init__(self, images: FolderImages) -> None:
        self._images = images
        self._inspected: dict[str, InspectedComponent] = {}
        self._ui: dict[str, Path] = {}

    def plan(
        self,
        project: Project,
        inspected: Sequence[InspectedComponent],
        architecture_of: Callable[[str], str],  # noqa: ARG002 (this machine's)
    ) -> tuple[WantedImage, ...]:
        """Return the image of every component and of the UI, without making any folder."""
        self._inspected = {item.manifest.name: item for item in inspected}
        self._ui = {file.path: file.source for file in ui_context(project).files}
        digest = _digest(self._ui)
        ui = WantedImage(UI_COMPONENT, f"{UI_COMPONENT}-{digest}", ComponentManifest(UI_COMPONENT, digest))
        return (*(WantedImage(i.manifest.name, _tag(i.manifest), i.manifest) for i in inspected), ui)

    def push(self, expected: Sequence[WantedImage], cloud: Cloud, report: Report) -> Mapping[str, str]:
        """Make a folder for each image and register it; return their digests by component."""
        digests = {}
        for image in expected:
            if image.component == UI_COMPONENT:
                self._images.make_ui(image.tag, Path(sys.executable), self._ui)
            else:
                self._images.make(self._inspected[image.component], image.tag)
            digests[image.component] = self._images.push(cloud.session.client("ecr"), cloud.names.base, image.tag)
            report(ImageMoved(image.component, "stands as a folder"))
        return digests


def _tag(manifest: ComponentManifest) -> str:
    return f"{manifest.name}-{manifest.hash}"


def _digest(files: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, path in [("matinee", PACKAGE), *files.items()]:
        for inner, file in files_of(path):
            digest.update(f"{name}/{inner}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


# --- images in containers ---------------------------------------------------------------------------------------------
# Workloads in the images that were pushed to the emulated registry, within the limits that are declared.
#
# The image is named by its digest at the registry, so what runs is what was deployed. Each container has a root that
# cannot be written, this machine's network, and a lifeline: its input, which ends with this process however that ends.

LABEL = "matinee.rehearsal"
VCPU_MB = 1769  # of a function's memory come with one vCPU
SCRATCH = "/tmp:rw,exec,mode=1777,size=512m"  # noqa: S108 (Lambda gives as much)
_OF_THE_ENGINE = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "CONTAINER_HOST", "XDG_RUNTIME_DIR")


class EngineMachine:
    """A `Machine` of containers. `endpoint` is the emulated AWS, which is the registry too."""

    is_contained = True

    def __init__(self, engine: Engine, endpoint: Callable[[], str]) -> None:
        self._engine = engine
        self._endpoint = endpoint
        self._host = f"{os.getpid()}-{time.time_ns():x}"

    def command(self, workload: Workload, added: Mapping[str, str], port: int, name: str) -> Command:
        """Return the command that runs the workload in a container."""
        variables = {**workload.environment, **added, LIFELINE_FD: "0"}
        reserved = [] if workload.container else [n for n in reserved_names() if n != "LAMBDA_TASK_ROOT"]
        image = f"{urlsplit(self._endpoint()).netloc}/{workload.image.partition('/')[2]}"
        memory, cpus = f"{workload.memory_mb}m", workload.cpu or workload.memory_mb / VCPU_MB
        named = ("--name", name) if workload.container else ()  # a function has several at once
        arguments = (
            self._engine.command, "run", "--rm", "--interactive", *named, "--label", f"{LABEL}={self._host}",
            "--network", "host", "--memory", memory, "--memory-swap", memory,
            "--cpus", f"{min(cpus, os.cpu_count() or 1):.3f}", "--cap-drop", "ALL",
            "--security-opt", "no-new-privileges",
            *(("--read-only", "--tmpfs", SCRATCH) if workload.is_read_only else ()),
            *(word for variable in (*variables, *reserved) for word in ("--env", variable)),
            image, *workload.command, *listening(port),
        )  # fmt: skip
        mine = {variable: os.environ[variable] for variable in _OF_THE_ENGINE if variable in os.environ}
        return Command(arguments, {**mine, **self._engine.variables, **variables}, is_contained=True)

    def kill(self, name: str) -> None:
        """Kill the container of this name."""
        self._engine.run("kill", name, check=False)

    def close(self) -> None:
        """Remove what is left: containers, and the names that images had at this registry."""
        left = self._engine.run("ps", "--all", "--quiet", "--filter", f"label={LABEL}={self._host}").stdout.split()
        if left:
            self._engine.run("rm", "--force", *left, check=False)
        registry = urlsplit(self._endpoint()).netloc
        listed = self._engine.run(
            "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={registry}/*"
        )
        if names := listed.stdout.split():
            self._engine.run("image", "rm", *names, check=False)


class EngineSource(EngineImages):
    """An `ImageSource` of real images, for this machine's processor whatever the stage's is."""

    def plan(
        self, project: Project, inspected: Sequence[InspectedComponent], _architecture_of: Callable[[str], str]
    ) -> tuple[WantedImage, ...]:
        """Return the image of every component and of the UI, without building any."""
        architecture = "arm64" if self._engine_here().platform.endswith("arm64") else "x86_64"
        return super().plan(project, inspected, lambda _component: architecture)
