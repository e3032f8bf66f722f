"""A position that is copied by hand is the one that `copy.deepcopy` makes."""

from __future__ import annotations

from copy import deepcopy

import pytest
from streamlit.cursor import Cursor, LockedCursor, RunningCursor

from matinee.ui.tuned import positions


@pytest.fixture(params=["by hand", "by Streamlit"])
def copied(request, monkeypatch):
    monkeypatch.setattr(Cursor, "__deepcopy__", None, raising=False)
    monkeypatch.delattr(Cursor, "__deepcopy__")
    if request.param == "by hand":
        positions.copy_by_hand()
    yield deepcopy
    if "__deepcopy__" in vars(Cursor):
        del Cursor.__deepcopy__


@pytest.mark.parametrize("kind", [RunningCursor, LockedCursor])
def test_a_copy_is_where_its_original_is_and_moves_by_itself(copied, kind):
    original = kind(root_container=0, parent_path=(3, 1))
    original.get_transient_cursor()
    original.transient_elements[0] = ["spinning"]
    copy = copied(original)
    assert type(copy) is kind
    assert (copy.delta_path, copy.transient_index) == (original.delta_path, original.transient_index)
    assert copy.transient_elements[0] == ["spinning"]
    assert copy.transient_elements[0] is not original.transient_elements[0]
    copy.transient_elements[1] = "more"
    assert len(original.transient_elements) == 1
    assert copy.lock_element().delta_path == [0, 3, 1, 0]
    assert original.index == 0
