"""Measure against the floors: `make bench`, or `make bench ONLY=predict`.

Every other module here has `measure() -> dict`: figures measured beside their floor in the same run. This prints them
as a table and writes them to results/latest.json with machine and versions: no figure goes without both.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sys
import traceback
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SUPPORT = HERE.parent / "tests"  # of `support`, what tests and benchmarks share
LATEST = HERE / "results" / "latest.json"
PACKAGES = ("matinee", "awslambdaric", "boto3", "streamlit", "uvicorn", "pydantic")
Figures = dict[str, Any]


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all, and return the exit code."""
    known = sorted(path.stem for path in HERE.glob("*.py") if path.stem != "run" and not path.stem.startswith("_"))
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"There is no benchmark {unknown[0]}: there are {', '.join(known)}.", file=sys.stderr)
        return 2
    results = {name: measure(name) for name in names or known}
    for name, figures in results.items():
        show(name, figures)
    write(results)
    return 1 if any("error" in figures for figures in results.values()) else 0


def measure(name: str) -> Figures:
    """Run one benchmark; one that breaks does not take the others with it."""
    print(f"{name} …", file=sys.stderr, flush=True)
    try:
        return dict(load(name).measure())
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def load(name: str) -> Any:
    """Import one benchmark from its file."""
    if str(SUPPORT) not in sys.path:
        sys.path.append(str(SUPPORT))
    spec = importlib.util.spec_from_file_location(f"bench_{name}", HERE / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def show(name: str, figures: Figures, indent: str = "") -> None:
    """Print figures as aligned lines, nested ones below their name."""
    print(f"{indent}{name}")
    width = max(map(len, figures), default=0)
    for key, value in figures.items():
        if isinstance(value, dict):
            show(key, value, indent + "  ")
        else:
            print(f"{indent}  {key:<{width}}  {f'{value:,.4g}' if isinstance(value, float) else value}")


def write(results: dict[str, Figures]) -> None:
    """Put the figures into results/latest.json; those of benchmarks that did not run now stay, with their own date."""
    try:
        kept = json.loads(LATEST.read_text())["benchmarks"]
    except (OSError, ValueError, KeyError):
        kept = {}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    fresh = {name: {"measured_at": now, **figures} for name, figures in results.items()}
    document = {"machine": machine(), "versions": versions(), "benchmarks": {**kept, **fresh}}
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps(document, indent=2, sort_keys=True, default=str) + "\n")


def machine() -> Figures:
    """Return cores, processor, memory (MB) and system."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": cpu_model(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "system": platform.platform(),
    }


def cpu_model() -> str:
    """Return the processor's name as the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter to the figures."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
