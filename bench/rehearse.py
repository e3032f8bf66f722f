"""`matinee rehearse` of the Activity Recommender, from the command to a usable page; and a repeat with nothing changed.

As processes, and in images where there is an engine: there first with a warm engine and built images. The floor is the
emulator alone, from its start to its first answer.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from matinee.errors import BackendError
from matinee.images.engine import Engine
from matinee.rehearsal.world import UnavailableError, ministack

EXAMPLE = Path(__file__).parents[1] / "examples" / "activity"
TARGETS_S = {"processes": 60.0, "again": 15.0, "images": 150.0}
STORY = """
import time
def story(stage):
    with open("page.txt", "w") as file:
        file.write(str(time.time()))
"""


def measure() -> dict[str, Any]:
    """Return seconds from the command to the page."""
    began = time.monotonic()
    try:
        with ministack():
            floor_s = time.monotonic() - began
    except UnavailableError as error:
        return {"skipped": str(error)}
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / "activity"
        shutil.copytree(EXAMPLE, app, ignore=shutil.ignore_patterns(".matinee", "__pycache__"))
        (app / "story.py").write_text(STORY)
        figures = {"floor_emulator_s": floor_s, "processes_s": page_s(app), "processes_again_s": page_s(app)}
        try:
            Engine.detect()
        except BackendError as error:
            return {**figures, "images_s": None, "note": error.message, "targets_s": TARGETS_S}
        page_s(app, "--images")  # builds what is not built yet
        return {**figures, "images_s": page_s(app, "--images"), "targets_s": TARGETS_S}


def page_s(app: Path, *options: str) -> float:
    """Rehearse, and return how long it took until the story could begin: the page is healthy then."""
    began = time.time()
    command = [sys.executable, "-m", "matinee.cli.main", "rehearse", "--script", "story.py", *options]
    subprocess.run(command, cwd=app, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return float((app / "page.txt").read_text()) - began


if __name__ == "__main__":
    print(measure())
