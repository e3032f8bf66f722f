from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from matinee.images.build import BuiltImage
from matinee.images.engine import Engine
from matinee.images.ui_image import NAME
from matinee.operate.build import Build, build
from matinee.project.load import load

Building = Callable[[], AbstractContextManager[Callable[..., Build]]]
OF_OTHER_TESTS_TOO = {NAME, "recommend", "classify"}


@pytest.fixture(scope="session")
def environments(engine: Engine) -> Iterator[set[str]]:
    """Return where tests note environments they made, to be removed when all is done.

    They are shared by content, also with what other processes test: under xdist they stay.
    """
    made: set[str] = set()
    yield made
    if made and "PYTEST_XDIST_WORKER" not in os.environ:
        engine.run("image", "rm", "--force", *made, check=False)


@pytest.fixture
def write_app(write_app: Callable[..., Path]) -> Callable[..., Path]:
    """Return the same function, but each app has a name of its own: images are named after it."""

    def write(toml: str = "", **components: str) -> Path:
        folder = write_app(toml, **components)
        file = folder / "matinee.toml"
        file.write_text(file.read_text().replace('name = "tiny"', f'name = "tiny-{uuid.uuid4().hex[:8]}"'))
        return folder

    return write


@pytest.fixture
def build_app(building: Building) -> Iterator[Callable[..., Build]]:
    """Return a function that builds an app's images; they are removed afterwards."""
    with building() as run:
        yield run


@pytest.fixture(scope="session")
def building(engine: Engine, environments: set[str]) -> Building:
    """Return the same as a block, for what several tests share."""
    return partial(_building, engine, environments)


@contextmanager
def _building(engine: Engine, environments: set[str]) -> Iterator[Callable[..., Build]]:
    made: list[Build] = []

    def run(folder: Path, *names: str, **options: Any) -> Build:
        made.append(build(folder, names, **options))
        for plan in made[-1].plans:
            if plan.environment and plan.name not in OF_OTHER_TESTS_TOO:
                environments.add(plan.environment.reference)
        return made[-1]

    yield run
    if made:
        engine.run("image", "rm", "--force", *{p.reference for one in made for p in one.plans}, check=False)


@pytest.fixture
def images_of(engine: Engine) -> Callable[[Path], list[str]]:
    """Return a function that gives the ids of an app's images."""
    return lambda app: engine.run("images", "--quiet", f"matinee-{load(app).name}").stdout.split()


class Lambda:
    """A container of a realtime image under AWS's Runtime Interface Emulator: it takes one request at a time."""

    def __init__(self, engine: Engine, image: str, options: tuple[str, ...], role: str) -> None:
        self.engine = engine
        self.name = f"matinee-test-{uuid.uuid4().hex[:8]}"
        emulator = Path(os.environ["LAMBDA_RIE"])
        engine.run(
            "run", "--detach", "--name", self.name, "--publish", "127.0.0.1::8080", "--volume", f"{emulator}:/rie:ro",
            *options, "--entrypoint", "/rie", image, "python", "-m", "matinee.start", role,
        )  # fmt: skip
        self.port = engine.run("port", self.name, "8080").stdout.strip().rpartition(":")[2]

    def invoke(self, event: object) -> Any:
        """Return the answer to one event."""
        address = f"http://127.0.0.1:{self.port}/2015-03-31/functions/function/invocations"
        deadline = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(address, json.dumps(event).encode(), timeout=30) as answer:
                    return json.loads(answer.read())
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


@pytest.fixture
def start_lambda(engine: Engine) -> Iterator[Callable[..., Lambda]]:
    """Return a function that starts an image as a Lambda function is started, with more options of `docker run`."""
    if not os.environ.get("LAMBDA_RIE"):
        if os.environ.get("CI"):
            raise RuntimeError("LAMBDA_RIE names no Runtime Interface Emulator")
        pytest.skip("LAMBDA_RIE must name AWS's Runtime Interface Emulator.")
    started: list[Lambda] = []

    def start(image: BuiltImage, *options: str, role: str = "realtime") -> Lambda:
        started.append(Lambda(engine, image.reference, options, role))
        return started[-1]

    yield start
    if started:
        engine.run("rm", "--force", "--volumes", *(one.name for one in started), check=False)


@pytest.fixture
def run_image(engine: Engine) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs an image to its end, by its own entry point or another one."""

    def run(image: BuiltImage, *arguments: str, entrypoint: str = "") -> subprocess.CompletedProcess[str]:
        other = ("--entrypoint", entrypoint) if entrypoint else ()
        return engine.run("run", "--rm", *other, image.reference, *arguments, check=False)

    return run


@pytest.fixture
def foreign_base(engine: Engine, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Make a base of an architecture that does not run here, without anything in it; return its name and platform."""
    platform = "linux/arm64" if engine.platform == "linux/amd64" else "linux/amd64"
    name = f"matinee-test-foreign:{uuid.uuid4().hex[:8]}"
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "passwd").write_text("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
    (tmp_path / "base" / "Dockerfile").write_text("FROM scratch\nCOPY passwd /etc/passwd\n")
    engine.build(tmp_path / "base", name, ("--platform", platform))
    yield name, platform
    engine.run("image", "rm", "--force", name)


@pytest.fixture
def fake_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that puts a shell script in an engine's place."""

    def put(script: str, name: str = "docker") -> None:
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
        monkeypatch.setenv("MATINEE_ENGINE", str(command))

    return put
