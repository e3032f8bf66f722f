from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from matinee.images.engine import Engine

HABITS = '''
import os
import signal
import time

from matinee import batch, context, progress, realtime


@realtime(memory_mb=256, timeout_s=2, examples=[{"name": "Ada"}])
def greet(name: str) -> str:
    """Say hello."""
    return f"Hello, {name}!"


@realtime(memory_mb=256, timeout_s=2)
def where() -> dict[str, str]:
    """Tell what this process may do."""
    try:
        open("/app/written", "w")
        root = "writable"
    except OSError:
        root = "read-only"
    return {"root": root, "first": str(os.getpid()), "manifest": os.environ["MATINEE_MANIFEST"]}


@realtime(memory_mb=256, timeout_s=30)
def hoard(mb: int) -> int:
    """Take memory at once."""
    return len(bytearray(mb * 2**20))


@realtime(memory_mb=256, timeout_s=1)
def sleep(seconds: float) -> float:
    """Take time."""
    time.sleep(seconds)
    return seconds


@batch(memory_mb=128, timeout_s=60, examples=[{"seconds": 1.0}])
def count(seconds: float, mb: int = 0) -> int:
    """Count quarters of seconds."""
    hoarded = bytearray(mb * 2**20)
    quarters = int(seconds * 4)
    for quarter in range(quarters):
        progress(quarter / quarters, "counting")
        time.sleep(0.25)
    return context().attempt
'''


def remove(engine: Engine, reference: str) -> None:
    images = engine.run("images", "--quiet", "--filter", f"reference={reference}").stdout.split()
    if images:
        engine.run("image", "rm", "--force", *set(images), check=False)


@pytest.fixture(scope="session")
def environment(engine: Engine) -> Iterator[None]:
    """What all builds of the app share, removed when all is done."""
    yield
    remove(engine, "matinee-environment:habits-*")


@pytest.fixture
def habits(engine: Engine, environment: None, tmp_path: Path) -> Iterator[Path]:
    """An app that greets, hoards, sleeps and counts; its images go with it."""
    folder = tmp_path / "habits"
    folder.mkdir()
    (folder / "matinee.toml").write_text('name = "habits"\ncomponents = ["habits.py"]\n')
    (folder / "habits.py").write_text(textwrap.dedent(HABITS))
    yield folder
    remove(engine, "matinee-habits")
