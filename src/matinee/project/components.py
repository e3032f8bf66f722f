"""The components of a `matinee.toml`: found, listed, or a table each with what its image needs."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from matinee.errors import ProjectError
from matinee.project.discover import find_sources
from matinee.project.fields import Document, Field
from matinee.project.model import ENTRY, Component
from matinee.project.suggest import nearest

Json = Any

_TEXT, _TEXTS = Field("text"), Field("texts")
_HANDLER = Field("text", pattern=r"(\w+[./])*\w+\.\w+", example='must be a module and a function, as "main.handler"')
_COMPONENT = {
    **dict.fromkeys(("source", "base", "image"), _TEXT),
    **dict.fromkeys(("shared", "files", "apt"), _TEXTS),
    "handler": _HANDLER,
}
RESERVED = "matinee-ui"
_BUILT = ("source", "shared", "files", "apt", "base", "handler")  # what an image that exists has no use for
_PACKAGE = "[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?"  # as Debian names them, perhaps with a version


def read_components(document: Document, folder: Path, table: dict[str, Json]) -> tuple[Component, ...]:
    """Return the app's components; raises ProjectError for one that is not there, or for none at all."""
    shared = tuple(_inside(document, folder, ("shared",), text) for text in table.get("shared", []))
    listed = table.get("components")
    if isinstance(listed, dict):
        found = [_from_table(document, folder, name, shared) for name in document.tables(("components",))]
    elif listed is not None:
        sources = [_source(document, folder, ("components",), text) for text in listed]
        found = [Component(component_name(source), source, shared) for source in sources]
    else:
        skip = {path for path in shared if path.is_dir()}
        found = [Component(component_name(s), s, shared) for s in find_sources(folder) if s not in skip]
    found = [_with_files(document, component, folder, table) for component in found]
    if not found:
        raise no_predictor(str(folder))
    _check_unique(document, found)
    return tuple(found)


def _with_files(document: Document, component: Component, folder: Path, table: dict[str, Json]) -> Component:
    """Return the component with the app's `files` and `ignore`; raises ProjectError for a pattern without a file."""
    for pattern in table.get("files", ()):
        _check_pattern(document, folder, ("files",), pattern)
    files = tuple(dict.fromkeys((*table.get("files", ()), *component.files)))
    return replace(component, app=folder, files=files, ignore=tuple(table.get("ignore", ())))


def _check_pattern(document: Document, folder: Path, at: tuple[str, ...], pattern: str) -> None:
    if not pattern or pattern.startswith("/") or ".." in Path(pattern).parts:
        raise document.error(at, f"{pattern!r} is outside the app's folder", "Files of a component live inside it.")
    if not any(folder.glob(pattern)):
        raise document.error(at, f"no file is called {pattern} in {folder}", "Name files, folders or patterns of them.")


def component_name(source: Path) -> str:
    """Return the name a source gives its component."""
    return _check_name(source.stem if source.suffix == ".py" else source.name)


def no_predictor(where: str) -> ProjectError:
    """Return the error for a file or a folder without any."""
    return ProjectError(
        f"There is no predictor in {where}.",
        hint="Decorate a function: `from matinee import realtime`, then @realtime above `def NAME(…) -> …:`.",
    )


def _from_table(document: Document, folder: Path, name: str, shared: tuple[Path, ...]) -> Component:
    at = ("components", name)
    table = document.table(at, _COMPONENT)
    if "image" in table:
        return _existing(document, at, table)
    handler = table.get("handler", "").replace("/", ".")
    module = handler.rpartition(".")[0].replace(".", "/") + ".py" if handler else ""
    text = table.get("source") or (name if (folder / name).is_dir() else module or f"{name}.py")
    source = _source(document, folder, (*at, "source") if "source" in table else at, text, module)
    own = tuple(_inside(document, folder, (*at, "shared"), item) for item in table.get("shared", []))
    for pattern in table.get("files", ()):
        _check_pattern(document, folder, (*at, "files"), pattern)
    for package in table.get("apt", ()):
        if not re.fullmatch(_PACKAGE, package):
            raise document.error((*at, "apt"), f"{package!r} is no name of a Debian package")
    return Component(
        _check_name(name),
        source,
        tuple(dict.fromkeys((*shared, *own))),
        apt=tuple(table.get("apt", ())),
        base=table.get("base", ""),
        handler=handler,
        files=tuple(table.get("files", ())),
    )


def _existing(document: Document, at: tuple[str, ...], table: dict[str, Json]) -> Component:
    """Return the component of an image that exists: its source is the file that names it."""
    for key in _BUILT:
        if key in table:
            raise document.error(
                (*at, key), f"{key} has no use beside image, which is taken as it is", "Keep one of the two."
            )
    return Component(_check_name(at[-1]), document.file, image=table["image"])


def _source(document: Document, folder: Path, at: tuple[str, ...], text: str, entry: str = "") -> Path:
    source = _inside(document, folder, at, text)
    wanted = entry or ENTRY
    if source.is_dir():
        if not (source / wanted).is_file():
            raise document.error(
                at, f"the component {text} has no {wanted}", f"Write its predictors into {text}/{wanted}."
            )
    elif source.suffix != ".py":
        raise document.error(at, f"the component {text} is neither a .py file nor a folder")
    return source


def _inside(document: Document, folder: Path, at: tuple[str, ...], text: str) -> Path:
    path = (folder / text).resolve()
    if path == folder or not path.is_relative_to(folder):
        raise document.error(at, f"{text} is outside the app's folder", "Components and shared code live inside it.")
    if not path.exists():
        known = [item.name for item in folder.iterdir() if item.suffix == ".py" or (item / ENTRY).is_file()]
        raise document.error(at, f"there is no {text} in {folder}", nearest(text, known))
    return path


def _check_unique(document: Document, components: list[Component]) -> None:
    name, count = Counter(component.name for component in components).most_common(1)[0]
    if count > 1:
        sources = " and ".join(str(c.source.relative_to(document.file.parent)) for c in components if c.name == name)
        raise document.error(("components",), f"two components have the name {name}: {sources}", "Rename one of them.")


def _check_name(name: str) -> str:
    if name.startswith("matinee-"):  # as the UI's image and the log of who came in
        raise ProjectError(f"{name}: names that begin with matinee- are the app's own.", hint="Call it otherwise.")
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_-]{0,47}", name):
        raise ProjectError(
            f"A component cannot be called {name!r}.",
            hint="Rename it: at most 48 letters, digits, _ and -, starting with a letter.",
        )
    return name
