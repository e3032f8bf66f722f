"""Follow one warm prediction through the caller's code: which files and functions of Matinee it passes.

`python scripts/walk.py [predict|submit]`, with the app of examples/activity in a folder of its own. What happens in the
service's threads and in the predictor's process is not followed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = f"{ROOT / 'src' / 'matinee'}/"
WARM_CALLS = 3


def follow(step: Callable[[], Any]) -> dict[str, list[str]]:
    """Return file → functions of the package that the step runs in this thread, in the order of their first call."""
    passed: dict[str, list[str]] = {}

    def note(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and not code.co_name.startswith("<"):
            functions = passed.setdefault(code.co_filename.removeprefix(PACKAGE), [])
            if code.co_qualname not in functions:
                functions.append(code.co_qualname)

    sys.setprofile(note)
    try:
        step()
    finally:
        sys.setprofile(None)
    return passed


def main() -> int:
    import matinee

    kind = sys.argv[1] if len(sys.argv) > 1 else "predict"
    with tempfile.TemporaryDirectory() as folder:
        app_folder = Path(folder) / "activity"
        shutil.copytree(ROOT / "examples" / "activity", app_folder, ignore=shutil.ignore_patterns(".matinee"))
        with matinee.connect(app_folder) as app:
            steps: dict[str, Callable[[], Any]] = {
                "predict": lambda: app.recommend(gender="female", past_activity="swimming"),
                "submit": lambda: app.plan.submit(gender="female", start="2026-12-01", end="2026-12-03"),
            }
            for _ in range(WARM_CALLS):
                steps["predict"]()
            passed = follow(steps[kind])
    for file, functions in passed.items():
        print(f"{file:36} {', '.join(functions)}")
    print(f"{kind}: {len(passed)} files, {sum(map(len, passed.values()))} functions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
