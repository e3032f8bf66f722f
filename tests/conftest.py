"""Small apps that tests of several areas run: standard library only, so that they need no environment of their own."""

from __future__ import annotations

import os
import signal
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from matinee.errors import BackendError
from matinee.images.engine import Engine

# A shell that starts the suite in the background has SIGINT ignored, for all that it starts in turn. What the tests
# start is to hear Ctrl-C as it does in the foreground.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

GREET = """
    import os
    from datetime import date
    from typing import Annotated, Literal
    from dataclasses import dataclass
    from matinee import after, context, realtime, state

    @dataclass
    class Greeting:
        text: str
        count: int
        pid: int

    @realtime(memory_mb=256, timeout_s=5, examples=[{"name": "Ada"}])
    def greet(name: str, tone: Literal["kind", "curt"] = "kind") -> Greeting:
        '''Say hello.'''
        print(f"greeting {name}")
        if name == "trouble":
            raise ValueError("I do not greet trouble")
        hello = "Hello" if tone == "kind" else "Hi"
        return Greeting(f"{hello}, {name}!", int(state.increment(f"greeted/{name[:50]}")), os.getpid())
"""
COUNT = """
    import os, time
    from matinee import batch, context, predictor, progress, track
    greet = predictor("greet")

    @batch(timeout_s=60, retries=2, max_workers=2, examples=[{"names": ["Ada"]}])
    def greet_all(names: list[str], seconds_each: float = 0.0) -> dict[str, str]:
        '''Greet everybody.'''
        print(f"greeting {len(names)} in attempt {context().attempt}")
        greeted = {}
        for name in track(names, "Greeting"):
            time.sleep(seconds_each)
            greeted[name] = greet(name=name).text
        return greeted
"""


@pytest.fixture
def write_app(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes an app of component sources (`recommend="..."`) and returns its folder."""

    def write(toml: str = "", **components: str) -> Path:
        folder = tmp_path / "app"
        folder.mkdir(exist_ok=True)
        names = ", ".join(f'"{name}.py"' for name in components)
        (folder / "matinee.toml").write_text(f'name = "tiny"\ncomponents = [{names}]\n{textwrap.dedent(toml)}')
        for name, source in components.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(source))
        return folder

    return write


@pytest.fixture
def greeting_app(write_app: Callable[..., Path]) -> Path:
    """Return an app with a realtime predictor `greet` and a batch predictor `greet_all` that calls it."""
    return write_app(greeting=GREET, greeting_all=COUNT)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Return this machine's container engine: without one, tests skip on a laptop and fail where CI is set."""
    try:
        return Engine.detect()
    except BackendError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"These tests build and run containers. {error}")


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """Return the endpoint of an emulated AWS. Other tests use it too, so what a test makes there has its own names."""
    from matinee.rehearsal.world import ministack  # here, because most tests need none of it
    from support.emulators import skip_if_unavailable

    os.environ.setdefault("AWS_ACCESS_KEY_ID", "test")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "test")
    with skip_if_unavailable(), ministack() as found:
        yield found
