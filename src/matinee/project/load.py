"""Reads a folder with a `matinee.toml`, or a single predictor file, into a `Project`."""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from matinee.errors import ProjectError, UsageError
from matinee.manifest import Resources
from matinee.project.aws import Aws, check_aws, read_aws
from matinee.project.content import parse_code
from matinee.project.fields import Document, Field, nearest, read_table
from matinee.project.model import ENTRY, Api, Component, Limits, Project, Stage
from matinee.project.sections import Auth, Notices, Ui, default_ui, read_auth, read_notices, read_ui
from matinee.schedule import parse

Json = Any
FILE = "matinee.toml"

_NAME = Field(
    "text",
    pattern="[a-z][a-z0-9-]{0,31}",
    example="must be at most 32 small letters, digits and hyphens and start with a letter",
)
_TABLE, _APP_TEXT = Field("table"), Field("text")
_TITLES = {"title": _APP_TEXT, "description": _APP_TEXT}
_LISTS = dict.fromkeys(("components", "shared", "files", "ignore"), Field("texts"))
_IMAGES = {"base": _APP_TEXT}
RESOURCES = {resource.name: Field(**resource.metadata) for resource in fields(Resources)}
_PREDICTOR = {**RESOURCES, "examples": Field("list")}
_PERMISSION = {"actions": Field("texts"), "resources": Field("texts")}
_ACTION = r"[a-z0-9-]+:[A-Za-z0-9*?]+"
_RESOURCE = r"\*|arn:[^\s${}]*(\$\{AWS::(Partition|Region|AccountId)\}[^\s${}]*)*"
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
    table = document.table(at, _PREDICTOR)
    _check_environment(document, (*at, "environment"))
    for permission in table.get("permissions", ()):
        _check_permission(document, (*at, "permissions"), permission)
    if table.get("schedule"):
        try:
            parse(table["schedule"])
        except UsageError as error:
            raise document.error((*at, "schedule"), error.message.rstrip("."), error.hint) from error
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _check_environment(document: Document, at: tuple[str, ...]) -> None:
    for name, value in document.at(at).items():
        if not isinstance(value, str):
            raise document.error(
                (*at, name), f"{'.'.join((*at, name))} must be a text, as variables are", f'Write {name} = "{value}".'
            )


def _check_permission(document: Document, at: tuple[str, ...], permission: Json) -> None:
    """Raise ProjectError unless it is {actions = ["s3:GetObject"], resources = ["arn:aws:s3:::bucket/*"]}."""
    hint = 'Write it as {actions = ["s3:GetObject"], resources = ["arn:aws:s3:::my-bucket/*"]}.'
    if not isinstance(permission, dict) or permission.keys() != _PERMISSION.keys():
        raise document.error(at, "each permission is a table with actions and resources", hint)
    for key, pattern in (("actions", _ACTION), ("resources", _RESOURCE)):
        texts = permission[key]
        if _PERMISSION[key].problem(texts) or not texts:
            raise document.error(at, f"the {key} of a permission must be a list of texts", hint)
        for text in texts:
            if not re.fullmatch(pattern, text):
                raise document.error(at, f"{text!r} is none of the {key} that IAM knows", hint)


def _stage(document: Document, folder: Path, name: str, aws: Aws) -> Stage:
    at = ("stages", name)
    table = document.table(at, _STAGE)
    aws_table = read_aws(document, (*at, "aws"))
    if aws_table:
        check_aws(document, aws.changed(aws_table), (*at, "aws"))
    return Stage(
        {key: table[key] for key in _TITLES if key in table},
        read_table(document, (*at, "limits"), Limits),
        read_ui(document, folder, (*at, "ui")),
        read_auth(document, (*at, "auth")),
        read_notices(document, (*at, "notices")),
        _predictors(document, (*at, "predictors")),
        aws_table,
    )


def _slug(text: str) -> str:
    slug = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
    return (slug if slug[:1].isalpha() else f"app-{slug}")[:32].rstrip("-")


def _title(name: str) -> str:
    return re.sub("[-_]+", " ", name).strip().capitalize()


# --- reading the components -------------------------------------------------------------------------------------------
# The components of a `matinee.toml`: found, listed, or a table each with what its image needs.


_TEXT, _TEXTS = Field("text"), Field("texts")
_HANDLER = Field("text", pattern=r"(\w+[./])*\w+\.\w+", example='must be a module and a function, as "main.handler"')
_COMPONENT = {
    **dict.fromkeys(("source", "base", "image"), _TEXT),
    **dict.fromkeys(("shared", "files", "apt"), _TEXTS),
    "handler": _HANDLER,
}
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
    expected = entry or ENTRY
    if source.is_dir():
        if not (source / expected).is_file():
            raise document.error(
                at, f"the component {text} has no {expected}", f"Write its predictors into {text}/{expected}."
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


# --- discovering predictors -------------------------------------------------------------------------------------------
# Which files of a folder hold predictors, told from their text: nothing is imported.

_DECORATORS = ("realtime", "batch")
_LOOKS_LIKE = re.compile(r"(?m)^@(?:\w+\.)?(?:realtime|batch)\b")
_NEVER = {"tests", "test", "ui.py", "conftest.py", "setup.py", "noxfile.py"}


def find_sources(folder: Path) -> list[Path]:
    """Return the component sources of a folder: `NAME.py` files and folders with `predictor.py`, by name."""
    candidates = (path for path in sorted(folder.iterdir()) if path.name not in _NEVER and path.name[0] not in "._")
    return [path for path in candidates if _is_source(path)]


def _is_source(path: Path) -> bool:
    if path.is_dir():
        entry = path / ENTRY
        return entry.is_file() and holds_predictor(entry)
    return path.suffix == ".py" and not path.name.startswith("test_") and holds_predictor(path)


def holds_predictor(file: Path) -> bool:
    """Whether a function of the file is decorated with matinee's @realtime or @batch.

    A file that cannot be parsed counts if it looks so: its syntax error is then shown as the component's own.
    """
    text = file.read_text("utf-8-sig", errors="replace")
    if "matinee" not in text:
        return False
    try:
        tree = parse_code(text)
    except (SyntaxError, ValueError):
        return _LOOKS_LIKE.search(text) is not None
    names, modules = _imported(tree)
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return any(_is_ours(item, names, modules) for function in functions for item in function.decorator_list)


def _imported(tree: ast.Module) -> tuple[set[str], set[str]]:
    names: set[str] = set()
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "matinee":
            names.update(alias.asname or alias.name for alias in node.names if alias.name in _DECORATORS)
        elif isinstance(node, ast.Import):
            modules.update(alias.asname or alias.name for alias in node.names if alias.name == "matinee")
    return names, modules


def _is_ours(decorator: ast.expr, names: set[str], modules: set[str]) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(target, ast.Name):
        return target.id in names
    return (
        isinstance(target, ast.Attribute)
        and target.attr in _DECORATORS
        and isinstance(target.value, ast.Name)
        and target.value.id in modules
    )
