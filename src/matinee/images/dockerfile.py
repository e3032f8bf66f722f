"""The two Dockerfiles of an image, as text: its environment, which changes seldom, and its code on top of it.

An environment has everything but the code: base, system packages, what the framework needs, what the component
declares, the framework, settings. Layers of files come as archives, which every builder unpacks. Two images rather
than one, because the legacy builder is sent everything a Dockerfile may copy each time it builds.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from matinee.environments.inspect import InspectedComponent
from matinee.errors import ProjectError
from matinee.project.content import files_of, is_secret
from matinee.project.model import Component, Project
from matinee.settings import ENVIRONMENT

ENTRYPOINT = ("python", "-m", "matinee.start")
ARGUMENT = ENVIRONMENT
USER = "nobody"  # every Debian has it
HOW_TO = "docs/how-to/build-images.md"
# Official images come without the standard library's compiled modules, and a read-only root can keep none: each start
# would compile them, half of the UI's. Importing as root keeps them; one layer for all images of a base, 4 MB.
_IMPORTED = """
argparse ast asyncio base64 bz2 calendar concurrent.futures configparser csv dataclasses decimal difflib email.generator
email.headerregistry fractions getpass gzip hmac html.parser http.client http.cookies importlib.metadata
importlib.resources inspect ipaddress json logging.config logging.handlers lzma mimetypes multiprocessing.managers
multiprocessing.pool pathlib pickle platform random secrets shlex smtplib sqlite3 ssl statistics tempfile tomllib
traceback urllib.request uuid xml.etree.ElementTree zipfile
"""


def environment_dockerfile(
    name: str,
    base: str,
    *,
    apt: Sequence[str] = (),
    layers: Sequence[str],
    variables: Mapping[str, str],
    folder: str,
    role: str = "realtime",
    port: int = 0,
    compiled: bool = True,
) -> str:
    """Return the Dockerfile of an environment. `layers` are archives of its context (NAME.tar), unpacked in order.

    `compiled` is False where the base cannot be run, for it is of another architecture.
    """
    lines = [
        f"# The environment of {name}: all of its image but its code. Made by `matinee build`.",
        f"FROM {base}",
        *(_compile() if compiled else []),
        *_system(apt),
        *(f"ADD {layer}.tar /" for layer in layers),
        "ENV " + " \\\n    ".join(f"{key}={_quoted(value)}" for key, value in variables.items()),
        f"WORKDIR {folder}",
        *([f"EXPOSE {port}"] if port else []),
        f"USER {USER}",
        "VOLUME /tmp",
        f"ENTRYPOINT {json.dumps(list(ENTRYPOINT))}",
        f"CMD {json.dumps([role])}",
    ]
    return "\n".join(lines) + "\n"


def code_dockerfile(name: str) -> str:
    """Return the Dockerfile of an image: its environment and, in a layer of its own, its code."""
    return (
        f"# The image of {name}: its environment (Python, packages, the framework), then its code.\n"
        f"ARG {ARGUMENT}=scratch\n"
        f"FROM ${{{ARGUMENT}}}\n"
        "COPY app/ /app/\n"
    )


def ejected_dockerfile(name: str, environment: str) -> str:
    """Return the Dockerfile a person gets to own, with what it stands on as a comment."""
    shown = "".join(f"#   {line}\n" for line in environment.splitlines()[1:])
    return f"""\
# The Dockerfile of {name}: yours now, `matinee build` takes it as it is. Keep these three lines.
ARG {ARGUMENT}=scratch
FROM ${{{ARGUMENT}}}
COPY app/ /app/

