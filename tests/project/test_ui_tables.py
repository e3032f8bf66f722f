"""`[ui]` and `[notices]`: how the app looks, the owner's own pages, and how people are told."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from matinee.errors import ProjectError
from matinee.project.load import load
from matinee.project.model import Project
from matinee.project.sections import Page, ui_details


def write(folder: Path, toml: str = "", **files: str) -> Path:
    (folder / "matinee.toml").write_text(textwrap.dedent(toml))
    (folder / "guess.py").write_text("from matinee import realtime\n\n@realtime\ndef guess() -> int: ...\n")
    for name in files.values():
        (folder / name).write_text("")
    return folder


def read(folder: Path, toml: str = "", **files: str) -> Project:
    return load(write(folder, toml, **files))


def test_a_ui_py_beside_the_toml_is_the_home_page_and_a_readme_the_page_about(tmp_path):
    ui = read(tmp_path, a="ui.py", b="README.md").ui
    assert ui.pages == (Page("ui.py", "Home", "home", is_home=True),)
    assert ui.about == "README.md"


def test_pages_are_files_or_tables_and_the_title_comes_from_the_file(tmp_path):
    toml = """
        [ui]
        logo = "logo.png"
        pages = ["sales_report.py", {file = "mine.py", title = "Guess!", icon = "🎲", replaces = "guess"}]
    """
    ui = read(tmp_path, toml, a="sales_report.py", b="mine.py", c="logo.png").ui
    assert ui.pages[0] == Page("sales_report.py", "Sales report", "sales_report")
    assert ui.pages[1] == Page("mine.py", "Guess!", "guess", "🎲", "guess")
    assert ui.logo == "logo.png"


def test_pages_as_tables_of_their_own(tmp_path):
    toml = '[[ui.pages]]\nfile = "mine.py"\ntitle = "Mine"\n'
    assert read(tmp_path, toml, a="mine.py").ui.pages == (Page("mine.py", "Mine", "mine"),)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[ui]\npages = ["gone.py"]', "line 2: there is no file gone.py"),
        ('[ui]\npages = ["../x.py"]', "there is no file ../x.py in the app's folder"),
        ('[ui]\npages = ["README.md"]', "README.md is none of .py"),
        ('[ui]\npages = "mine.py"', "ui.pages must be a list"),
        ('[ui]\npages = [{file = "mine.py", titel = "x"}]', "each page is a file name, or a table with file"),
        ('[ui]\npages = ["mine.py", "mine.py"]', "mine.py and mine.py are pages at the same address"),
        ('[ui]\nlogo = "README.md"', "README.md is none of .svg"),
        ('[notices]\nsmtp_password = "x"', "notices.smtp_password is a secret"),
        ('[notices]\nsmtp_host = "mail"', "smtp_host needs a sender"),
        ('[notices]\nurl = "app"', "notices.url must be as in"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, toml, said):
    write(tmp_path, toml, a="mine.py", b="README.md")
    with pytest.raises(ProjectError, match="line") as caught:
        load(tmp_path)
    assert said in str(caught.value)


def test_a_page_cannot_replace_a_predictor_there_is_not(tmp_path):
    project = read(tmp_path, '[[ui.pages]]\nfile = "mine.py"\nreplaces = "gues"\n', a="mine.py")
    with pytest.raises(ProjectError, match="Did you mean guess"):
        project.check_overrides(["guess"])


def test_a_stage_changes_the_looks_alone(tmp_path):
    project = read(tmp_path, '[ui]\nicon = "🏊"\n[stages.prod.ui]\ntheme = "dark"\n', a="ui.py").for_stage("prod")
    assert (project.ui.icon, project.ui.theme, len(project.ui.pages)) == ("🏊", "dark", 1)
    assert ui_details(project.ui, "/app")["folder"] == "/app"
