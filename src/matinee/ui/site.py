"""How the app looks and which pages its owner wrote, from the live release; the theme of the whole process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

from matinee.manifest import Json, Release
from matinee.settings import UI_FOLDER
from matinee.ui import streamlit_patches

# White is read on both (4.5 to 1). Both are said, so that the page follows the browser's own.
PRIMARY = {"light": "#3d5a98", "dark": "#4f73bd"}
RESULT_SCRIPT = Path(__file__).with_name("result.js")  # run by pages; their policy allows it by its hash
_ICON = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><text y=".9em" font-size="90">{}</text></svg>'


@dataclass(frozen=True)
class OwnPage:
    """A page the owner wrote: a Streamlit script. `path` is its address."""

    file: Path
    title: str
    path: str
    icon: str = ""
    replaces: str = ""
    is_home: bool = False

    @property
    def shown_icon(self) -> str:
        """The icon, or a plain one instead of what Streamlit does not know."""
        from streamlit.errors import StreamlitAPIException
        from streamlit.string_util import validate_icon_or_emoji

        plain = ":material/home:" if self.is_home else ":material/article:"
        try:
            return validate_icon_or_emoji(self.icon) or plain
        except StreamlitAPIException:
            return plain


@dataclass(frozen=True)
class Look:
    """What `[ui]` says. Files are absolute, None where there is none."""

    icon: str = ""
    theme: str = ""
    primary_color: str = ""
    logo: Path | None = None
    about: Path | None = None
    folder: Path = Path()
    pages: tuple[OwnPage, ...] = ()

    @property
    def page_icon(self) -> str:
        """The icon as a picture: an emoji by itself would be asked of a server far away. "" if there is none."""
        return _ICON.format(escape(self.icon)) if self.icon else ""

    @property
    def theme_options(self) -> dict[str, str | None]:
        """Streamlit's options for this look."""
        colors = {f"theme.{base}.primaryColor": self.primary_color or color for base, color in PRIMARY.items()}
        return {"theme.base": self.theme or None, **colors}


def look_of(release: Release) -> Look:
    """Return the look of what is live; a release that says nothing has the plain one."""
    details: Mapping[str, Json] = release.details.get("ui", {})
    folder = Path(os.environ.get(UI_FOLDER) or details.get("folder", ""))

    def file(key: str) -> Path | None:
        return folder / details[key] if details.get(key) else None

    pages = tuple(OwnPage(**{**page, "file": folder / page["file"]}) for page in details.get("pages", ()))
    plain = {key: str(details.get(key, "")) for key in ("icon", "theme", "primary_color")}
    return Look(**plain, logo=file("logo"), about=file("about"), folder=folder, pages=pages)


def apply_theme(look: Look) -> bool:
    """Give the whole process this look's theme; return whether it had another, which the next rerun shows."""
    from streamlit import config

    options: dict[str, Any] = look.theme_options
    changed = {name: value for name, value in options.items() if config.get_option(name) != value}
    for name, value in changed.items():
        config.set_option(name, value, "matinee.toml")
    if changed:
        streamlit_patches.forget_session_messages()
    return bool(changed)


# --- links between pages ----------------------------------------------------------------------------------------------
# The pages there are, by what they show, so that one page can link to another.

HISTORY = "history"
RUN = "run"
ROWS = "many-rows"
INSIGHTS = "insights"
ABOUT = "about"
HOME = "home"
RESERVED = frozenset({HISTORY, RUN, ROWS, INSIGHTS, ABOUT, "api", "export", HOME})
ICONS = {"realtime": ":material/bolt:", "batch": ":material/event_list:"}

_KEY = "pages"


def path_of(predictor: str) -> str:
    """Return the address of a predictor's page."""
    return f"{predictor}-predictor" if predictor in RESERVED else predictor


def remember(pages: dict[str, Any]) -> None:
    """Keep this run's pages by address for the links on them."""
    st.session_state[_KEY] = pages


def page(path: str) -> Any:
    """Return the page at the address; KeyError if the present release has none."""
    return st.session_state[_KEY][path]


def link(path: str, label: str, *, icon: str | None = None, query: dict[str, str] | None = None) -> None:
    """Draw a link to a page of this app."""
    st.page_link(page(path), label=label, icon=icon, query_params=query)


def go(path: str, query: dict[str, str] | None = None) -> None:
    """Leave for another page of this app."""
    st.switch_page(page(path), query_params=query)


def knows(path: str) -> bool:
    """Whether there is such a page in the present release."""
    return path in st.session_state[_KEY]


def fill(predictor: str, inputs: Json) -> None:
    """Start the predictor's form from these inputs the next time it is drawn."""
    st.session_state[f"seed:{predictor}"] = inputs
    key = f"generation:{predictor}"
    st.session_state[key] = st.session_state.get(key, 0) + 1


def seed(predictor: str) -> tuple[Json, int]:
    """Return what the predictor's form starts from, and the number that grows whenever this changes."""
    return st.session_state.get(f"seed:{predictor}", {}), st.session_state.get(f"generation:{predictor}", 0)
