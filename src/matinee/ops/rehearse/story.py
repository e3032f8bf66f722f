"""A user's own story, played against the deployed app: a Python file with `def story(stage): …`.

`stage` is a `Rehearsal`: its `url`, `connect()`, `deploy()`, `rollback()`, `scale_ui()`.
"""

from __future__ import annotations

import runpy
import traceback
from pathlib import Path

from matinee.errors import MatineeError, UsageError
from matinee.ops.rehearse.rehearsal import Rehearsal


class StoryError(MatineeError):
    """A story did not go as it is told."""


def check_script(script: Path) -> None:
    """Raise UsageError for a file that is none."""
    if not script.is_file():
        raise UsageError(f"There is no story {script}.", hint="Name a Python file with `def story(stage):` in it.")


def play(stage: Rehearsal, script: Path) -> None:
    """Run the story. Raises UsageError for a file without one, StoryError with the line where it went otherwise."""
    try:
        story = runpy.run_path(str(script)).get("story")
    except Exception as error:
        raise StoryError(f"{script.name} cannot be read: {_told(error, script)}") from error
    if not callable(story):
        raise UsageError(f"{script.name} has no function story.", hint="Write `def story(stage):` in it.")
    try:
        story(stage)
    except Exception as error:
        hint = error.hint if isinstance(error, MatineeError) else ""
        raise StoryError(f"The story of {script.name} went otherwise: {_told(error, script)}", hint=hint) from error


def _told(error: Exception, script: Path) -> str:
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == script]
    where = f" (line {lines[-1]})" if lines else ""
    said = f"{type(error).__name__}: {str(error) or 'it failed'}"
    if isinstance(error, MatineeError):
        said = error.message
    return f"{said}{where}"
