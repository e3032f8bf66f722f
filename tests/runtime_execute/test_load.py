"""A component is loaded by its path; its predictors come in definition order."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from matinee.errors import ComponentError
from matinee.runtime.load import load_component

TWO = """
from matinee import batch, realtime

@batch
def zebra() -> int:
    return 1

@realtime
def ant() -> int:
    return 2

def helper() -> int:
    return 3
"""


@pytest.fixture(autouse=True)
def clean_imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_a_file_gives_its_predictors_in_definition_order(tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(TWO)
    found = load_component(str(tmp_path / "two.py"))
    assert list(found) == ["zebra", "ant"]
    assert found["ant"]() == 2
    assert sys.modules["two"].helper() == 3


def test_a_folder_has_its_own_files_beside_predictor_py(tmp_path: Path) -> None:
    home = tmp_path / "score"
    home.mkdir()
    (home / "weights_of_mine.py").write_text("W = 7\n")
    (home / "predictor.py").write_text(
        "from pathlib import Path\nfrom matinee import realtime\nfrom weights_of_mine import W\n"
        "@realtime\ndef score() -> int:\n    return W + len(list(Path(__file__).parent.glob('*.py')))\n"
    )
    assert load_component(str(home))["score"]() == 9


def test_predictors_that_are_imported_from_another_component_are_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "other_component.py").write_text(TWO)
    (tmp_path / "mine.py").write_text(
        "from other_component import ant\nfrom matinee import realtime\n"
        "@realtime\ndef own() -> int:\n    return ant()\n"
    )
    assert list(load_component(str(tmp_path / "mine.py"))) == ["own"]


def test_loading_again_takes_the_new_text(tmp_path: Path) -> None:
    source = tmp_path / "again.py"
    for answer in (1, 2):
        source.write_text(f"from matinee import realtime\n@realtime\ndef f() -> int:\n    return {answer}\n")
        assert load_component(str(source))["f"]() == answer


def test_a_component_named_as_a_library_leaves_the_library_alone(tmp_path: Path) -> None:
    import json

    (tmp_path / "json.py").write_text("from matinee import realtime\n@realtime\ndef f() -> int:\n    return 1\n")
    assert load_component(str(tmp_path / "json.py"))["f"]() == 1
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("x = 1\n", "bad.py declares no predictor.", 0),
        (TWO + TWO, "bad.py declares two predictors named zebra.", 17),
        (None, "There is no ", 0),
    ],
)
def test_says_what_is_missing(tmp_path: Path, text: str | None, message: str, line: int) -> None:
    if text is not None:
        (tmp_path / "bad.py").write_text(text)
    with pytest.raises(ComponentError) as refused:
        load_component(str(tmp_path / "bad.py"))
    assert refused.value.message.startswith(message)
    assert refused.value.hint
    assert refused.value.file == str(tmp_path / "bad.py")
    assert refused.value.line == line
