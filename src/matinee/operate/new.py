"""`matinee new`: a working app to start from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

from matinee.errors import UsageError

TEMPLATE = Path(__file__).parent / "template"
_RENAMED = {"gitignore": ".gitignore"}


@dataclass(frozen=True)
class NewApp:
    """What was written. `files` are relative to the folder."""

    folder: Path
    name: str
    files: tuple[str, ...]


def new(folder: Path) -> NewApp:
    """Write a new app into a folder that is missing or empty; its name is the folder's.

    Raises UsageError, and has written nothing, when the folder has something in it or its name cannot be an app's.
    """
    folder = folder.expanduser().absolute()
    name = _name(folder.name)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} is not empty.", hint="Choose another name, or empty it first.")
        folder.mkdir(parents=True, exist_ok=True)
        files = tuple(_write(folder, template, name) for template in sorted(TEMPLATE.glob("*.template")))
    except OSError as error:
        raise UsageError(
            f"Cannot write to {folder}: {error.strerror or error}.", hint="Choose a folder you may write to."
        ) from error
    return NewApp(folder, name, files)


def _name(text: str) -> str:
    name = re.sub("[ _]+", "-", text.lower())
    if not re.fullmatch("[a-z][a-z0-9-]{0,31}", name):
        raise UsageError(
            f"{text!r} cannot be an app's name.",
            hint="Use at most 32 letters, digits and hyphens, starting with a letter.",
        )
    return name


def _write(folder: Path, template: Path, name: str) -> str:
    file = template.name.removesuffix(".template")
    file = _RENAMED.get(file, file)
    text = template.read_text("utf-8")
    if not file.endswith(".py"):
        text = Template(text).substitute(name=name, title=name.replace("-", " ").capitalize())
    (folder / file).write_text(text, "utf-8")
    return file
