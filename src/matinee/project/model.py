"""The values a `matinee.toml` becomes."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from matinee.errors import ProjectError
from matinee.project.aws import Aws
from matinee.project.content import Contents, collect_files, content_hash, file_digest
from matinee.project.dependencies import Dependencies, read_dependencies
from matinee.project.fields import Field, key, nearest
from matinee.project.sections import Auth, Notices, Ui, ui_details

Json = Any
ENTRY = "predictor.py"
_COUNT = Field("whole", low=1)


@dataclass(frozen=True)
class Limits:
    """What one person may ask for; raise them under `[limits]`."""

    upload_mb: float = key(50.0, Field("number", low=0.001, high=5000), "MB of one uploaded file")
    rows: int = key(100_000, _COUNT, 'rows of one table: of "many rows" or given as input')
    queue_per_user: int = key(1_000, _COUNT, "unfinished batch runs of one person")
    predictions_per_minute: int = key(600, _COUNT, "realtime predictions of one person")


@dataclass(frozen=True)
class Api:
    """The HTTP API beside the UI: `[api]`."""

    mcp: bool = key(False, Field("switch"), "whether assistants may call the predictors as tools, under /mcp")


@dataclass(frozen=True)
class Component:
    """One source, a file or a folder with `predictor.py`, with its own dependencies. Paths are absolute."""

    name: str
    source: Path
    shared: tuple[Path, ...] = ()  # files and folders every component may import
    apt: tuple[str, ...] = ()  # Debian packages in its image
    base: str = ""  # what its image stands on; "" = the app's, or Python's own
    handler: str = ""  # a plain Lambda handler, as in "main.handler", in place of predictors
    image: str = ""  # an image that exists, taken as it is; the source is then the matinee.toml
    app: Path | None = None  # the app's folder; None: the one its source is in
    files: tuple[str, ...] = ()  # patterns of more files that belong to it, relative to the app's folder
    ignore: tuple[str, ...] = ()  # patterns of what never does, as in .gitignore

    @property
    def app_folder(self) -> Path:
        """The app's folder: what belongs to the component lies in it."""
        return self.app or self.source.parent

    @property
    def entry(self) -> Path:
        """The Python file that holds the predictors, or the handler."""
        inside = f"{self.handler.rpartition('.')[0].replace('.', '/')}.py" if self.handler else ENTRY
        return self.source / inside if self.source.is_dir() else self.source

    @property
    def folder(self) -> Path:
        """The folder its files are in: where its processes run."""
        return self.source if self.source.is_dir() else self.source.parent

    @property
    def is_plain(self) -> bool:
        """Whether it has no predictors to inspect: a Lambda handler or an image, called with an event as it is."""
        return bool(self.handler or self.image)

    @property
    def search_path(self) -> tuple[Path, ...]:
        """Folders from which its shared modules are imported, and a handler's own."""
        own = (self.folder,) if self.handler else ()
        return tuple(dict.fromkeys((*own, *(path.parent for path in self.shared))))

    def dependencies(self) -> Dependencies:
        """Read what it declares now: PEP 723 header, requirements.txt or pyproject.toml; may raise ComponentError."""
        if self.image:
            return Dependencies()
        return read_dependencies(self.name, self.source, self.entry)

    def content_hash(self) -> str:
        """Return its version by content, as it is on disk now (16 hexadecimal digits)."""
        if self.image:
            return hashlib.sha256(self.image.encode()).hexdigest()[:16]
        return self.hash_of({name: file_digest(path) for name, path in self.contents().files.items()})

    def hash_of(self, digests: Mapping[str, str]) -> str:
        """Return the version of these files (name → digest): another handler in the same files is another version."""
        return content_hash({**digests, **({f"handler {self.handler}": ""} if self.handler else {})})

    def contents(self, opened: Iterable[str] = ()) -> Contents:
        """Return the files that belong to it, with those that it was seen to open."""
        more = (*self.files, *(glob.escape(name) for name in opened))
        return collect_files(self.app_folder, self.source, self.entry, self.shared, more, self.ignore)

    def moved_to(self, folder: Path) -> Component:
        """Return the same component in a copy of the app's folder."""
        return replace(
            self,
            source=folder / self.source.relative_to(self.app_folder),
            shared=tuple(folder / path.relative_to(self.app_folder) for path in self.shared),
            app=folder,
        )


