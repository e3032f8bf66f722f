"""A key of `matinee.toml` is declared once: default, check and meaning; its reader and its documentation follow."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

import pytest

import matinee
from matinee.errors import ProjectError
from matinee.project.load import load

ROOT = Path(__file__).parents[2]
BEFORE = "    dashboard: bool = key("
ADDED = '    alarm_minutes: int = key(5, Field("whole", low=1, high=60), "how long before an alarm")\n'
SEEN = """
import json, sys
from pathlib import Path
from matinee.errors import ProjectError
from matinee.project.aws import Aws
from matinee.project.load import load
from matinee.project.fields import reference

folder = Path(sys.argv[1])
def read(toml, stage=""):
    (folder / "matinee.toml").write_text(toml)
    try:
        return load(folder).for_stage(stage).aws.alarm_minutes
    except ProjectError as error:
        return error.message.partition("line ")[2]
stages = "[aws]\\nalarm_minutes = 10\\n[stages.prod.aws]\\nalarm_minutes = 20\\n"
print(json.dumps({
    "default": read(""),
    "read": read(stages),
    "stage": read(stages, "prod"),
    "refused": read("[aws]\\nalarm_minutes = 0\\n"),
    "documented": [row for row in reference(Aws).splitlines() if "alarm_minutes" in row],
}))
"""


def script():
    spec = importlib.util.spec_from_file_location("reference_script", ROOT / "scripts" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def app(tmp_path):
    (tmp_path / "work.py").write_text("from matinee import realtime\n\n@realtime\ndef work() -> int: ...\n")
    return tmp_path


def test_a_key_that_is_added_to_aws_is_everywhere(app):
    """In a copy of the package with one line more, in one file."""
    copy = app / "copy" / "matinee"
    shutil.copytree(Path(matinee.__file__).parent, copy)
    source = (copy / "project" / "aws.py").read_text("utf-8")
    assert BEFORE in source
    (copy / "project" / "aws.py").write_text(source.replace(BEFORE, ADDED + BEFORE), "utf-8")
    command = [sys.executable, "-c", SEEN, str(app)]
    done = subprocess.run(command, env={"PYTHONPATH": str(app / "copy")}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "default": 5,
        "read": 10,
        "stage": 20,
        "refused": "2: aws.alarm_minutes must be at least 1, not 0.",
        "documented": ["| `alarm_minutes` | 5 | how long before an alarm |"],
    }


def test_the_reference_is_what_the_keys_say():
    """`make reference` renews it."""
    reference = script()
    page = reference.PAGE.read_text("utf-8")
    assert reference.renewed(page) == page


SECTIONS = script().SECTIONS


@pytest.mark.parametrize("name", SECTIONS)
def test_every_key_of_every_section_is_checked_and_has_a_meaning_and_a_default_that_passes(name):
    for declared in fields(SECTIONS[name]):
        check, meaning = declared.metadata["check"], declared.metadata["meaning"]
        assert meaning, declared.name
        assert declared.default is not ..., declared.name
        value = declared.default_factory() if declared.default is MISSING else declared.default
        if value and not is_dataclass(value):
            assert not check.problem(list(value) if isinstance(value, tuple) else value), declared.name


@pytest.mark.parametrize("name", SECTIONS)
def test_an_unknown_key_of_every_section_is_refused_with_the_keys_there_are(app, name):
    (app / "matinee.toml").write_text(f"[{name}]\nzzzzzzzz = 1\n")
    with pytest.raises(ProjectError, match=rf"line 2: unknown key 'zzzzzzzz' in \[{name}\]") as refused:
        load(app)
    assert all(declared.name in refused.value.hint for declared in fields(SECTIONS[name]))
