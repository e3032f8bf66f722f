"""The pages there are, by what they show, so that one page can link to another."""

from __future__ import annotations

from typing import Any

import streamlit as st

from matinee.runs import Json

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
