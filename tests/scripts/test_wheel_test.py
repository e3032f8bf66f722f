"""`scripts/wheel_test.py` refuses a wheel that lacks something, and reads its lowest versions. CI runs all of it."""

from __future__ import annotations

import importlib.util
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
ABOUT = "matinee-1.dist-info"


@pytest.fixture
def wheel_test():
    spec = importlib.util.spec_from_file_location("wheel_test", ROOT / "scripts" / "wheel_test.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def a_wheel(tmp_path):
    """Return a function that writes a wheel of the package as it is, without or with more files."""

    def write(*more, without=(), metadata="Name: matinee\n"):
        source = ROOT / "src" / "matinee"
        names = {f"matinee/{path.relative_to(source)}" for path in source.rglob("*") if path.is_file()}
        names = {name for name in names if "__pycache__" not in name}
        about = {f"{ABOUT}/entry_points.txt": "", f"{ABOUT}/licenses/LICENSE": "", f"{ABOUT}/METADATA": metadata}
        path = tmp_path / "matinee-1-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name in names.union(more, about) - set(without):
                archive.writestr(name, about.get(name, ""))
        return path

    return write


def test_a_wheel_of_the_whole_package_is_taken(wheel_test, a_wheel):
    wheel_test.check_contents(a_wheel())


@pytest.mark.parametrize(
    ("more", "without"),
    [
        ((), ("matinee/py.typed",)),
        ((), ("matinee/cli/main.py",)),
        ((), (f"{ABOUT}/licenses/LICENSE",)),
        (("tests/support/wire.py",), ()),
        (("matinee/left_behind.py",), ()),
    ],
)
def test_a_wheel_that_lacks_or_adds_a_file_is_refused_with_its_name(wheel_test, a_wheel, more, without):
    with pytest.raises(wheel_test.WheelError) as refused:
        wheel_test.check_contents(a_wheel(*more, without=without))
    [name] = (*more, *without)
    assert Path(name).name in str(refused.value)


def test_the_lowest_versions_are_those_that_the_project_declares(wheel_test, a_wheel):
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    metadata = "Name: matinee\n" + "".join(f"Requires-Dist: {requirement}\n" for requirement in declared)
    lowest = wheel_test.lowest_versions(a_wheel(metadata=metadata))
    assert [Requirement(each).name for each in lowest] == ["streamlit", "uvicorn", "starlette"]
    specifiers = {requirement.name: requirement.specifier for requirement in map(Requirement, declared)}
    for each in map(Requirement, lowest):
        (version,) = (specifier.version for specifier in each.specifier)
        assert specifiers[each.name].contains(version)