@dataclass(frozen=True)
class Stage:
    """What `[stages.NAME]` changes. Only what is given is here."""

    app: Mapping[str, Json] = field(default_factory=dict)  # title, description
    limits: Mapping[str, Json] = field(default_factory=dict)
    ui: Mapping[str, Json] = field(default_factory=dict)
    auth: Mapping[str, Json] = field(default_factory=dict)
    notices: Mapping[str, Json] = field(default_factory=dict)
    predictors: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    aws: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Project:
    """One app. `overrides` has, per predictor, the `manifest.Resources` fields that `matinee.toml` sets."""

    name: str
    title: str
    folder: Path
    components: tuple[Component, ...]
    description: str = ""
    file: Path | None = None  # its matinee.toml; None for a single predictor file
    overrides: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    ui: Ui = field(default_factory=Ui)
    api: Api = field(default_factory=Api)
    auth: Auth = field(default_factory=Auth)
    notices: Notices = field(default_factory=Notices)
    aws: Aws = field(default_factory=Aws)
    stages: Mapping[str, Stage] = field(default_factory=dict)
    base_image: str = ""  # what images stand on: `[images] base`; "" = Python's own

    @property
    def data(self) -> Path:
        """The folder of its local data. A single file has one of its own: two files of a folder are two apps."""
        return self.data_root if self.file or not self.components else self.data_root / self.components[0].source.name

    @property
    def data_root(self) -> Path:
        """The folder of everything that Matinee writes beside the app."""
        return self.folder / ".matinee"

    def component(self, name: str) -> Component | None:
        """Return the component of that name."""
        return next((c for c in self.components if c.name == name), None)

    def for_stage(self, name: str) -> Project:
        """Return the app with the overrides of a stage; a stage without a table changes nothing."""
        stage = self.stages.get(name)
        if stage is None:
            return self
        merged = {p: {**self.overrides.get(p, {}), **stage.predictors.get(p, {})} for p in self._overridden(stage)}
        return replace(
            self,
            **stage.app,
            overrides=merged,
            limits=replace(self.limits, **stage.limits),
            ui=replace(self.ui, **stage.ui),
            auth=replace(self.auth, **stage.auth),
            notices=replace(self.notices, **stage.notices),
            aws=self.aws.changed(stage.aws),
        )

    def _overridden(self, stage: Stage) -> list[str]:
        return list(dict.fromkeys([*self.overrides, *stage.predictors]))

    def check_overrides(self, predictors: list[str]) -> None:
        """Raise ProjectError if `matinee.toml` speaks of a predictor that is none of these."""
        named = [*self.overrides, *(p for stage in self.stages.values() for p in stage.predictors)]
        for name in named:
            if name not in predictors:
                raise ProjectError(
                    f"{self.file} has settings for the predictor {name!r}, which no component holds.",
                    hint=nearest(name, predictors) or "Remove the table, or name one of: " + ", ".join(predictors),
                )
        for page in self.ui.pages:
            if page.replaces and page.replaces not in predictors:
                raise ProjectError(
                    f"{self.file}: the page {page.file} replaces {page.replaces!r}, which is no predictor.",
                    hint=nearest(page.replaces, predictors) or "Name one of: " + ", ".join(predictors),
                )


# --- details for the release ------------------------------------------------------------------------------------------
# What a release says of the app as a whole: the part of `matinee.toml` that running processes read.


def details(project: Project, folder: Path | str) -> dict[str, Json]:
    """Return the app's part of `Release.details`; `folder` is where the UI's process finds the app's files."""
    return {
        "description": project.description,
        "limits": asdict(project.limits),
        "api": asdict(project.api),
        "auth": asdict(project.auth),
        "notices": asdict(project.notices),
        "ui": ui_details(project.ui, folder),
    }


# --- components -------------------------------------------------------------------------------------------------------

RESERVED = "matinee-ui"
