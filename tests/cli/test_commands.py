"""The grammar: data to stdout, all else to stderr; exit code 2 for bad input, 1 for a failure, 130 for Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from matinee.cli import main
from matinee.testing.harness import wait_until


@dataclass
class Said:
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def matinee(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Return a function that runs a command in this process."""

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = main.run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


Matinee = Callable[..., Said]


def test_a_new_app_can_be_inspected_and_used(matinee: Matinee, tmp_path: Path) -> None:
    app = tmp_path / "my-app"
    made = matinee("new", app)
    assert made.code == 0
    assert "matinee dev" in made.err
    assert ".gitignore" in made.out
    assert matinee("new", app).code == 2
    found = matinee("inspect", "--app", app, "--json")
    assert found.code == 0
    assert [c["predictors"][0]["name"] for c in found.json["components"]] == ["recommend", "plan"]
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "-q"], cwd=app, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_inspect_shows_a_table_and_the_next_step(matinee: Matinee, greeting_app: Path) -> None:
    said = matinee("inspect", "--app", greeting_app)
    assert said.code == 0
    assert "greet_all" in said.out
    assert "name, [tone]" in said.out
    assert "matinee dev" in said.err


def test_inspect_of_a_broken_component_shows_the_rest_and_ends_with_2(matinee: Matinee, greeting_app: Path) -> None:
    (greeting_app / "greeting_all.py").write_text("from matinee import batch\n@batch\ndef f(:\n")
    said = matinee("inspect", "--app", greeting_app)
    assert said.code == 2
    assert "greet " in said.out
    assert "greeting_all.py, line 3" in said.err


@pytest.mark.slow
def test_predict_submit_and_runs_make_one_story(matinee: Matinee, greeting_app: Path, tmp_path: Path) -> None:
    at = ("--app", greeting_app)
    empty = matinee("runs", "list", *at)
    assert (empty.code, empty.out) == (0, "")
    assert not (greeting_app / ".matinee").exists()

    said = matinee("predict", "greet", "name=Ada", "tone=curt", *at)
    assert said.code == 0
    assert json.loads(said.out)["text"] == "Hi, Ada!"
    assert "greeting Ada" in said.err

    run = matinee("predict", "greet", "name=Ada", *at, "--json").json
    assert (run["status"], run["result"]["count"]) == ("succeeded", 2)

    failed = matinee("predict", "greet", "name=trouble", *at)
    assert (failed.code, failed.out) == (1, "")
    assert "error: " in failed.err
    assert "I do not greet trouble" in failed.err

    saved = tmp_path / "greeted.json"
    waited = matinee("submit", "greet_all", 'names=["Ada", "Bob"]', "--wait", "--output", saved, *at)
    assert (waited.code, waited.out.strip()) == (0, str(saved))
    assert json.loads(saved.read_text()) == {"Ada": "Hello, Ada!", "Bob": "Hello, Bob!"}

    listed = matinee("runs", "list", *at, "--json").json
    assert [item["predictor"] for item in listed] == ["greet_all", "greet", "greet", "greet"]
    assert matinee("runs", "list", *at, "--status", "failed", "--json").json[0]["failure"]["kind"] == "exception"
    assert "greet_all" in matinee("runs", "list", *at).out
    shown = matinee("runs", "show", "last", *at)
    assert '{"names": ["Ada", "Bob"]' in shown.out
    assert matinee("runs", "show", "last", *at, "--json").json["inputs"]["names"] == ["Ada", "Bob"]
    assert json.loads(matinee("runs", "result", "last", *at).out)["Bob"] == "Hello, Bob!"
    assert "greeting 2 in attempt 1" in matinee("runs", "logs", "last", *at).out
    late = matinee("runs", "cancel", "last", *at)
    assert (late.code, late.out) == (2, "")
    assert "succeeded" in late.err


@pytest.mark.slow
def test_what_is_submitted_without_a_dev_waits_and_can_be_cancelled(matinee: Matinee, greeting_app: Path) -> None:
    at = ("--app", greeting_app)
    arguments = ("submit", "greet_all", 'names=["Ada"]', "seconds_each=30", "--key", "one", *at)
    first = matinee(*arguments)
    assert first.code == 0
    assert "matinee dev" in first.err
    run = matinee(*arguments, "--json").json
    assert run["id"] == first.out.strip()
    assert matinee("runs", "result", run["id"], *at).code == 2
    assert matinee("runs", "cancel", run["id"], *at).code == 0
    wait_until(lambda: matinee("runs", "show", run["id"], *at, "--json").json["status"] == "cancelled", what="the end")


