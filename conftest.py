"""Browser tests need two Debian packages: without them they are skipped on a laptop and refused where CI is set."""

from __future__ import annotations

import os
import shutil
import sys
from ctypes.util import find_library

import pytest

MISSING = "Browser tests need a browser and what its driver loads: apt-get install chromium libatomic1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    in_browser = [item for item in items if item.get_closest_marker("browser")]
    if not in_browser or (shutil.which("chromium") and (sys.platform != "linux" or find_library("atomic"))):
        return
    if os.environ.get("CI"):
        raise pytest.UsageError(MISSING)
    for item in in_browser:
        item.add_marker(pytest.mark.skip(reason=MISSING))
