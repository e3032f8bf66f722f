"""A component's environment: made once per content, with what it declares and nothing of the parent's."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
import uv

from matinee.environments.prepare import READY, Environment, locked, prepare, run_uv, runtime_requirements
from matinee.errors import BackendError, ComponentError
from matinee.project.model import Component


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Environments of this test alone; the package index is replaced by an empty folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "matinee" / "environments"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a folder of wheels in the index's place, with `tiny` in it and stand-ins for what the runtime needs."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("tiny", "awslambdaric", "boto3", "pydantic"):
        write_wheel(wheels, name, "99.0")
    for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    return wheels


def write_wheel(folder: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"VERSION = '{version}'\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


def component(folder: Path, *dependencies: str, python: str = "", name: str = "one") -> Component:
    lines = [f"dependencies = {list(dependencies)!r}".replace("'", '"')]
    if python:
        lines.append(f'requires-python = "{python}"')
    header = "".join(f"# {line}\n" for line in lines)
    (folder / f"{name}.py").write_text(f"# /// script\n{header}# ///\n")
    return Component(name, folder / f"{name}.py")


def run(environment: Environment, code: str) -> str:
    done = subprocess.run([environment.python, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_without_dependencies_it_is_the_present_interpreter(tmp_path: Path, cache: Path) -> None:
    environment = prepare(component(tmp_path))
    assert environment.python == Path(sys.executable)
    assert not environment.is_own
    assert not cache.exists()


def test_it_holds_what_is_declared_and_the_framework_and_nothing_of_the_parent(tmp_path: Path, index: Path) -> None:
    environment = prepare(component(tmp_path, "tiny>=1"))
    assert environment.is_own
    assert run(environment, "import tiny, pydantic; print(tiny.VERSION, pydantic.VERSION)") == "99.0 99.0"
    assert run(environment, "import matinee.errors; print(matinee.__version__)")
    for absent in ("streamlit", "typer", "rich", "pytest"):
        assert run(environment, f"import importlib.util as u; print(u.find_spec({absent!r}))") == "None"


def test_it_is_made_once_and_then_costs_next_to_nothing(tmp_path: Path, index: Path) -> None:
    said: list[tuple[str, str]] = []
    first = prepare(component(tmp_path, "tiny"), report=lambda *line: said.append(line))
    assert [name for name, _ in said] == ["one", "one"]
    assert "tiny" in said[0][1]
    began = time.monotonic()
    again = prepare(component(tmp_path, "tiny", name="other"), report=lambda *line: said.append(line))
    assert time.monotonic() - began < 0.2
    assert (again.python, again.key) == (first.python, first.key)
    assert len(said) == 2


def test_other_dependencies_are_another_environment(tmp_path: Path, index: Path) -> None:
    assert prepare(component(tmp_path, "tiny")).key != prepare(component(tmp_path, "tiny==99.0")).key


def test_two_that_want_it_at_once_make_it_once(tmp_path: Path, index: Path) -> None:
    said: list[str] = []
    wanted = [component(tmp_path, "tiny", name=name) for name in ("one", "two")]
    threads = [threading.Thread(target=lambda c=c: prepare(c, report=lambda n, _: said.append(n))) for c in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(said) == 2
    assert len(set(said)) == 1


def test_a_half_made_one_is_made_anew(tmp_path: Path, index: Path, cache: Path) -> None:
    environment = prepare(component(tmp_path, "tiny"))
    folder = cache / environment.key
    (folder / READY).unlink()
    (folder / "left-over").write_text("")
    assert prepare(component(tmp_path, "tiny")).key == environment.key
    assert (folder / READY).exists()
    assert not (folder / "left-over").exists()


def test_an_environment_whose_python_is_gone_is_made_anew(tmp_path: Path, index: Path) -> None:
    environment = prepare(component(tmp_path, "tiny"))
    environment.python.unlink()
    assert run(prepare(component(tmp_path, "tiny")), "import tiny; print(tiny.VERSION)") == "99.0"


@pytest.mark.parametrize("kills", [1, 100])
def test_a_uv_that_is_killed_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int) -> None:
    runs, real = tmp_path / "runs", uv.find_uv_bin()
    script = tmp_path / "uv"
    script.write_text(
        f'#!/bin/sh\necho x >> {runs}\nif [ $(wc -l < {runs}) -le {kills} ]; then kill -9 $$; fi\nexec {real} "$@"\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(script))
    if kills == 1:
        assert run_uv("--version").returncode == 0
        return
    with pytest.raises(BackendError, match="uv was killed by signal 9"):
        run_uv("--version")


def test_a_lock_is_held_against_other_threads(tmp_path: Path) -> None:
    entered = threading.Event()

    def second() -> None:
        with locked(tmp_path / "lock"):
            entered.set()

    with locked(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.1)
    assert entered.wait(10)
    thread.join()


def test_requirements_of_a_folder_are_installed(tmp_path: Path, index: Path) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "predictor.py").write_text("")
    (tmp_path / "two" / "requirements.txt").write_text("-r more.txt\n")
    (tmp_path / "two" / "more.txt").write_text("tiny\n")
    assert run(prepare(Component("two", tmp_path / "two")), "import tiny; print(tiny.VERSION)") == "99.0"


def test_shared_code_is_found_and_the_parents_path_does_not_leak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    one = component(tmp_path)
    environment = prepare(Component("one", one.source, (tmp_path / "common",)))
    assert environment.variables["PYTHONPATH"] == str(tmp_path)


BAD = {
    "an unknown package": (("no-such-package>=2", "tiny"), "", "(no-such-package>=2)", "one.py"),
    "an unknown version": (("tiny>=100",), "", "(tiny>=100)", "one.py"),
    "two that contradict": (("tiny<50", "tiny>=99"), "", "tiny", "one.py"),
    "no requirement": (("tiny >>> 2",), "", "'tiny >>> 2'", "pandas>=2,<3"),
    "an option": (("--index-url=http://x",), "", "'--index-url=http://x'", "pandas>=2,<3"),
    "a Python that is nowhere": (
        ("tiny",),
        ">=3.99",
        "There is no Python for component one (>=3.99)",
        "requires-python",
    ),
    "a Python too old": (("tiny",), "<3.11", "asks for Python <3.11; matinee needs 3.11 or newer", ">=3.11"),
    "no version range": (("tiny",), "three", "is not a version range: 'three'", ">=3.11"),
}


@pytest.mark.parametrize(("dependencies", "python", "sentence", "hint"), BAD.values(), ids=BAD)
def test_what_cannot_be_made_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, index: Path, cache: Path, dependencies: tuple[str, ...], python: str, sentence: str, hint: str
) -> None:
    with pytest.raises(ComponentError) as caught:
        prepare(component(tmp_path, *dependencies, python=python))
    assert sentence in caught.value.message
    assert hint in caught.value.hint
    assert "one" in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 480
    assert not cache.exists() or [path for path in cache.iterdir() if path.is_dir()] == []


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(BackendError, match=r"environment cannot be made in .*: Not a directory") as caught:
        prepare(component(tmp_path, "tiny"))
    assert "XDG_CACHE_HOME" in caught.value.hint


def test_what_every_component_gets_is_what_the_package_declares() -> None:
    assert sorted(text.split(">=")[0] for text in runtime_requirements()) == ["awslambdaric", "boto3", "pydantic"]
