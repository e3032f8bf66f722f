"""The app's README as its page "About"; pictures it has beside it are shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import streamlit as st

from matinee.ui.look import Look

_PICTURE = re.compile(r"^!\[([^\]]*)\]\(([^)\s]+)\)\s*$", re.MULTILINE)
LARGEST = 200_000  # characters


def draw(look: Look) -> None:
    """Draw the page."""
    try:
        text = look.about.read_text("utf-8", errors="replace")[:LARGEST] if look.about else ""
    except OSError:
        text = ""
    if not text.strip():
        st.info("There is nothing to read here yet.", icon=":material/info:")
        return
    for part in parts(text, look.folder):
        if isinstance(part, Path):
            st.image(str(part))
        else:
            st.markdown(part)


def parts(text: str, folder: Path) -> Iterator[str | Path]:
    """Yield Markdown, and in between the pictures of the app's own folder: a browser could not ask for these."""
    end = 0
    for match in _PICTURE.finditer(text):
        picture = (folder / match[2]).resolve()
        if "://" not in match[2] and picture.is_relative_to(folder.resolve()) and picture.is_file():
            if before := text[end : match.start()].strip():
                yield before
            yield picture
            end = match.end()
    if rest := text[end:].strip():
        yield rest
