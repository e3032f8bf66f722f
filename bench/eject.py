"""From `matinee eject --templates` to the last file: processor time beside that of a command that does nothing."""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[1] / "examples" / "activity"
MATINEE = Path(sys.executable).with_name("matinee")
TURNS = 7


def measure() -> dict[str, Any]:
    """Return medians in s: wall and processor time of ejecting, of `--version`, and of making the templates alone."""
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / "app"
        shutil.copytree(EXAMPLE, app, ignore=shutil.ignore_patterns(".matinee", "__pycache__"))
        command = [str(MATINEE), "eject", str(Path(folder) / "out"), "--templates", "--app", str(app)]
        subprocess.run(command, check=True, capture_output=True)  # makes and inspects environments, once
        ejects = [_spent(command) for _ in range(TURNS)]
        nothing = [_spent([str(MATINEE), "--version"]) for _ in range(TURNS)]
    wall, cpu = (statistics.median(values) for values in zip(*ejects, strict=True))
    floor = statistics.median(spent for _, spent in nothing)
    return {
        "figures": {"wall_s": round(wall, 2), "cpu_s": round(cpu, 2), "version_cpu_s": round(floor, 2), **_synthesis()},
        "floor": "`matinee --version`",
        "ratio": round(cpu / floor, 2),
        "target": "0.6 s from command to file",
    }


def _spent(command: list[str]) -> tuple[float, float]:
    """Return the wall and the processor time of a command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _synthesis() -> dict[str, float]:
    """Return how long the four templates of the example take once everything is imported, in ms."""
    from matinee.environments.inspect import inspect
    from matinee.stack.blueprint import Blueprint
    from matinee.stack.templates import app_template, data_template, edge_template, network_template

    found = inspect(EXAMPLE)
    b = Blueprint.of(found.project, "dev", [item.manifest for item in found.components])
    spent = []
    for _ in range(TURNS):
        began = time.process_time()
        network_template(), data_template(b), app_template(b), edge_template(b)
        spent.append(1000 * (time.process_time() - began))
    return {"synthesis_ms": round(statistics.median(spent), 1)}
