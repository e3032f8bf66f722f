"""What each image is built from, as files that a plain `docker build` takes: nothing of this machine's is needed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from matinee.images import ImagePlan, plan_images, plan_ui
from matinee.images.lock import FOLDER as LOCKS
from matinee.images.plan import MANIFEST
from matinee.manifest import to_json
from matinee.ops.inspect import Inspection
from matinee.project.content import PACKAGE
from matinee.settings import ENVIRONMENT
from matinee.stack import Blueprint
from matinee.stack.blueprint import UI_COMPONENT

FRAMEWORK = "framework"
_PATH = "/usr/local/lib/matinee"
_CACHES = shutil.ignore_patterns("__pycache__")


def write_images(folder: Path, found: Inspection, b: Blueprint) -> tuple[str, ...]:
    """Write a folder for each image, and the framework beside them; return the Dockerfiles, relative to `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    plans = [_plan(found, number, b) for number in range(len(found.components))]
    plans.append(plan_ui(found.project, platform=_platform(b.architecture(UI_COMPONENT))))
    shutil.copytree(PACKAGE, folder / FRAMEWORK / PACKAGE.name, ignore=_CACHES)
    return tuple(_write(folder, found.project.folder, plan) for plan in plans)


def _plan(found: Inspection, number: int, b: Blueprint) -> ImagePlan:
    item = found.components[number]
    [plan] = plan_images(found.project, [item], platform=_platform(b.architecture(item.component.name)))
    return plan


def _platform(architecture: str) -> str:
    return "linux/arm64" if architecture == "arm64" else "linux/amd64"


def _write(folder: Path, project: Path, plan: ImagePlan) -> str:
    own = folder / plan.name
    if plan.environment is None:  # an image that exists
        own.mkdir()
        (own / "Dockerfile").write_text(f"FROM {plan.existing}\n", "utf-8")
        return f"{plan.name}/Dockerfile"
    plan.context.write(own / "app")
    if plan.name != UI_COMPONENT:
        (own / "app" / MANIFEST).write_text(json.dumps(to_json(plan.manifest), ensure_ascii=False), "utf-8")
    lock = project / LOCKS / f"{plan.name}-{plan.platform.replace('/', '-')}.txt"
    shutil.copyfile(lock, own / "requirements.txt")
    (own / "Dockerfile").write_text(dockerfile(plan, plan.environment.dockerfile), "utf-8")
    return f"{plan.name}/Dockerfile"


def dockerfile(plan: ImagePlan, environment: str) -> str:
    """Return the image's Dockerfile: that of its environment, packages installed from the lock instead, and the code.

    With a Dockerfile of the user's own, its lines follow those of the environment.
    """
    lines = [
        f"# The image of {plan.name}. Made by `matinee eject`; build it in the folder above:",
        f"#   docker build --platform {plan.platform} --provenance=false -f {plan.name}/Dockerfile -t {plan.tag} .",
    ]
    is_installed = False
    for line in environment.splitlines()[1:]:
        if line.startswith("ADD "):
            lines += [] if is_installed else _installed(plan.name)
            is_installed = True
        elif line.startswith("USER "):
            lines += [f"COPY {plan.name}/app/ /app/", line]
        else:
            lines.append(line)
    return "\n".join([*lines, *_own_lines(plan)]) + "\n"


def _installed(name: str) -> list[str]:
    return [
        f"COPY {name}/requirements.txt /tmp/requirements.txt",
        "RUN python -m pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.txt",
        f"COPY {FRAMEWORK}/ {_PATH}/",
        f"RUN echo {_PATH} > $(python -c 'import site; print(site.getsitepackages()[0])')/matinee.pth",
    ]


def _own_lines(plan: ImagePlan) -> list[str]:
    """Return what a Dockerfile of the user's own adds after the environment it starts from."""
    kept = [
        line
        for line in plan.dockerfile.splitlines()
        if not line.startswith(("#", f"ARG {ENVIRONMENT}", "FROM ", "COPY app/ /app/"))
    ]
    return kept if any(line.strip() for line in kept) else []
