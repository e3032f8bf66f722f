"""Reads a folder with a `matinee.toml`, or a single predictor file, into a `Project`."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from matinee.errors import ProjectError, UsageError
from matinee.project.auth import Auth, read_auth
from matinee.project.aws import Aws, check_aws, read_aws
from matinee.project.discover import find_sources, holds_predictor
from matinee.project.fields import Document, Field
from matinee.project.model import ENTRY, Api, Component, Limits, Project, Stage
from matinee.project.notices import Notices, read_notices
from matinee.project.suggest import nearest
from matinee.project.ui import Ui, default_ui, read_ui
from matinee.schedule import parse

Json = Any
FILE = "matinee.toml"

_NAME = Field(
    "text",
    pattern="[a-z][a-z0-9-]{0,31}",
    example="must be at most 32 small letters, digits and hyphens and start with a letter",
)
_TABLE, _TEXT = Field("table"), Field("text")
_TITLES = {"title": _TEXT, "description": _TEXT}
_LISTS = {"components": Field("texts"), "shared": Field("texts")}
_LIMITS = {
    "upload_mb": Field("number", low=0.001, high=5000),
    "rows": Field("whole", low=1),
    "queue_per_user": Field("whole", low=1),
    "predictions_per_minute": Field("whole", low=1),
}
_API = {"mcp": Field("switch")}
_COMPONENT = {"source": _TEXT, "shared": Field("texts")}
RESOURCES = {  # the fields of manifest.Resources, with bounds (Lambda's where both kinds have them)
    "memory_mb": Field("whole", low=128, high=122_880),
    "timeout_s": Field("number", low=0.1, high=1_209_600),
    "cpu": Field("number", low=0.1, high=64),
    "retries": Field("whole", low=0, high=100),
    "max_workers": Field("whole", low=1, high=1000),
    "concurrency": Field("whole", low=0, high=10_000),
    "provisioned": Field("whole", low=0, high=10_000),
    "gpu": Field("whole", low=0, high=8),
    "schedule": _TEXT,
    "secrets": Field("texts"),
}
_SHARED_TABLES = dict.fromkeys(("predictors", "limits", "ui", "auth", "notices", "aws"), _TABLE)
_TOP = {"name": _NAME, **_TITLES, **_LISTS, **_SHARED_TABLES, "api": _TABLE, "stages": _TABLE}
_STAGE = {**_TITLES, **_SHARED_TABLES}


def load(path: Path | str = ".") -> Project:
    """Return the app at `path`: a folder with `matinee.toml`, that file itself, or one predictor file.

    Raises ProjectError, in one sentence, for whatever is wrong with it. No component is imported.
    """
    path = Path(path).expanduser().absolute()
    if path.name == FILE:
        path = path.parent
    if path.is_dir():
        return _from_folder(path.resolve())
    if not path.exists():
        raise ProjectError(f"There is no {path}.", hint="Name a folder with a matinee.toml or a predictor file.")
    if path.suffix != ".py":
        raise ProjectError(f"{path} is not a Python file.", hint="Name a folder with a matinee.toml or a .py file.")
    return _from_file(path.resolve())


def _from_file(file: Path) -> Project:
    if not holds_predictor(file):
        raise _no_predictor(str(file))
    component = Component(_component_name(file), file)
    return Project(_slug(file.stem), _title(file.stem), file.parent, (component,))


def _from_folder(folder: Path) -> Project:
    if not (folder / FILE).is_file():
        found = find_sources(folder)
        hint = f"Run it alone: matinee dev {found[0].name}" if found else "Make an app: matinee new NAME"
        raise ProjectError(f"There is no {FILE} in {folder}.", hint=hint + f", or write a {FILE} with a name.")
    document = Document.read(folder / FILE)
    # `components` is a list of sources and a table of options by name; TOML allows one of the two under one key.
    components = document.data.get("components")
    top = _TOP if not isinstance(components, dict) else {**_TOP, "components": _TABLE}
    table = document.table((), top)
    name = table.get("name") or _slug(folder.name)
    aws = check_aws(document, Aws().changed(read_aws(document)))
    return Project(
        name,
        table.get("title") or _title(name),
        folder,
        _components(document, folder, table),
        description=table.get("description", ""),
        file=folder / FILE,
        overrides=_predictors(document, ("predictors",)),
        limits=Limits(**document.table(("limits",), _LIMITS)),
        ui=Ui(**{**default_ui(folder), **read_ui(document, folder)}),
        api=Api(**document.table(("api",), _API)),
        auth=Auth(**read_auth(document)),
        notices=Notices(**read_notices(document)),
        aws=aws,
        stages={stage: _stage(document, folder, stage, aws) for stage in document.tables(("stages",))},
    )


def _predictors(document: Document, at: tuple[str, ...]) -> dict[str, dict[str, Json]]:
    return {name: _resources(document, (*at, name)) for name in document.tables(at)}


def _resources(document: Document, at: tuple[str, ...]) -> dict[str, Json]:
    table = document.table(at, RESOURCES)
    if table.get("schedule"):
        try:
            parse(table["schedule"])
        except UsageError as error:
            raise document.error((*at, "schedule"), error.message.rstrip("."), error.hint) from error
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _stage(document: Document, folder: Path, name: str, aws: Aws) -> Stage:
    at = ("stages", name)
    table = document.table(at, _STAGE)
    given = read_aws(document, (*at, "aws"))
    if given:
        check_aws(document, aws.changed(given), (*at, "aws"))
    return Stage(
        {key: table[key] for key in _TITLES if key in table},
        document.table((*at, "limits"), _LIMITS),
        read_ui(document, folder, (*at, "ui")),
        read_auth(document, (*at, "auth")),
        read_notices(document, (*at, "notices")),
        _predictors(document, (*at, "predictors")),
        given,
    )


# --- components -------------------------------------------------------------------------------------------------


def _components(document: Document, folder: Path, table: dict[str, Json]) -> tuple[Component, ...]:
    shared = tuple(_inside(document, folder, ("shared",), text) for text in table.get("shared", []))
    listed = table.get("components")
    if isinstance(listed, dict):
        found = [_from_table(document, folder, name, shared) for name in document.tables(("components",))]
    elif listed is not None:
        sources = [_source(document, folder, ("components",), text) for text in listed]
        found = [Component(_component_name(source), source, shared) for source in sources]
    else:
        skip = {path for path in shared if path.is_dir()}
        found = [Component(_component_name(s), s, shared) for s in find_sources(folder) if s not in skip]
    if not found:
        raise _no_predictor(str(folder))
    _check_unique(document, found)
    return tuple(found)


def _from_table(document: Document, folder: Path, name: str, shared: tuple[Path, ...]) -> Component:
    at = ("components", name)
    table = document.table(at, _COMPONENT)
    text = table.get("source") or (name if (folder / name).is_dir() else f"{name}.py")
    source = _source(document, folder, (*at, "source") if "source" in table else at, text)
    own = tuple(_inside(document, folder, (*at, "shared"), item) for item in table.get("shared", []))
    return Component(_check_name(name), source, tuple(dict.fromkeys((*shared, *own))))


def _source(document: Document, folder: Path, at: tuple[str, ...], text: str) -> Path:
    source = _inside(document, folder, at, text)
    if source.is_dir():
        if not (source / ENTRY).is_file():
            raise document.error(
                at, f"the component {text} has no {ENTRY}", f"Write its predictors into {text}/{ENTRY}."
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


def _component_name(source: Path) -> str:
    return _check_name(source.stem if source.suffix == ".py" else source.name)


def _check_name(name: str) -> str:
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_-]{0,47}", name):
        raise ProjectError(
            f"A component cannot be called {name!r}.",
            hint="Rename it: at most 48 letters, digits, _ and -, starting with a letter.",
        )
    return name


def _no_predictor(where: str) -> ProjectError:
    return ProjectError(
        f"There is no predictor in {where}.",
        hint="Decorate a function: `from matinee import realtime`, then @realtime above `def NAME(…) -> …:`.",
    )


def _slug(text: str) -> str:
    slug = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
    return (slug if slug[:1].isalpha() else f"app-{slug}")[:32].rstrip("-")


def _title(name: str) -> str:
    return re.sub("[-_]+", " ", name).strip().capitalize()
