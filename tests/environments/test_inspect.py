"""Every component is asked in its own environment; one that fails keeps its trouble to itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from matinee.environments import inspect
from matinee.environments.inspect import InspectedComponent, inspect_app
from matinee.errors import ProjectError
from matinee.manifest import Trouble
from matinee.project import model
from matinee.project.load import load
from matinee.testing.harness import wait_until

IMPORT = "from matinee import batch, realtime\n"
GOOD = IMPORT + "@realtime(memory_mb=256)\ndef {name}(x: int) -> int:\n    return x\n"


def app(folder: Path, toml: str = "", **components: str) -> Path:
    (folder / "matinee.toml").write_text(f'name = "shop"\n{toml}')
    for name, text in components.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def inspected(folder: Path, **options: float) -> dict[str, InspectedComponent]:
    return {item.component.name: item for item in inspect_app(load(folder), **options)}


def trouble(item: InspectedComponent) -> Trouble:
    assert item.manifest.trouble
    return item.manifest.trouble


def test_predictors_are_found_with_their_settings(tmp_path: Path) -> None:
    app(tmp_path, "[predictors.f]\nmemory_mb = 1024\n", one=GOOD.format(name="f"), two=GOOD.format(name="g"))
    found = inspected(tmp_path)
    (f,) = found["one"].manifest.predictors
    (g,) = found["two"].manifest.predictors
    assert (f.name, f.kind, f.component) == ("f", "realtime", "one")
    assert (f.resources.memory_mb, g.resources.memory_mb) == (1024, 256)
    assert found["one"].manifest.hash == found["one"].component.content_hash()


BROKEN = {
    "a syntax error": IMPORT + "@realtime\ndef f(x: int -> int: ...\n",
    "an import error": IMPORT + "import no_such_module\n@realtime\ndef f(x: int) -> int: ...\n",
    "an exception": IMPORT + "1 / 0\n@realtime\ndef f(x: int) -> int: ...\n",
    "an annotation that is not supported": IMPORT + "@realtime\ndef f(x: complex) -> int: ...\n",
    "an exit": IMPORT + "raise SystemExit(3)\n@realtime\ndef f(x: int) -> int: ...\n",
    "a crash": IMPORT + "import os; os._exit(3)\n@realtime\ndef f(x: int) -> int: ...\n",
    "a kill": IMPORT + "import os; os.kill(os.getpid(), 9)\n@realtime\ndef f(x: int) -> int: ...\n",
    "dependencies that cannot be read": "# /// script\n# dependencies = 3\n# ///\n" + GOOD.format(name="f"),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_component_has_trouble_and_the_others_work(tmp_path: Path, text: str) -> None:
    found = inspected(app(tmp_path, one=text, two=GOOD.format(name="g")))
    wrong = trouble(found["one"])
    assert wrong.message
    assert "\n" not in wrong.message
    assert wrong.file.endswith("one.py")
    assert found["one"].manifest.predictors == ()
    assert found["one"].manifest.hash
    assert [p.name for p in found["two"].manifest.predictors] == ["g"]


def test_a_crash_says_how_it_ended(tmp_path: Path) -> None:
    wrong = trouble(inspected(app(tmp_path, one=BROKEN["a kill"]))["one"])
    assert "killed by signal 9" in wrong.message


def test_an_inspection_that_is_killed_once_is_no_trouble(tmp_path: Path) -> None:
    killed_once = f"""
import os, pathlib
mark = pathlib.Path({str(tmp_path / "killed")!r})
if not mark.exists():
    mark.touch()
    os.kill(os.getpid(), 9)
"""
    found = inspected(app(tmp_path, one=IMPORT + killed_once + "@realtime\ndef f(x: int) -> int: ...\n"))["one"]
    assert [p.name for p in found.manifest.predictors] == ["f"]
    assert not found.was_killed


def test_one_that_is_killed_again_and_again_is_known_to_pass(tmp_path: Path) -> None:
    assert inspected(app(tmp_path, one=BROKEN["a kill"]))["one"].was_killed
    assert not inspected(app(tmp_path, one=BROKEN["a crash"]))["one"].was_killed


def test_a_component_that_hangs_is_ended(tmp_path: Path) -> None:
    text = IMPORT + "import time; time.sleep(600)\n@realtime\ndef f(x: int) -> int: ...\n"
    found = inspected(app(tmp_path, one=text), deadline_s=1.5)
    assert "did not finish importing within 1.5 s" in trouble(found["one"]).message


def test_an_interruption_ends_an_import_at_once_with_all_it_started(tmp_path: Path) -> None:
    text = f"""
