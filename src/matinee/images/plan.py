"""`plan_images`: what each component's image is made of, and its tag by content. Nothing is built yet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from matinee.environments.inspect import InspectedComponent
from matinee.environments.prepare import runtime_requirements
from matinee.errors import ComponentError, ProjectError
from matinee.images import packages
from matinee.images.dockerfile import (
    APP,
    Context,
    check_dockerfile,
    code_dockerfile,
    component_context,
    environment_dockerfile,
    in_image,
    own_dockerfile,
)
from matinee.images.engine import Engine, check_platform
from matinee.images.packages import FOLDER, Lock, lock
from matinee.manifest import ComponentManifest, to_json
from matinee.project.content import framework_hash
from matinee.project.model import Component, Project
from matinee.settings import DATA, image_environment

ENVIRONMENTS = "matinee-environment"  # the repository of environments, on the engine alone
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class LayerPlan:
    """One archive of an environment: its name in the Dockerfile, and what returns it, made first if it must be."""

    name: str
    make: Callable[[], Path]


@dataclass(frozen=True)
class EnvironmentPlan:
    """All of an image but its code. `tag` is by content; `python` is the one here that is as the one in the image."""

    name: str
    tag: str
    dockerfile: str
    platform: str
    python: Path
    layers: tuple[LayerPlan, ...]
    note: str = ""

    @property
    def reference(self) -> str:
        """The name of its image on the engine."""
        return f"{ENVIRONMENTS}:{self.tag}"


@dataclass(frozen=True)
class ImagePlan:
    """One image to be. `manifest` goes into it; its hash, the tag's, is the component's version by content.

    An image that exists has its name in `existing`, and neither environment nor context.
    """

    name: str
    tag: str
    repository: str
    platform: str
    manifest: ComponentManifest
    environment: EnvironmentPlan | None = None
    context: Context = field(default_factory=lambda: Context(()))
    dockerfile: str = ""
    notes: tuple[str, ...] = ()
    existing: str = ""

    @property
    def reference(self) -> str:
        """The name of the image on the engine, "matinee-APP:COMPONENT-HASH"."""
        return f"{self.repository}:{self.tag}"


def plan_images(
    project: Project,
    inspected: Sequence[InspectedComponent],
    *,
    platform: str,
    engine: Engine | None = None,
    upgrade: bool = False,
) -> tuple[ImagePlan, ...]:
    """Return a plan for each inspected component, in order.

    Resolves what has no lock yet. With an engine, bases are pinned by digest. Raises ComponentError for a component
    that does not load, or whose dependencies do not come together; ProjectError for a Dockerfile that lacks a line.
    """
    check_platform(platform)
    for item in inspected:
        if item.manifest.trouble:
            trouble = item.manifest.trouble
            raise ComponentError(
                f"{item.component.name}: {trouble.message}", hint=trouble.hint, file=trouble.file, line=trouble.line
            )
    with ThreadPoolExecutor(max_workers=4) as pool:
        return tuple(pool.map(lambda item: _plan(project, item, platform, engine, upgrade=upgrade), inspected))


def _plan(
    project: Project, item: InspectedComponent, platform: str, engine: Engine | None, *, upgrade: bool
) -> ImagePlan:
    component, environment = item.component, item.environment
    if environment is None:
        return _existing(project, item, platform, engine)
    python = packages.python_version(environment.python)
    dependencies = item.code.dependencies()
    locked = lock(
        component, dependencies, runtime_requirements(),
        folder=project.folder / FOLDER, platform=platform, python=python, upgrade=upgrade,
    )  # fmt: skip
    name = component.base or project.base_image or DEFAULT.format(python=python)
    base = resolve_base(engine, name, platform, python)
    context = component_context(item)
    planned = _environment(project, component, dependencies.options, locked, base, environment.python, platform, engine)
    own = own_dockerfile(component)
    dockerfile = check_dockerfile(component.name, own) if own.is_file() else code_dockerfile(component.name)
    manifest = replace(item.manifest, hash="", label="", image="")
    digest = digest_of(planned.tag, dockerfile, context.digest(), json.dumps(to_json(manifest), sort_keys=True))
    return ImagePlan(
        name=component.name,
        tag=f"{component.name}-{digest}",
        repository=f"matinee-{project.name}",
        platform=platform,
        manifest=replace(manifest, hash=digest),
        environment=planned,
        context=context,
        dockerfile=dockerfile,
        notes=notes_of(context, locked),
    )


def _existing(project: Project, item: InspectedComponent, platform: str, engine: Engine | None) -> ImagePlan:
    """Return the plan of an image that exists: it gets a name of ours, by its content."""
    component = item.component
    found = resolve_base(engine, component.image, platform)
    digest = digest_of(found.identity, platform, json.dumps(to_json(replace(item.manifest, hash="")), sort_keys=True))
    return ImagePlan(
        name=component.name,
        tag=f"{component.name}-{digest}",
        repository=f"matinee-{project.name}",
        platform=platform,
        manifest=replace(item.manifest, hash=digest),
        existing=component.image,
    )


def _environment(
    project: Project,
    component: Component,
    options: tuple[str, ...],
    locked: Lock,
    base: Base,
    python: Path,
    platform: str,
    engine: Engine | None,
) -> EnvironmentPlan:
    def layer(lock: str) -> Callable[[], Path]:
        return lambda: packages.packages_layer(
            component.name, lock, python=python, platform=platform, settings=component.folder, options=options
        )

    common, own = packages.split(locked.text, RUNTIME_PACKAGES)
    return environment_plan(
        component.name,
        base,
        (
            LayerPlan("common", layer(common)),
            *([LayerPlan("own", layer(own))] if own else []),
            LayerPlan("framework", lambda: packages.framework_layer(python)),
        ),
        identity=(locked.text, framework_hash()),
        python=python,
        platform=platform,
        variables=_variables(project, component),
        folder=str(in_image(project, component.folder)),
        apt=component.apt,
        compiled=engine is None or engine.can_run(platform),
    )


def environment_plan(
    name: str,
    base: Base,
    layers: tuple[LayerPlan, ...],
    *,
    identity: tuple[str, ...],
    python: Path,
    platform: str,
    **options: Any,
) -> EnvironmentPlan:
    """Return the plan of an environment; `identity` tells one content of its layers from another."""
    text = environment_dockerfile(name, base.reference, layers=[layer.name for layer in layers], **options)
    tag = f"{name}-{digest_of(text, base.identity, *identity, packages.python_version(python), platform)}"
    return EnvironmentPlan(name, tag, text, platform, python, layers, base.note)


def _variables(project: Project, component: Component) -> Mapping[str, str]:
    search_path = ":".join(str(in_image(project, path)) for path in component.search_path)
    return {
        **({"PYTHONPATH": search_path} if search_path else {}),
        **common_variables(),
        **image_environment(
            component.name, str(in_image(project, component.source)), str(APP / MANIFEST_FILE), component.handler
        ),
    }


def common_variables() -> dict[str, str]:
    """Return the variables of every image."""
    return {
        "PYTHONSAFEPATH": "1",  # a file of the user's called `types.py` must not hide the standard library's
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # all is compiled, and the root may be read-only
        "HOME": "/tmp",  # noqa: S108 (the one place an image may write to)
        DATA: "/tmp/matinee",  # noqa: S108 (an image that is started alone has no other store)
    }


# What awslambdaric, boto3 and pydantic need, directly or not: a layer that images share. A name that is missing here
# goes into the layer of a component's own.
RUNTIME_PACKAGES = frozenset(
    """annotated-types awslambdaric boto3 botocore jmespath pydantic pydantic-core python-dateutil s3transfer simplejson
    six snapshot-restore-py typing-extensions typing-inspection urllib3""".split()  # noqa: SIM905 (a table to read)
)


def digest_of(*parts: str) -> str:
    """Return 16 hexadecimal digits over the parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def notes_of(context: Context, locked: Lock) -> tuple[str, ...]:
    """Return what people should know of an image: files left out, versions that changed."""
    left = [f"{name} is left out of the image: {reason}" for name, reason in context.left_out.items()]
    changed = [f"{locked.file.parent.name}/{locked.file.name}: {change}" for change in locked.changes]
    return (*left, *changed)


