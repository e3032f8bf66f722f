"""The image everything stands on, pinned: a name may mean another image tomorrow."""

from __future__ import annotations

from dataclasses import dataclass

from matinee.errors import ProjectError
from matinee.images.engine import Engine

DEFAULT = "python:{python}-slim"


@dataclass(frozen=True)
class Base:
    """A base as a Dockerfile names it (`reference`), and what tells it from another of its name (`identity`)."""

    reference: str
    identity: str
    note: str = ""


def resolve_base(engine: Engine | None, name: str, platform: str) -> Base:
    """Return the base by digest, fetched first if the engine has it not. Without an engine its name must do.

    Raises BackendError when it cannot be fetched, ProjectError when it is of another platform.
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
    digests = [str(digest) for digest in found.get("RepoDigests") or ()]
    repository = name.partition("@")[0].rpartition(":")[0] or name
    pinned = next((digest.rpartition("@")[2] for digest in digests), "")
    if not pinned:
        note = f"The base image {name} was made on this engine, so it has no digest to be pinned by."
        return Base(name, str(found["Id"]), note)
    return Base(f"{repository}@{pinned}", pinned)


def _platform(found: dict[str, object]) -> str:
    return f"{found.get('Os', 'linux')}/{found.get('Architecture', '?')}"
