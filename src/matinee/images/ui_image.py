"""The one image that is no component's: UI, HTTP API and dispatcher, with the pages of the app's own."""

from __future__ import annotations

import inspect
import re
import shutil
import struct
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from matinee.images import packages as images_packages
from matinee.images.dockerfile import APP, Context, check_dockerfile, code_dockerfile, context_of
from matinee.images.engine import Engine, check_platform
from matinee.images.packages import FOLDER, lock
from matinee.images.plan import (
    DEFAULT,
    ImagePlan,
    LayerPlan,
    common_variables,
    digest_of,
    environment_plan,
    notes_of,
    resolve_base,
)
from matinee.manifest import ComponentManifest
from matinee.project.content import imports_beside, ui_framework_hash
from matinee.project.dependencies import Dependencies, read_dependencies
from matinee.project.model import RESERVED, Component, Project
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
    version = images_packages.python_version(python)
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
            LayerPlan("framework", lambda: images_packages.ui_framework_layer(python)),
        ),
        identity=(locked.text, ui_framework_hash(), inspect.getsource(sys.modules[__name__]), *sorted(own)),
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
    extras = {"mcp"} if project.api.mcp else set()
    extras |= {project.auth.sign_in_mode.extra} - {""}
    found = []
    for text in metadata.requires("matinee") or ():
        requirement = Requirement(text)
        extra = re.search(r"extra == ['\"](\w+)['\"]", text)
        if requirement.name not in TOOLS and (extra is None or extra[1] in extras):
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
    return images_packages.packages_layer(
        NAME,
        lock,
        python=python,
        platform=platform,
        settings=project.folder,
        tidy=lambda folder: slim_packages(folder, own),
        tidy_key=(inspect.getsource(sys.modules[__name__]), *sorted(own)),
    )


# --- slimming the packages --------------------------------------------------------------------------------------------
# What the UI's image leaves out of its packages, and why: half of what they bring is for somebody else.
#
# A package that a page of the app's own names in its header is left whole. Measured by `bench/images.py`.

# Patterns below site-packages, by package. What is listed is imported by no page, or only where it is found.
LEFT_OUT: dict[str, tuple[tuple[str, str], ...]] = {
    "pyarrow": (
        ("libarrow_flight* libarrow_python_flight* _flight* flight.py", "the client of a database protocol, 36 MB"),
        ("libarrow_s3* _s3fs*", "a client of S3: files come through boto3, 18 MB"),
        ("include src tests", "headers and tests, 10 MB"),
        # A wheel cannot hold links: each library is there under three names, and found by the middle one.
        ("libarrow_python.so libarrow_python.so.*.*.*", "copies of one library, 6 MB"),
        ("libarrow_python_parquet_encryption.so libarrow_python_parquet_encryption.so.*.*.*", "copies of one library"),
    ),
    "pandas": (("tests", "its own tests, 18 MB"),),
    "numpy": (("distutils f2py */tests */*/tests _core/_simd*", "tools of a compiler, tests, 9 MB"),),
    "streamlit": (("hello testing .agents", "its demonstration, help for tests and for assistants"),),
    "pydeck": (("nbextension/static", "a widget of Jupyter's, 23 MB"),),
    "pydantic": (("v1", "its previous version, which nothing here asks for"),),
    "PIL": (("_avif* ../pillow.libs/libavif*", "a format of pictures that browsers show by themselves, 6 MB"),),
    "botocore": (("data/*", "descriptions of the services that the app does not use, 25 MB"),),
}
_WITH_SOURCE = ("streamlit",)  # shows its own lines to whoever writes pages
_PACKAGE_OF = {"PIL": "pillow"}
# The services whose descriptions stay: those of the app, and of signing in.
_SERVICES = set(
    """batch cloudwatch dynamodb ecs events lambda logs s3 scheduler sesv2 signin sns ssm sso sso-oidc
    sts""".split()  # noqa: SIM905 (a table to read)
)
# Sources of what is compiled already; lists of files that are no longer true.
_SOURCES = ("*.pyx", "*.pxd", "*.pxi", "*.pyi", "*.h", "*.c", "*.cpp", "*.a", "*.js.map", "RECORD")


def slim_packages(folder: Path, own: Iterable[str] = ()) -> None:
    """Remove from the compiled packages below `folder` what the UI does without; of those in `own` only sources."""
    whole = {name.lower() for name in own}
    for packages in folder.glob("usr/local/lib/python*/site-packages"):
        for package, patterns in LEFT_OUT.items():
            if _PACKAGE_OF.get(package, package) not in whole:
                _leave_out(packages / package, [pattern for texts, _ in patterns for pattern in texts.split()])
        for pattern in _SOURCES:
            for path in packages.rglob(pattern):
                path.unlink()
        for library in packages.rglob("*.so*"):
            _strip(library)
        for top in packages.iterdir():
            if top.name not in _WITH_SOURCE:
                _compiled_only(top)


def _leave_out(package: Path, patterns: list[str]) -> None:
    for pattern in patterns:
        where, name = (package.parent, pattern[3:]) if pattern.startswith("../") else (package, pattern)
        for path in list(where.glob(name)):
            if pattern == "data/*" and (path.is_file() or path.name in _SERVICES):
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _compiled_only(package: Path) -> None:
    """Keep each module of a package as compiled, without its source: what fails there is still told by line.

    https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation
    """
    for cache in package.rglob("__pycache__"):
        for compiled in cache.glob("*.pyc"):
            source = cache.parent / f"{compiled.name.partition('.')[0]}.py"
            if source.is_file():
                compiled.replace(source.with_suffix(".pyc"))
                source.unlink()


def _strip(library: Path) -> None:
    """Cut a library's symbol tables off, which only debuggers read: a tenth of the image.

    They lie behind all that is loaded into memory, and what loads it (ld.so) reads the program headers alone.
    https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html
    """
    content = library.read_bytes()
    if content[:6] != b"\x7fELF\x02\x01":  # 64 bits, little-endian: both of our platforms
        return
    (table,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    ends = [table + size * count]
    for header in range(table, table + size * count, size):
        (offset,) = struct.unpack_from("<Q", content, header + 8)
        (length,) = struct.unpack_from("<Q", content, header + 32)
        ends.append(offset + length)
    if max(ends) >= len(content):
        return
    without_sections = content[:40] + bytes(8) + content[48:58] + bytes(6) + content[64 : max(ends)]
    library.unlink()  # it may be a link to uv's cache
    library.write_bytes(without_sections)
