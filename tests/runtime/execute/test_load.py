"""A component is loaded by its path; its predictors come in definition order."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from matinee.errors import ComponentError
from matinee.runtime.execute import load_component

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


# --- a component is a real module -----------------------------------------------------------------------------------

REAL = """
import importlib.resources
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from matinee import realtime
{helper}

def twice(n: int) -> int:
    return factor() * n

@realtime
def by_processes(kind: str) -> list[int]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(kind)) as pool:
        return list(pool.map(twice, [1, 2]))

@realtime
def what_it_is() -> list[str]:
    return [__name__, __spec__.name, __spec__.origin, __package__, __file__]

@realtime
def read() -> str:
    return importlib.resources.files({anchor}).joinpath("words.txt").read_text()
"""


def in_a_process(source: Path, call: str) -> str:
    """Return what a call of a predictor gives in a fresh process that imports the component as its workers do."""
    code = (
        "import sys\nfrom matinee.runtime.execute import load_component\n"
        "print(eval(sys.argv[2], load_component(sys.argv[1])))"
    )
    command = [sys.executable, "-P", "-c", code, str(source), call]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "score"
    home.mkdir()
    (home / "helper.py").write_text("def factor(): return 2\n")
    (home / "words.txt").write_text("hello")
    (home / "predictor.py").write_text(REAL.format(helper="from .helper import factor", anchor="__package__"))
    return home


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text("def factor(): return 2\n")
    (tmp_path / "rate.py").write_text(REAL.format(helper="from helper import factor", anchor="__name__"))
    return tmp_path / "rate.py"


@pytest.mark.parametrize("kind", ["spawn", "forkserver"])
@pytest.mark.parametrize("shape", ["file", "folder"])
def test_child_processes_import_a_component_by_its_name(request, shape: str, kind: str) -> None:
    assert in_a_process(request.getfixturevalue(shape), f"by_processes({kind!r})") == "[2, 4]"


def test_a_file_is_a_module_and_a_folder_a_package(file: Path, folder: Path) -> None:
    code = str(folder / "predictor.py")
    assert in_a_process(file, "what_it_is()") == str(["rate", "rate", str(file), "", str(file)])
    assert in_a_process(folder, "what_it_is()") == str(["score.predictor", "score.predictor", code, "score", code])


def test_a_folder_reads_its_files_as_resources(folder: Path) -> None:
    assert in_a_process(folder, "read()") == "hello"


def test_a_folder_with_an_init_module_is_an_ordinary_package(folder: Path) -> None:
    (folder / "__init__.py").write_text("WORD = 'from the package'\n")
    (folder / "predictor.py").write_text(
        "from matinee import realtime\nfrom . import WORD\n@realtime\ndef f() -> str:\n    return WORD\n"
    )
    assert in_a_process(folder, "f()") == "from the package"
