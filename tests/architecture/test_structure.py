"""What `python scripts/structure.py` counts stays within its bounds."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "structure.py"


@pytest.fixture(scope="module")
def structure() -> ModuleType:
    spec = importlib.util.spec_from_file_location("structure", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["structure"] = module
    spec.loader.exec_module(module)
    return module


def test_no_file_imports_itself_around_a_corner(structure: ModuleType) -> None:
    assert structure.measure().circles == []


def test_a_circle_is_found_where_there_is_one(structure: ModuleType) -> None:
    assert structure.circles({("a.py", "b.py"), ("b.py", "c.py"), ("c.py", "a.py"), ("c.py", "d.py")}) == [
        ["a.py", "b.py", "c.py"]
    ]


def test_files_are_subjects_of_at_most_500_lines(structure: ModuleType) -> None:
    assert max(structure.measure().file_lines) <= 500


def test_few_files_are_satellites_of_one_other(structure: ModuleType) -> None:
    assert len(structure.measure().satellites) <= 40


def test_no_name_is_a_vague_word(structure: ModuleType) -> None:
    assert structure.measure().vague == []


def test_a_vague_name_is_found_where_there_is_one(structure: ModuleType) -> None:
    source = "def blame_worker(told): said_of = [gone for gone in told]\nmessage = 1"
    found = [line.rpartition(" ")[2] for line in structure.vague_names(structure.ast.parse(source))]
    assert sorted(found) == ["blame_worker", "gone", "said_of", "told"]
