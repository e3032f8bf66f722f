"""Did you mean …?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `Did you mean NAME?` for the known word most like this one, "" if none is."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.55)
    return f"Did you mean {close[0]}?" if close else ""
