"""Where a fragment draws is copied by hand: `copy.deepcopy` looks for what points to itself, a twentieth of a click."""

from __future__ import annotations

from copy import deepcopy
from typing import Any


def copy_by_hand() -> None:
    """Have all positions of this process copied so: one of Streamlit's classes gets a method."""
    from streamlit.cursor import Cursor

    def copied(self: Any, memo: dict[int, Any]) -> Any:
        new = object.__new__(type(self))
        vars(new).update(vars(self))  # numbers and paths, but for the elements that are shown for a moment
        shown = self._transient_elements
        new._transient_elements = deepcopy(shown, memo) if len(shown) else type(shown)()
        return new

    Cursor.__deepcopy__ = copied