# Add what you need, for example:
#   USER root
#   RUN apt-get update && apt-get install -y --no-install-recommends ffmpeg && rm -rf /var/lib/apt/lists/*
#   USER {USER}
#
# `matinee build` makes ${ARGUMENT} before, from the component's dependencies and the settings in matinee.toml:
{shown}"""


def check_dockerfile(name: str, file: Path) -> str:
    """Return the text of a component's own Dockerfile. Raises ProjectError for one that lacks what makes it work."""
    text = file.read_text("utf-8", errors="replace")
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n?", "", text)).splitlines()
    last_stage = max((i for i, line in enumerate(lines) if re.match(r"(?i)\s*FROM\s", line)), default=-1)
    final = "\n".join(lines[max(last_stage, 0) :])
    required = (
        (rf"(?im)^\s*ARG\s+{ARGUMENT}\b", "\n".join(lines), f"ARG {ARGUMENT}"),
        (rf"(?im)^\s*FROM\s+.*\$\{{?{ARGUMENT}\b", final, f"FROM ${{{ARGUMENT}}} (of the last stage)"),
        (r"(?im)^\s*(?:COPY|ADD)\s.*\bapp/?\s+/app/?\s*$", final, "COPY app/ /app/"),
    )
    for pattern, where, line in required:
        if not re.search(pattern, where):
            raise ProjectError(
                f"{file.name} of component {name} has no line `{line}`.",
                hint=f"Add it: {HOW_TO} lists the three lines a Dockerfile of yours must have.",
            )
    return text


def _compile() -> list[str]:
    return [
        "# The standard library's modules that a start imports: importing them here keeps them compiled.",
        f'RUN python -c "import {", ".join(_IMPORTED.split())}"',
    ]


def _system(apt: Sequence[str]) -> list[str]:
    if not apt:
        return []
    return [
        "RUN apt-get update \\",
        f" && apt-get install -y --no-install-recommends {' '.join(apt)} \\",
        " && rm -rf /var/lib/apt/lists/* /var/cache/apt/*",
    ]


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("$", "\\$")


# --- the build context ------------------------------------------------------------------------------------------------
# Which files go into an image, where they lie there, and which stay out because their names look like secrets.

APP = PurePosixPath("/app")
HIDDEN = "its name is a secret's. Name secrets in matinee.toml instead."


@dataclass(frozen=True)
class File:
    """One file: `path` below /app, and where it is on this machine."""

    path: str
    source: Path


@dataclass(frozen=True)
class Context:
    """What goes in, and why something else that people may expect stays out (by its path as they know it)."""

    files: tuple[File, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def digest(self) -> str:
        """Return a hash of names and contents."""
        digest = hashlib.sha256()
        for file in self.files:
            with file.source.open("rb") as stream:
                digest.update(f"{file.path}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
        return digest.hexdigest()

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
    secrets = [name for name in item.left_out if is_secret(PurePosixPath(name).name)]
    return Context(files, dict.fromkeys(secrets, HIDDEN))


def own_dockerfile(component: Component) -> Path:
    """Return where a component has a Dockerfile of its own, if it has one: NAME/Dockerfile, or NAME.Dockerfile."""
    source = component.source
    return source / "Dockerfile" if source.is_dir() else source.with_suffix(".Dockerfile")


def context_of(project: Project, roots: Sequence[Path]) -> Context:
    """Return the files below some roots of the app's folder, without secrets and links that lead out of the folder."""
    found: dict[str, File] = {}
    left_out: dict[str, str] = {}
    for root in roots:
        for _, path in files_of(root):
            name = path.relative_to(project.folder).as_posix()
            if is_secret(path.name):
                left_out[name] = HIDDEN
            elif not path.resolve().is_relative_to(project.folder.resolve()):
                left_out[name] = "it leads out of the app's folder."
            else:
                found[name] = File(name, path)
        left_out |= dict.fromkeys(_hidden_secrets(project, root), HIDDEN)
    return Context(tuple(found.values()), left_out)


def in_image(project: Project, path: Path) -> PurePosixPath:
    """Return where a path of the app's folder lies in an image."""
    return APP / path.relative_to(project.folder).as_posix()


def _hidden_secrets(project: Project, root: Path) -> tuple[str, ...]:
    """Return hidden files that look like secrets: hidden files never go in, but people wonder."""
    if not root.is_dir():
        return ()
    hidden = (path for path in sorted(root.glob(".*")) if path.is_file() and is_secret(path.name))
    return tuple(path.relative_to(project.folder).as_posix() for path in hidden)