# --- the base image ---------------------------------------------------------------------------------------------------
# The image everything stands on, pinned: a name may mean another image tomorrow.

DEFAULT = "python:{python}-slim"


@dataclass(frozen=True)
class Base:
    """A base as a Dockerfile names it (`reference`), and what tells it from another of its name (`identity`)."""

    reference: str
    identity: str
    note: str = ""


def resolve_base(engine: Engine | None, name: str, platform: str, python: str = "") -> Base:
    """Return the base by digest, fetched first if the engine has it not. Without an engine its name must do.

    Raises BackendError when it cannot be fetched, ProjectError when it is of another platform, or says that it has
    another Python than `python` ("3.11").
    """
    if engine is None:
        return Base(on_public_ecr(name), name)
    found = engine.inspect(name)
    if found is None or _platform(found) != platform:
        engine.pull(name, platform)
        found = engine.inspect(name) or {}
    if _platform(found) != platform:
        raise ProjectError(
            f"The image {name} is for {_platform(found)}, not for {platform}.",
            hint=f"Name one that is made for {platform}, or build for this one: --platform {_platform(found)}.",
        )
    _check_python(found, name, python)
    digests = [str(digest) for digest in found.get("RepoDigests") or ()]
    pinned = next((digest.rpartition("@")[2] for digest in digests), "")
    if not pinned:
        note = f"The base image {name} was made on this engine, so it has no digest to be pinned by."
        return Base(name, str(found["Id"]), note)
    return Base(f"{name.partition('@')[0]}@{pinned}", pinned)


def on_public_ecr(name: str) -> str:
    """Return an official image of Docker Hub by its name in Amazon's public registry; another name as it is.

    What is built without an engine here is built by CodeBuild, whose shared addresses Docker Hub refuses.
    https://docs.aws.amazon.com/codebuild/latest/userguide/troubleshooting.html
    """
    official = name.removeprefix("docker.io/").removeprefix("library/")
    return name if "/" in official else f"public.ecr.aws/docker/library/{official}"


def _check_python(found: dict[str, Any], name: str, python: str) -> None:
    variables = dict(text.split("=", 1) for text in found.get("Config", {}).get("Env") or ())
    version = ".".join(variables.get("PYTHON_VERSION", python).split(".")[:2])
    if python and version != python:
        raise ProjectError(
            f"The base image {name} has Python {version}, and its packages are for {python}.",
            hint=f'Name a base with Python {python}, or say requires-python = "=={version}.*" in the component.',
        )


def _platform(found: dict[str, Any]) -> str:
    return f"{found.get('Os', 'linux')}/{found.get('Architecture', '?')}"
