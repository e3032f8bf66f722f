"""The greeting app, deployed to an emulator of AWS, and a laptop that reaches it."""

from __future__ import annotations

import os
import shutil

import pytest

from support.stage import emulated_stage


@pytest.fixture(scope="module")
def app_folder(tmp_path_factory, request):
    """The app that the module's SOURCES write."""
    folder = tmp_path_factory.mktemp("stage") / "app"
    folder.mkdir()
    sources = request.module.SOURCES
    names = ", ".join(f'"{name}.py"' for name in sources)
    (folder / "matinee.toml").write_text(f'name = "{request.module.APP}"\ncomponents = [{names}]\n')
    for name, text in sources.items():
        (folder / f"{name}.py").write_text(text)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def stage(endpoint, app_folder):
    with emulated_stage(app_folder, endpoint) as stage:
        yield stage


@pytest.fixture
def laptop(stage, monkeypatch):
    """The environment of a laptop with AWS credentials, and nothing of ours."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MATINEE_"))]:
        monkeypatch.delenv(name)
    for name, value in stage.environment.items():
        monkeypatch.setenv(name, value)
    return monkeypatch
