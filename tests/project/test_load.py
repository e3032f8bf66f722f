"""A folder with a matinee.toml, or one file, becomes a Project; whatever is wrong is said in one sentence."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest

from matinee.errors import ProjectError
from matinee.manifest import Resources
from matinee.project.load import RESOURCES, load
from matinee.project.model import Limits, Project

PREDICTOR = "from matinee import realtime\n\n@realtime\ndef f(x: int) -> int:\n    return x\n"


def app(folder: Path, toml: str = 'name = "shop"\n', **files: str) -> Path:
    """Write an app; `a__b` stands for the path a/b, and a name without a suffix for a .py file."""
    (folder / "matinee.toml").write_text(toml)
    for name, text in (files or {"one": PREDICTOR}).items():
        path = folder / name.replace("__", "/")
        path = path if path.suffix else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_every_setting_is_read(tmp_path: Path) -> None:
    toml = """
name = "shop"
title = "The Shop"
description = "Sells."
components = ["one.py", "two"]
shared = ["common"]

[predictors.f]
memory_mb = 1024
secrets = ["TOKEN"]

[limits]
upload_mb = 7.5
rows = 10

[ui]
theme = "dark"
primary_color = "#ff4b4b"

[stages.prod]
title = "The Real Shop"
[stages.prod.predictors.f]
memory_mb = 2048
[stages.prod.limits]
rows = 20
"""
    project = load(app(tmp_path, toml, one=PREDICTOR, two__predictor=PREDICTOR, common__tools="x = 1\n"))
    assert (project.name, project.title, project.description) == ("shop", "The Shop", "Sells.")
    assert (project.folder, project.data) == (tmp_path, tmp_path / ".matinee")
    assert [(c.name, c.source, c.entry) for c in project.components] == [
        ("one", tmp_path / "one.py", tmp_path / "one.py"),
        ("two", tmp_path / "two", tmp_path / "two" / "predictor.py"),
    ]
    assert project.components[0].shared == (tmp_path / "common",)
    assert project.components[0].search_path == (tmp_path,)
    assert project.overrides == {"f": {"memory_mb": 1024, "secrets": ("TOKEN",)}}
    assert project.limits == Limits(upload_mb=7.5, rows=10)
    prod = project.for_stage("prod")
    assert (prod.title, prod.limits.rows, prod.limits.upload_mb) == ("The Real Shop", 20, 7.5)
    assert prod.overrides == {"f": {"memory_mb": 2048, "secrets": ("TOKEN",)}}
    assert project.for_stage("dev") == project


def test_without_components_those_of_the_folder_are_found(tmp_path: Path) -> None:
    files = {
        "one": PREDICTOR,
        "attribute": "import matinee as m\n@m.batch(cpu=1)\ndef f() -> int: ...\n",
        "broken": "from matinee import realtime\n@realtime\ndef f(:\n",
        "folder__predictor": PREDICTOR,
        "helper": "def realtime(f): return f\n@realtime\ndef f(): ...\n",
        "mentions": "import matinee\nTEXT = '''\n@realtime\n'''\n",
        "test_one": PREDICTOR,
        "ui": PREDICTOR,
        "tests__predictor": PREDICTOR,
        ".hidden__predictor": PREDICTOR,
    }
    project = load(app(tmp_path, **files))
    assert [component.name for component in project.components] == ["attribute", "broken", "folder", "one"]


def test_components_may_be_tables_with_their_own_source_and_shared_code(tmp_path: Path) -> None:
    toml = 'name = "shop"\n[components.first]\nsource = "one.py"\nshared = ["common"]\n[components.two]\n'
    project = load(app(tmp_path, toml, one=PREDICTOR, two=PREDICTOR, common__x="y = 1"))
    assert [(c.name, c.source.name, len(c.shared)) for c in project.components] == [
        ("first", "one.py", 1),
        ("two", "two.py", 0),
    ]


def test_a_single_file_needs_no_toml(tmp_path: Path) -> None:
    file = tmp_path / "My_Model.py"
    file.write_text(PREDICTOR)
    project = load(file)
    assert (project.name, project.title) == ("my-model", "My model")
    assert project.data == tmp_path / ".matinee" / "My_Model.py"
    assert [(c.name, c.source) for c in project.components] == [("My_Model", file)]


def test_the_toml_itself_may_be_named(tmp_path: Path) -> None:
    assert load(app(tmp_path) / "matinee.toml") == load(tmp_path)


def test_every_resource_of_the_manifest_can_be_overridden_and_its_default_is_allowed() -> None:
    for name, default in asdict(Resources()).items():
        assert RESOURCES[name].problem(list(default) if isinstance(default, tuple) else default) == "", name


BAD = {
    "an unknown key": (
        'name = "x"\ntitel = "y"\n',
        "line 2: unknown key 'titel' in the top level",
        "Did you mean title?",
    ),
    "an unknown key of a table": ("[limits]\nrow = 1\n", "line 2: unknown key 'row' in [limits]", "Did you mean rows?"),
    "an unknown table": ("[limitz]\n", "line 1: unknown key 'limitz'", "Did you mean limits?"),
    "an unknown resource": ("[predictors.f]\nmemory = 1\n", "line 2: unknown key 'memory'", "Did you mean memory_mb?"),
    "an unknown key of a stage": ("[stages.prod]\nname = 'x'\n", "line 2: unknown key 'name'", ""),
    "a text for a number": ('[predictors.f]\nmemory_mb = "512"\n', "memory_mb must be a whole number, not '512'", ""),
    "a fraction for a whole number": ("[limits]\nrows = 1.5\n", "limits.rows must be a whole number", ""),
    "true for a number": ("[limits]\nrows = true\n", "limits.rows must be a whole number, not True", ""),
    "a number out of bounds": (
        "[predictors.f]\n\nmemory_mb = 1\n",
        "line 3: predictors.f.memory_mb must be at least 128",
        "",
    ),
    "a value out of a choice": ('[ui]\ntheme = "pink"\n', 'ui.theme must be one of "light", "dark"', ""),
    "no colour": ('[ui]\nprimary_color = "red"\n', 'must be a colour such as "#ff4b4b"', ""),
    "a name with capitals": ('name = "My App"\n', "line 1: name must be at most 32 small letters", ""),
    "a number for a text": ("name = 3\n", "name must be a text, not 3", ""),
    "a text for a list": ('components = "one.py"\n', "components must be a list of texts", ""),
    "a list of numbers": ("components = [1]\n", "components must be a list of texts", ""),
    "a value for a table": ("limits = 3\n", "limits must be a table, not 3", ""),
    "a value for a predictor": (
        "[predictors]\nf = 3\n",
        "line 2: predictors.f must be a table, not 3",
        "Write [predictors.f].",
    ),
    "a missing component": ('components = ["oen.py"]\n', "there is no oen.py", "Did you mean one.py?"),
    "a component outside": ('components = ["../x.py"]\n', "../x.py is outside the app's folder", ""),
    "an absolute path outside": ('components = ["/etc/hosts"]\n', "/etc/hosts is outside the app's folder", ""),
    "shared code outside": ('shared = ["/etc"]\n', "/etc is outside the app's folder", ""),
    "shared code that is missing": ('shared = ["common"]\n', "there is no common", ""),
    "a folder without predictor.py": (
        'components = ["empty"]\n',
        "the component empty has no predictor.py",
        "empty/predictor.py",
    ),
    "a component of another kind": ('components = ["notes.txt"]\n', "neither a .py file nor a folder", ""),
    "two components of one name": (
        'components = ["one.py", "sub/one.py"]\n',
        "two components have the name one: one.py and sub/one.py",
        "Rename",
    ),
    "no component at all": ("components = []\n", "There is no predictor in", "@realtime"),
    "a name no component can have": ('components = ["a b.py"]\n', "A component cannot be called 'a b'", "Rename it"),
    "TOML that is none": ("name = x\n", "is not valid TOML", "quotes"),
}


@pytest.mark.parametrize(("toml", "sentence", "hint"), BAD.values(), ids=BAD)
def test_bad_settings_are_one_sentence(tmp_path: Path, toml: str, sentence: str, hint: str) -> None:
    app(tmp_path, toml, one=PREDICTOR, sub__one=PREDICTOR, **{"notes.txt": "", "a b": ""})
    (tmp_path / "empty").mkdir()
    with pytest.raises(ProjectError) as caught:
        load(tmp_path)
    assert sentence in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("path", "sentence", "hint"),
    [
        ("nowhere", "There is no", "matinee.toml"),
        ("notes.txt", "is not a Python file", ""),
        ("plain.py", "There is no predictor in", "@realtime"),
        (".", "There is no matinee.toml", "--app one.py"),
        ("bare", "There is no matinee.toml", "matinee new NAME"),
    ],
)
def test_a_path_that_is_no_app_is_one_sentence(tmp_path: Path, path: str, sentence: str, hint: str) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "plain.py").write_text("def f(x): return x\n")
    (tmp_path / "one.py").write_text(PREDICTOR)
    (tmp_path / "bare").mkdir()
    with pytest.raises(ProjectError) as caught:
        load(tmp_path / path)
    assert sentence in caught.value.message
    assert hint in caught.value.hint


def test_settings_for_a_predictor_that_is_not_there_are_refused(tmp_path: Path) -> None:
    project: Project = load(app(tmp_path, 'name = "x"\n[stages.prod.predictors.recomend]\nmemory_mb = 512\n'))
    with pytest.raises(ProjectError, match="'recomend', which no component holds") as caught:
        project.check_overrides(["recommend", "plan"])
    assert caught.value.hint == "Did you mean recommend?"


def test_many_threads_read_the_same_app_at_once(tmp_path: Path) -> None:
    (tmp_path / "deep.py").write_text(f"{PREDICTOR}\nX = {'(' * 60}1{')' * 60}\n")
    (tmp_path / "matinee.toml").write_text('name = "app"\ncomponents = ["deep.py"]\n')
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda _: load(tmp_path).components[0].contents().files.keys(), range(200)))
    assert all("deep.py" in files for files in loaded)
