"""The protocol is functions of a store and a time: no threads, no processes, no backend. A worker starts with it."""

from __future__ import annotations

import subprocess
import sys

import pytest

ABOVE = ("matinee.runtime", "matinee.backends", "matinee.client", "matinee.settings")
WITHOUT = {
    "matinee.queue.claims": ("threading", "selectors", "matinee.ports", *ABOVE),
    "matinee.queue.dispatch": ("threading", *ABOVE),
}


@pytest.mark.parametrize("module", WITHOUT)
def test_the_protocol_loads_nothing_that_runs_it(module):
    code = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30).stdout
    assert [one for one in loaded.split() if one.startswith(WITHOUT[module])] == []
