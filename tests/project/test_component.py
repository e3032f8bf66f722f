"""What a component declares to need, and its version by content."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from matinee.errors import ComponentError
from matinee.project.dependencies import Dependencies
from matinee.project.model import Component

HEADER = '# /// script\n# requires-python = ">=3.11"\n# dependencies = [\n#   "numpy",\n#   "pandas>=2",\n# ]\n# ///\n'


def one_file(folder: Path, text: str) -> Component:
    (folder / "one.py").write_text(text)
    return Component("one", folder / "one.py")


def folder_component(folder: Path, **files: str) -> Component:
    (folder / "two").mkdir()
    for name, text in {"predictor.py": "", **files}.items():
        (folder / "two" / name).write_text(text)
    return Component("two", folder / "two")


def test_a_header_is_read_as_the_specification_says(tmp_path: Path) -> None:
    found = one_file(tmp_path, "#!/usr/bin/env python\n" + HEADER + "x = 1\n").dependencies()
    assert found.requirements == ("numpy", "pandas>=2")
    assert found.requires_python == ">=3.11"
    assert found.declared_in == "one.py"


def test_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_bytes(HEADER.replace("\n", "\r\n").encode())
    assert Component("one", tmp_path / "one.py").dependencies().requirements == ("numpy", "pandas>=2")


def test_a_byte_order_mark_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_bytes(b"\xef\xbb\xbf" + HEADER.encode())
    assert Component("one", tmp_path / "one.py").dependencies().requirements == ("numpy", "pandas>=2")


def test_indexes_and_sources_of_uv_are_obeyed(tmp_path: Path) -> None:
    header = """\
# /// script
# dependencies = ["Some_Tool[fast]>=2", "ours; python_version > '3'", "numpy"]
# [tool.uv]
# exclude-newer = "2026-01-01T00:00:00Z"
# [[tool.uv.index]]
# name = "company"
# url = "https://packages.example/simple"
# [tool.uv.sources]
# some-tool = { git = "https://git.example/tool", tag = "v2" }
# ours = { path = "wheels/ours-1-py3-none-any.whl" }
# ///
"""
    found = one_file(tmp_path, header).dependencies()
    wheel = (tmp_path / "wheels" / "ours-1-py3-none-any.whl").resolve().as_uri()
    assert found.requirements == (
        "Some_Tool[fast] @ git+https://git.example/tool@v2",
        f'ours @ {wheel} ; python_version > "3"',
        "numpy",
    )
    assert found.options == (
        "--exclude-newer",
        "2026-01-01T00:00:00Z",
        "--index",
        "company=https://packages.example/simple",
    )


@pytest.mark.parametrize("text", ["x = 1\n", "# /// other\n# a = 1\n# ///\n"])
def test_without_a_header_nothing_is_declared(tmp_path: Path, text: str) -> None:
    assert one_file(tmp_path, text).dependencies() == Dependencies()


def test_a_folder_may_have_requirements_with_includes(tmp_path: Path) -> None:
    component = folder_component(
        tmp_path, **{"requirements.txt": "numpy  # fast\n-r more.txt\n", "more.txt": "scipy\n"}
    )
    found = component.dependencies()
    assert found.file == tmp_path / "two" / "requirements.txt"
    assert "scipy" in found.text
    assert not found.is_empty


def test_a_folder_may_have_a_pyproject(tmp_path: Path) -> None:
    text = '[project]\nname = "x"\nrequires-python = ">=3.12"\ndependencies = ["numpy"]\n'
    found = folder_component(tmp_path, **{"pyproject.toml": text}).dependencies()
    assert (found.requirements, found.requires_python, found.declared_in) == (("numpy",), ">=3.12", "pyproject.toml")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEADER + "\n" + HEADER, "two `# /// script` headers"),
        ('# /// script\n# dependencies = ["numpy"]\n', "is never closed"),
        ('# /// script\n# dependencies = ["numpy"]\n\n# ///\n', "is never closed"),
        ('# /// script\n# tool.uv.index = [{name = "x"}]\n# ///\n', "has no url"),
        ('# /// script\n# tool.uv.index = [{url = "https://x", explicit = true}]\n# ///\n', "explicit.* not obey"),
        ("# /// script\n# tool.uv.environments = []\n# ///\n", "environments`, which Matinee does not obey"),
        (
            '# /// script\n# dependencies = ["a"]\n# tool.uv.sources.a = {workspace = true}\n# ///\n',
            "sources. a`, which Matinee does not obey",
        ),
        ("# /// script\n# dependencies = [numpy]\n# ///\n", "is not valid TOML"),
        ('# /// script\n# dependencies = "numpy"\n# ///\n', "must be a list of texts"),
        ("# /// script\n# requires-python = 3.11\n# ///\n", "must be a text such as"),
    ],
)
def test_a_header_that_cannot_be_read_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ComponentError, match=sentence) as caught:
        one_file(tmp_path, text).dependencies()
    assert caught.value.file.endswith("one.py")
    assert caught.value.line >= 1


def test_dependencies_are_declared_in_one_place(tmp_path: Path) -> None:
    component = folder_component(tmp_path, **{"predictor.py": HEADER, "requirements.txt": "numpy\n"})
    with pytest.raises(ComponentError, match=r"in predictor\.py and in requirements\.txt"):
        component.dependencies()


# --- version by content -----------------------------------------------------------------------------------------


def full(folder: Path) -> Component:
    component = folder_component(folder, **{"weights.bin": "0000", "requirements.txt": "numpy\n"})
    (folder / "common").mkdir()
    (folder / "common" / "tools.py").write_text("x = 1\n")
    return Component(component.name, component.source, (folder / "common",))


CHANGES: dict[str, Callable[[Path], object]] = {
    "its source": lambda f: (f / "two" / "predictor.py").write_text("x = 2\n"),
    "its weights": lambda f: (f / "two" / "weights.bin").write_text("0001"),
    "its dependencies": lambda f: (f / "two" / "requirements.txt").write_text("scipy\n"),
    "shared code": lambda f: (f / "common" / "tools.py").write_text("x = 2\n"),
    "a new file": lambda f: (f / "two" / "new.py").write_text(""),
    "a new name": lambda f: (f / "two" / "weights.bin").rename(f / "two" / "weights2.bin"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_a_component_is_made_of_changes_its_version(tmp_path: Path, change: Callable[[Path], object]) -> None:
    component = full(tmp_path)
    before = component.content_hash()
    change(tmp_path)
    assert component.content_hash() != before


def test_what_it_is_not_made_of_changes_nothing(tmp_path: Path) -> None:
    component = full(tmp_path)
    before = component.content_hash()
    for name in ("__pycache__/x.pyc", ".venv/lib/x.py", ".git/HEAD", "env/pyvenv.cfg", "env/x.py", ".env"):
        path = tmp_path / "two" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("anything")
    assert component.content_hash() == before


def test_the_version_is_the_same_wherever_the_folder_is(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    component = full(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    copied = Component("two", tmp_path / "b" / "two", (tmp_path / "b" / "common",))
    assert copied.content_hash() == component.content_hash()
