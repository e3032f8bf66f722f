"""The one image that is no component's: UI, HTTP API and dispatcher, with the pages of the app's own."""

from __future__ import annotations

import inspect
import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from matinee.images import packages
from matinee.images import slim as slimming
from matinee.images.base import DEFAULT, resolve_base
from matinee.images.context import APP, Context, context_of
from matinee.images.dockerfile import check_dockerfile, code_dockerfile
from matinee.images.engine import Engine, check_platform
from matinee.images.lock import FOLDER, lock
from matinee.images.plan import ImagePlan, LayerPlan, common_variables, digest_of, environment_plan, notes_of
from matinee.manifest import ComponentManifest
from matinee.project import Component, Project
from matinee.project.components import RESERVED
from matinee.project.content import imports_beside, ui_framework_hash
from matinee.project.dependencies import Dependencies, read_dependencies
from matinee.settings import UI_FOLDER

NAME = RESERVED
PORT = 8501
# What only the developer's command line imports.
TOOLS = ("python-dotenv", "rich", "segno", "troposphere", "typer", "uv", "watchfiles")
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")


def plan_ui(project: Project, *, platform: str, engine: Engine | None = None, upgrade: bool = False) -> ImagePlan:
    """Return the plan of the UI's image. Raises what `plan_images` raises."""
    check_platform(platform)
    python = Path(sys.executable)
    version = packages.python_version(python)
    pages = _page_dependencies(project)
    locked = lock(
        Component(NAME, project.folder / "ui.py"), pages, ui_requirements(project),
        folder=project.folder / FOLDER, platform=platform, python=version, upgrade=upgrade,
    )  # fmt: skip
    base = resolve_base(engine, project.base_image or DEFAULT.format(python=version), platform, version)
    own = tuple(Requirement(text).name for text in pages.requirements)
    environment = environment_plan(
        NAME,
        base,
        (
            LayerPlan("packages", lambda: _packages(project, locked.text, own, python, platform)),
            LayerPlan("framework", lambda: packages.ui_framework_layer(python)),
        ),
        identity=(locked.text, ui_framework_hash(), inspect.getsource(slimming), *sorted(own)),
        python=python,
        platform=platform,
        variables={**common_variables(), UI_FOLDER: str(APP)},
        folder=str(APP),
        role="ui",
        port=PORT,
        compiled=engine is None or engine.can_run(platform),
    )
    context = ui_context(project)
    own_file = project.folder / f"{NAME}.Dockerfile"
    dockerfile = check_dockerfile(NAME, own_file) if own_file.is_file() else code_dockerfile(NAME)
    digest = digest_of(environment.tag, dockerfile, context.digest())
    return ImagePlan(
        name=NAME,
        tag=f"{NAME}-{digest}",
        repository=f"matinee-{project.name}",
        platform=platform,
        manifest=ComponentManifest(NAME, digest),
        environment=environment,
        context=context,
        dockerfile=dockerfile,
        notes=notes_of(context, locked),
    )


def ui_requirements(project: Project) -> tuple[str, ...]:
    """Return what UI, API and dispatcher need: all that the framework declares but the tools of its command line."""
    wanted = {"mcp"} if project.api.mcp else set()
    wanted |= {project.auth.sign_in_mode.extra} - {""}
    found = []
    for text in metadata.requires("matinee") or ():
        requirement = Requirement(text)
        extra = re.search(r"extra == ['\"](\w+)['\"]", text)
        if requirement.name not in TOOLS and (extra is None or extra[1] in wanted):
            found.append(text.partition(";")[0].strip() if extra else text)
    return tuple(found)


def ui_context(project: Project) -> Context:
    """Return the files of the app that its UI shows or runs: pages and what they import, logo, README with pictures."""
    roots = [project.folder / page.file for page in project.ui.pages]
    roots += [path for root in tuple(roots) for path in imports_beside(root, project.folder)]
    if roots:
        roots += [path for component in project.components for path in component.shared]
    roots += [project.folder / name for name in (project.ui.logo, project.ui.about) if name]
    if project.ui.about:
        roots += _pictures(project.folder, project.folder / project.ui.about)
    return context_of(project, tuple(dict.fromkeys(roots)))


def _pictures(folder: Path, readme: Path) -> list[Path]:
    named = (
        folder / name for name in _PICTURE.findall(readme.read_text("utf-8", errors="replace")) if "://" not in name
    )
    return [path for path in (p.resolve() for p in named) if path.is_relative_to(folder) and path.is_file()]


def _page_dependencies(project: Project) -> Dependencies:
    """Return what the app's own pages declare in their headers, together."""
    found = [
        read_dependencies(page.file, project.folder / page.file, project.folder / page.file)
        for page in project.ui.pages
    ]
    return Dependencies(
        tuple(dict.fromkeys(text for one in found for text in one.requirements)),
        declared_in=", ".join(one.declared_in for one in found if one.requirements),
        options=tuple(dict.fromkeys(text for one in found for text in one.options)),
    )


def _packages(project: Project, lock: str, own: tuple[str, ...], python: Path, platform: str) -> Path:
    return packages.packages_layer(
        NAME,
        lock,
        python=python,
        platform=platform,
        settings=project.folder,
        tidy=lambda folder: slimming.slim(folder, own),
        told=(inspect.getsource(slimming), *sorted(own)),
    )
