"""A deployment whose process is killed goes on with the same command, from every point. Meanwhile the former serves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pretending import Pretend

from matinee.deploy import current_state
from matinee.deploy.cloud import Cloud
from matinee.deploy.pipeline import deploy
from matinee.deploy.plan import DeployOptions

POINTS = ("What is kept", "Images", "a resource", "a tried version", "the alias moved")


@pytest.fixture
def kill_at(endpoint: str) -> Callable[[Path, str], None]:
    """Return a function that deploys in a process of its own, which dies at a point."""

    def run(folder: Path, point: str) -> None:
        here = Path(__file__).parent
        process = subprocess.run(
            [sys.executable, str(here / "killed.py"), str(folder), endpoint, point],
            env={**os.environ, "PYTHONPATH": str(here)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert process.returncode == -signal.SIGKILL, process.stdout + process.stderr

    return run


def alias(cloud: Cloud) -> str:
    found = cloud.call("lambda", "get_alias", FunctionName=cloud.names.resource("hello"), Name="live")
    return found["FunctionVersion"]


@pytest.mark.parametrize("point", POINTS)
def test_the_first_deployment_goes_on(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend, kill_at: Callable[[Path, str], None], point: str
) -> None:
    folder = app()
    kill_at(folder, point)
    done = deploy(folder, DeployOptions(), pretend.tools)
    assert (done.release, done.versions) == (1, {"hello": "v1", "count": "v1"})
    assert alias(cloud) == "1"
    found = current_state.read_release(cloud)
    assert [past.number for past in found.history.releases] == [1]
    assert deploy(folder, DeployOptions(), pretend.tools).changed is False


@pytest.mark.parametrize("point", ("a resource", "a tried version", "the alias moved"))
def test_a_later_one_goes_on_and_the_former_release_is_what_is_live_meanwhile(
    app: Callable[..., Path], cloud: Cloud, pretend: Pretend, kill_at: Callable[[Path, str], None], point: str
) -> None:
    deploy(app(), DeployOptions(), pretend.tools)
    folder = app(word="Hi", plus=2)
    kill_at(folder, point)
    meanwhile = current_state.read_release(cloud)
    assert meanwhile.number == 1
    assert {c.name: c.label for c in meanwhile.release.components} == {"hello": "v1", "count": "v1"}
    done = deploy(folder, DeployOptions(), pretend.tools)
    assert (done.release, done.versions) == (2, {"hello": "v2", "count": "v2"})
    assert alias(cloud) == "2"
    assert current_state.read_history(current_state.read_release(cloud).store).highest == {"hello": 2, "count": 2}
