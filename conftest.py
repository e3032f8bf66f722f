"""Browser tests need Debian's Chromium: without it they are skipped on a laptop and refused where CI is set."""

from __future__ import annotations

import os
import shutil

import pytest

MISSING = "Browser tests need Chromium: apt-get install chromium"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    in_browser = [item for item in items if item.get_closest_marker("browser")]
    if not in_browser or shutil.which("chromium"):
        return
    if os.environ.get("CI"):
        raise pytest.UsageError(MISSING)
    for item in in_browser:
        item.add_marker(pytest.mark.skip(reason=MISSING))