@pytest.mark.slow
def test_examples_are_tested_through_the_real_path(matinee: Matinee, greeting_app: Path) -> None:
    said = matinee("test", "--app", greeting_app)
    assert said.code == 0
    assert "greet_all 1" in said.out
    assert "2 of 2 examples passed" in said.err
    source = greeting_app / "greeting.py"
    source.write_text(source.read_text().replace('{"name": "Ada"}', '{"name": "trouble"}'))
    said = matinee("test", "greet", "--app", greeting_app, "--json")
    assert said.code == 1
    (tried,) = said.json["tried"]
    assert "ValueError: I do not greet trouble" in tried["problem"]


BAD = {
    "no such command": (("predcit",), "No such command 'predcit'"),
    "no such option": (("inspect", "--jsn"), "No such option"),
    "a missing argument": (("predict",), "Missing argument"),
    "no app": (("inspect", "--app", "nowhere"), "There is no"),
    "no such status": (("runs", "list", "--status", "done"), "There is no status 'done'"),
    "no such run": (("runs", "show", "x"), "This app has no runs yet"),
    "a port out of range": (("dev", "--port", "70000"), "Invalid value for '--port'"),
    "an app's name": (("new", "3x"), "'3x' cannot be an app's name"),
}


@pytest.mark.parametrize(("arguments", "sentence"), BAD.values(), ids=BAD)
def test_bad_input_is_one_sentence_with_a_hint(
    matinee: Matinee, greeting_app: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(greeting_app)
    said = matinee(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: ")
    assert sentence in said.err
    assert "\nhint: " in said.err
    assert "Traceback" not in said.err


BAD_INPUTS = {
    "an unknown predictor": (("predict", "gret", "name=x"), "There is no predictor 'gret'", "greet"),
    "a missing input": (("predict", "greet"), "name: is required", ""),
    "an extra input": (("predict", "greet", "name=x", "nmae=y"), "nmae", ""),
    "a choice that is none": (("predict", "greet", "name=x", "tone=loud"), "tone: is not one of kind, curt", ""),
    "a word that is no pair": (("predict", "greet", "x"), "'x' is not key=value", "name=…"),
    "JSON that is none": (("submit", "greet_all", "names=a"), "names: must be JSON", "names="),
    "a batch predictor": (("predict", "greet_all", "names=[]"), "greet_all is a batch predictor", "submit"),
    "a realtime predictor": (("submit", "greet", "name=x"), "greet is a realtime predictor", "predict"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "sentence", "hint"), BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_bad_inputs_are_one_sentence(
    matinee: Matinee, greeting_app: Path, arguments: tuple[str, ...], sentence: str, hint: str
) -> None:
    said = matinee(*arguments, "--app", greeting_app)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.err
    assert hint in said.err[said.err.index("\nhint: ") :]
    assert matinee("runs", "list", "--app", greeting_app).out == ""


def test_an_unexpected_error_is_one_sentence_and_debug_shows_more(
    matinee: Matinee, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(_path: Path) -> None:
        raise RuntimeError("a wheel came off\nand rolled away")

    monkeypatch.setattr("matinee.operate.new.new", explode)
    said = matinee("new", "x")
    assert said.code == 1
    assert said.err == "error: Unexpected RuntimeError: a wheel came off\nhint: --debug shows the traceback.\n"
    assert main.run(["new", "x"], debug=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_help_has_examples_and_version_answers(matinee: Matinee) -> None:
    for command in ("new", "dev", "inspect", "predict", "submit", "test"):
        said = matinee(command, "--help")
        assert said.code == 0
        assert f"Example: matinee {command}" in said.out
    assert matinee("runs", "list", "--help").code == 0
    assert matinee("--version").out.startswith("matinee 0.")


def test_help_loads_nothing_heavy() -> None:
    heavy = ("boto3", "pydantic", "streamlit", "watchfiles", "packaging", "asyncio", "sqlite3", "matinee.client")
    code = f"import sys, matinee.cli.main; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_the_run_stays(matinee: Matinee, greeting_app: Path) -> None:
    command = [sys.executable, "-m", "matinee.cli.main", "submit", "greet_all", 'names=["Ada"]', "seconds_each=30"]
    process = subprocess.Popen(
        [*command, "--wait", "--app", str(greeting_app)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: matinee("runs", "list", "--app", greeting_app, "--status", "running").out, what="the run")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert matinee("runs", "show", "last", "--app", greeting_app, "--json").json["status"] == "queued"


def test_a_reader_that_has_seen_enough_is_no_error(greeting_app: Path) -> None:
    command = f"{sys.executable} -m matinee.cli.main inspect --json --app {greeting_app} | head -c 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "{")
    assert "error" not in done.stderr
