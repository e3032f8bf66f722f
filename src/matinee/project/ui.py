"""`[ui]` of a `matinee.toml`: how the app looks, and pages of its own. Files are named as its folder has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matinee.project.fields import Document, Field, key, read_table

Json = Any
OWN_PAGE = "ui.py"  # beside the matinee.toml it is the home page
README = "README.md"
_TEXT = Field("text")
_PAGE = {"file": _TEXT, "title": _TEXT, "icon": _TEXT, "replaces": _TEXT}
_PICTURES = (".svg", ".png", ".jpg", ".jpeg", ".webp", ".gif")


@dataclass(frozen=True)
class Page:
    """One page of the owner's own: a Streamlit script."""

    file: str
    title: str
    path: str  # its address
    icon: str = ""  # an emoji or ":material/NAME:"
    replaces: str = ""  # the predictor whose page it takes the place of
    is_home: bool = False


@dataclass(frozen=True)
class Ui:
    """How the app looks: `[ui]`."""

    icon: str = key("", _TEXT, "an emoji")
    theme: str = key("", Field("text", choices=("light", "dark")), '"light" or "dark"; "" = as the browser')
    primary_color: str = key(
        "", Field("text", pattern="#[0-9a-fA-F]{6}", example='must be a colour such as "#ff4b4b"'), 'as in "#ff4b4b"'
    )
    logo: str = key("", _TEXT, "a picture in the app's folder")
    about: str = key("", _TEXT, 'a Markdown file: the page "About"', default_text='"README.md", if there is one')
    pages: tuple[Page, ...] = key((), Field("list"), "pages of your own: file names, or tables as below")
    rating: str = key(
        "thumbs", Field("text", choices=("thumbs", "stars")), 'what people are asked for; "stars" = 1 to 5'
    )


def ui_details(ui: Ui, folder: Path | str) -> dict[str, Json]:
    """Return what a release tells the UI; `folder` is where the UI's process finds the app's files."""
    return {**asdict(ui), "folder": str(folder)}


def default_ui(folder: Path) -> dict[str, Json]:
    """Return what the files of an app's folder say by themselves: `ui.py` is a page, README.md tells about it."""
    own = (_page(OWN_PAGE, "Home", is_home=True),) if (folder / OWN_PAGE).is_file() else ()
    return {"pages": own, "about": README if (folder / README).is_file() else ""}


def read_ui(document: Document, folder: Path, at: tuple[str, ...] = ("ui",)) -> Mapping[str, Json]:
    """Return what the table gives of `Ui`; raises ProjectError, also for a file that is not there."""
    table = read_table(document, at, Ui)
    for name, endings in (("logo", _PICTURES), ("about", (".md",))):
        if table.get(name):
            table[name] = _file(document, folder, (*at, name), table[name], endings)
    if "pages" in table:
        listed = tuple(_listed(document, folder, (*at, "pages"), item) for item in table["pages"])
        own = [page for page in default_ui(folder)["pages"] if page.file not in {one.file for one in listed}]
        table["pages"] = (*own, *listed)
        _check_addresses(document, (*at, "pages"), table["pages"])
    return table


def _listed(document: Document, folder: Path, at: tuple[str, ...], item: Json) -> Page:
    if isinstance(item, str):
        item = {"file": item}
    wrong = not isinstance(item, dict) or item.keys() - _PAGE or not all(isinstance(v, str) for v in item.values())
    if wrong or not item.get("file"):
        keys = ", ".join(_PAGE)
        raise document.error(at, "each page is a file name, or a table with file", f"A table may hold: {keys}.")
    file = _file(document, folder, at, item["file"], (".py",))
    is_home = file == OWN_PAGE and not item.get("replaces")
    return _page(file, item.get("title", ""), item.get("icon", ""), item.get("replaces", ""), is_home=is_home)


def _page(file: str, title: str, icon: str = "", replaces: str = "", *, is_home: bool = False) -> Page:
    stem = Path(file).stem
    title = title or ("Home" if is_home else re.sub("[-_]+", " ", replaces or stem).strip().capitalize())
    path = "home" if is_home else re.sub("[^a-z0-9_]+", "-", stem.lower()).strip("-") or "page"
    return Page(file, title, replaces or path, icon, replaces, is_home)


def _file(document: Document, folder: Path, at: tuple[str, ...], text: str, endings: tuple[str, ...]) -> str:
    path = (folder / text).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        raise document.error(at, f"there is no file {text} in the app's folder")
    if path.suffix.lower() not in endings:
        raise document.error(at, f"{text} is none of {', '.join(endings)}")
    return path.relative_to(folder).as_posix()


def _check_addresses(document: Document, at: tuple[str, ...], pages: tuple[Page, ...]) -> None:
    taken: dict[str, str] = {}
    for page in pages:
        if page.path in taken:
            raise document.error(
                at, f"{taken[page.path]} and {page.file} are pages at the same address", "Rename one of the files."
            )
        taken[page.path] = page.file
