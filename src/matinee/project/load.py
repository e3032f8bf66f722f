"""Reads a folder with a `matinee.toml`, or a single predictor file, into a `Project`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from matinee.errors import ProjectError, UsageError
from matinee.project.aws import Aws, check_aws, read_aws
from matinee.project.components import component_name, no_predictor, read_components
from matinee.project.discover import find_sources, holds_predictor
from matinee.project.fields import Document, Field, read_table
from matinee.project.model import Api, Component, Limits, Project, Stage
from matinee.project.sections import Auth, Notices, Ui, default_ui, read_auth, read_notices, read_ui
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
_LISTS = dict.fromkeys(("components", "shared", "files", "ignore"), Field("texts"))
_IMAGES = {"base": _TEXT}
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
_TOP = {"name": _NAME, **_TITLES, **_LISTS, **_SHARED_TABLES, "api": _TABLE, "stages": _TABLE, "images": _TABLE}
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
        raise no_predictor(str(file))
    component = Component(component_name(file), file)
    return Project(_slug(file.stem), _title(file.stem), file.parent, (component,))


def _from_folder(folder: Path) -> Project:
    if not (folder / FILE).is_file():
        found = find_sources(folder)
        hint = f"Take one file: --app {found[0].name}" if found else "Make an app: matinee new NAME"
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
        read_components(document, folder, table),
        description=table.get("description", ""),
        file=folder / FILE,
        overrides=_predictors(document, ("predictors",)),
        limits=Limits(**read_table(document, ("limits",), Limits)),
        ui=Ui(**{**default_ui(folder), **read_ui(document, folder)}),
        api=Api(**read_table(document, ("api",), Api)),
        auth=Auth(**read_auth(document)),
        notices=Notices(**read_notices(document)),
        aws=aws,
        base_image=document.table(("images",), _IMAGES).get("base", ""),
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
        read_table(document, (*at, "limits"), Limits),
        read_ui(document, folder, (*at, "ui")),
        read_auth(document, (*at, "auth")),
        read_notices(document, (*at, "notices")),
        _predictors(document, (*at, "predictors")),
        given,
    )


def _slug(text: str) -> str:
    slug = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
    return (slug if slug[:1].isalpha() else f"app-{slug}")[:32].rstrip("-")


def _title(name: str) -> str:
    return re.sub("[-_]+", " ", name).strip().capitalize()