import pathlib, subprocess, time
pathlib.Path({str(tmp_path / "new")!r}).write_text(str(subprocess.Popen(["sleep", "60"]).pid))
pathlib.Path({str(tmp_path / "new")!r}).rename({str(tmp_path / "started")!r})
time.sleep(600)
"""
    folder = app(tmp_path, one=IMPORT + text + "@realtime\ndef f(x: int) -> int: ...\n", two=GOOD.format(name="g"))
    code = "import sys; from matinee.cli import main; sys.exit(main.run(['inspect', '--app', sys.argv[1]]))"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: (tmp_path / "started").exists(), what="the import")
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert (process.returncode, "Traceback" in errors) == (130, False)
    started = int((tmp_path / "started").read_text())
    wait_until(lambda: not Path(f"/proc/{started}").exists(), what="the end of what it started")


def test_what_a_component_prints_is_no_part_of_the_answer(tmp_path: Path) -> None:
    text = "print('loading')\nprint('{}')\n" + GOOD.format(name="f")
    assert inspected(app(tmp_path, one=text))["one"].manifest.predictors


def test_an_unchanged_component_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = inspect._ask

    def counting(component: model.Component, *rest: object) -> object:
        asked.append(component.name)
        return real(component, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(inspect, "_ask", counting)
    app(tmp_path, one=GOOD.format(name="f"), two=GOOD.format(name="g"))
    first = inspected(tmp_path)
    assert sorted(asked) == ["one", "two"]
    assert inspected(tmp_path) == first
    assert sorted(asked) == ["one", "two"]
    (tmp_path / "two.py").write_text(GOOD.format(name="h"))
    assert inspected(tmp_path)["two"].manifest.predictors[0].name == "h"
    assert asked[2:] == ["two"]


def test_other_settings_need_no_new_inspection_and_are_seen(tmp_path: Path) -> None:
    app(tmp_path, one=GOOD.format(name="f"))
    assert inspected(tmp_path)["one"].manifest.predictors[0].resources.memory_mb == 256
    app(tmp_path, "[predictors.f]\nmemory_mb = 2048\n")
    assert inspected(tmp_path)["one"].manifest.predictors[0].resources.memory_mb == 2048
    app(tmp_path)
    assert inspected(tmp_path)["one"].manifest.predictors[0].resources.memory_mb == 256


def test_a_damaged_memory_of_an_inspection_is_replaced(tmp_path: Path) -> None:
    app(tmp_path, one=GOOD.format(name="f"))
    inspected(tmp_path)
    (kept,) = (tmp_path / ".matinee" / "manifests" / "inspected").glob("one-*.json")
    kept.write_text("{")
    assert inspected(tmp_path)["one"].manifest.predictors
    assert json.loads(kept.read_text())["name"] == "one"


def test_two_predictors_of_one_name_are_refused(tmp_path: Path) -> None:
    app(tmp_path, one=GOOD.format(name="f"), two=GOOD.format(name="f"))
    with pytest.raises(ProjectError, match=r"Two predictors have the name f: in one\.py and in two\.py"):
        inspected(tmp_path)


def test_settings_for_an_unknown_predictor_are_refused(tmp_path: Path) -> None:
    app(tmp_path, "[predictors.ff]\nmemory_mb = 512\n", one=GOOD.format(name="f"))
    with pytest.raises(ProjectError, match="'ff', which no component holds"):
        inspected(tmp_path)


def test_a_data_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    app(tmp_path, one=GOOD.format(name="f"))
    (tmp_path / ".matinee").write_text("in the way")
    with pytest.raises(ProjectError, match="Cannot write to"):
        inspected(tmp_path)


@pytest.mark.parametrize("name", ["email", "json"])
def test_a_component_that_hides_a_module_of_python_is_refused(tmp_path: Path, name: str) -> None:
    wrong = trouble(inspected(app(tmp_path, one=GOOD.format(name="g"), **{name: GOOD.format(name="f")}))[name])
    assert wrong.message == f"{name}.py hides Python's own module {name}."
    assert wrong.hint == "Give it another name."


@pytest.mark.parametrize("name", ["größe", "f" * 65])
def test_a_name_that_no_lambda_function_can_have_is_refused(tmp_path: Path, name: str) -> None:
    wrong = trouble(inspected(app(tmp_path, one=GOOD.format(name=name)))["one"])
    assert wrong.message == f"A predictor cannot be called {name}: a Lambda function of that name cannot exist."
    assert wrong.line == 2
