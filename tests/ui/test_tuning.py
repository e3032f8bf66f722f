"""Streamlit's inside is changed for speed alone, and only where it is the version that this was measured with."""

from __future__ import annotations

import subprocess
import sys

import pytest
import streamlit

from matinee.ui.tuned import VERSION

ASK = """
import sys, streamlit
streamlit.__version__ = sys.argv[1]
from matinee.ui.tuned import tune
from streamlit.runtime.app_session import AppSession
tune()
print(hasattr(AppSession._on_scriptrunner_event, "__wrapped__"))
"""


def test_the_tests_run_with_the_version_that_is_tuned():
    assert streamlit.__version__.startswith(f"{VERSION}."), (
        "measure again (make bench ONLY=ui_load), then change VERSION"
    )


@pytest.mark.parametrize(("version", "changed"), [(f"{VERSION}.9", "True"), ("1.99.0", "False")])
def test_another_version_is_left_as_it_comes(version, changed):
    asked = subprocess.run([sys.executable, "-c", ASK, version], capture_output=True, text=True, timeout=60, check=True)
    assert asked.stdout.strip() == changed
