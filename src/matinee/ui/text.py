"""Words for people: labels, ages, durations, sizes; and their text made safe to show."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable
from typing import ParamSpec

import streamlit as st

from matinee.errors import MatineeError

_log = logging.getLogger(__name__)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:=^&@])")


def humanize(value: object) -> str:
    """Return a label for a name or a choice: `past_activity` → "Past activity"; what is no identifier stays as is."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    text = str(value)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", text):
        return text
    spaced = text.replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:]


def escaped(text: object) -> str:
    """Return one line of text that Markdown (Streamlit's dialect, with `:icons:` and `$maths$`) shows as it is."""
    line = " ".join(str(text).split("\n")).replace("\r", " ")
    return _MARKDOWN.sub(r"\\\1", line)


def format_age(seconds: float) -> str:
    """Return how long ago: "just now", "5 minutes ago", "3 days ago"."""
    if seconds < 45:
        return "just now"
    for size, unit in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute")):
        count = int(seconds / size + 0.25)
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "a minute ago"


def format_duration(seconds: float) -> str:
    """Return a duration: "38 ms", "2.4 s", "3 min 20 s", "2 h 5 min"."""
    if seconds < 0.9995:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: int) -> str:
    """Return a size in bytes: "812 B", "1.4 MB"."""
    amount = float(count)
    for unit in ("B", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def format_number(value: float) -> str:
    """Return a number as people read it: thousands apart, at most six significant digits behind the point."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.6g}" if abs(value) < 1e6 or value != int(value) else f"{int(value):,}"


# --- told -------------------------------------------------------------------------------------------------------------
# Errors as a person reads them: one sentence and what to do next, wherever on a page they happen.

P = ParamSpec("P")


def show_error(error: MatineeError) -> None:
    """Show any of our errors as one sentence and its hint."""
    st.error(escaped(error.message), icon=":material/error:")
    if error.hint:
        st.caption(escaped(error.hint))


def show_fault() -> None:
    """Say that a fault of ours kept a page from being drawn, and log it: never with Streamlit's own words."""
    _log.exception("A page could not be drawn")
    show_error(
        MatineeError(
            "Something went wrong on this page, and nothing you filled in is to blame.",
            hint="Load it again. If it fails again, tell whoever made this app: its log says why.",
        )
    )


def told(draw: Callable[P, None]) -> Callable[P, None]:
    """Return what draws the same and shows an error instead of raising it; a fault of ours is logged, and shown too."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            draw(*args, **kwargs)
        except MatineeError as error:
            show_error(error)
        except Exception:  # whatever it is, a person reads a sentence
            show_fault()

    return drawn
