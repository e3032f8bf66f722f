"""What the page about images shows is what happens."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from matinee.images.engine import Engine
from matinee.project.content import is_secret
from matinee.project.load import load
from matinee.start import ROLES

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "build-images.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_page_about_images_runs(tmp_path: Path, engine: Engine) -> None:
    try:
        for language, text in BLOCK.findall(PAGE.read_text()):
            name = re.match(r"# ([\w-]+\.(?:py|toml))\n", text)
            if name:
                (tmp_path / name[1]).write_text(text)
            elif language == "console":
                run(text.removeprefix("$ "), tmp_path)
        assert (tmp_path / "locks").is_dir()
        assert all(line in (tmp_path / "greet.Dockerfile").read_text() for line in shown("dockerfile").splitlines())
    finally:
        kept = engine.run("images", "--format", "{{.Repository}}:{{.Tag}}", "matinee-hello").stdout.split()
        engine.run("image", "rm", "--force", *kept, check=False)


def test_the_other_tables_shown_are_read(tmp_path: Path) -> None:
    (tmp_path / "greet.py").write_text("from matinee import realtime\n@realtime\ndef greet() -> None: ...\n")
    (tmp_path / "prediction.py").write_text("def handler(event, context): ...\n")
    for _, text in BLOCK.findall(PAGE.read_text()):
        if text.startswith(("# with-more.toml", "# moved.toml")):
            (tmp_path / "matinee.toml").write_text('name = "hello"\n' + text)
            components = {component.name: component for component in load(tmp_path).components}
            assert components
    assert components["prediction"].handler == "prediction.handler"
    assert components["classic"].image.endswith("classic:7")


def test_the_page_names_every_role_and_no_secret_that_goes_in() -> None:
    page = PAGE.read_text()
    assert all(f"`{role}`" in page for role in ROLES)
    for name in (".env", "server.pem", "id_rsa", "credentials.json"):
        assert is_secret(name)


def shown(language: str) -> str:
    return next(text for found, text in BLOCK.findall(PAGE.read_text()) if found == language)


def run(command: str, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    program, *arguments = command.split()
    done = subprocess.run(
        [shutil.which(program, path=path) or program, *arguments],
        cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
