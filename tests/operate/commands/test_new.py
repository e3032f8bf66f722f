"""`new` writes an app that works, or nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from matinee.cli import main
from matinee.errors import UsageError
from matinee.operate.new import new
from matinee.project.load import load


def test_the_new_app_is_an_app(tmp_path: Path) -> None:
    made = new(tmp_path / "My Shop_2")
    project = load(made.folder)
    assert (made.name, project.name, project.title) == ("my-shop-2", "my-shop-2", "My shop 2")
    assert [component.name for component in project.components] == ["recommend", "plan"]
    assert {".env", ".matinee/"} <= set((made.folder / ".gitignore").read_text().split())
    targets = re.findall(r"(?m)^(\w+):", (made.folder / "Makefile").read_text())
    assert targets == ["dev", "test", "build", "deploy", "destroy"]
    assert sorted(made.files) == sorted(path.name for path in made.folder.iterdir())


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    assert new(tmp_path / "shop").files


@pytest.mark.parametrize("name", ["3rd", "a" * 33, "größe", "a.b"])
def test_a_name_no_app_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be an app's name"):
        new(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine.txt").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for name in ("shop", "file"):
        with pytest.raises(UsageError, match="is not empty"):
            new(tmp_path / name)
    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["mine.txt"]
    assert (tmp_path / "file").read_text() == "precious"


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="Cannot write to"):
        new(tmp_path / "file" / "shop")


def test_every_command_of_a_new_app_s_makefile_is_one_that_there_is(tmp_path: Path) -> None:
    makefile = (new(tmp_path / "shop").folder / "Makefile").read_text()
    commands = re.findall(r"(?m)^\tmatinee (.+)$", makefile)
    assert [line.split()[0] for line in commands] == ["dev", "test", "build", "deploy", "destroy"]
    group = typer.main.get_command(main.app)
    for line in commands:
        name, *arguments = line.split()
        group.commands[name].make_context(name, arguments)  # raises where an option is missing or unknown
