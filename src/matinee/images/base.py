"""The image everything stands on, pinned: a name may mean another image tomorrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matinee.errors import ProjectError
from matinee.images.engine import Engine

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
        return Base(name, name)
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
