"""Everything a person can get wrong about an app, in one table: a sentence, a hint, exit code 2."""

from __future__ import annotations

import os
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from matinee.cli import main

REALTIME = "from matinee import realtime\n\n"
PICTURE = "# /// script\n# dependencies = []\n# ///\nfrom matinee import Image, realtime\n\n"

# name: (component sources, arguments, what the sentence says, what the hint says)
TABLE: dict[str, tuple[dict[str, str], list[str], str, str]] = {
    "unknown predictor": ({}, ["predict", "gret"], "There is no predictor 'gret'", "Did you mean greet?"),
    "missing argument": ({}, ["predict", "greet"], "name: is required", ""),
    "extra argument": ({}, ["predict", "greet", "name=a", "nam=b"], "nam: ", "name"),
    "wrong type": ({}, ["predict", "greet", "name=a", "times=often"], "times: must be a whole number", ""),
    "out of bounds": ({}, ["predict", "greet", "name=a", "times=0"], "times: must be at least 1", ""),
    "invalid JSON": ({}, ["predict", "greet", "--input", "broken.json"], "is not valid JSON", ""),
    "not an image": ({}, ["predict", "look", "picture=@broken.png"], "picture: ", "image"),
    "no predictor in the file": ({"greet": "x = 1\n"}, ["predict", "greet"], "no predictor", "@realtime"),
    "two predictors of one name": (
        {"again": REALTIME + "@realtime\ndef greet() -> int:\n    return 1\n"},
        ["inspect"],
        "Two predictors have the name greet",
        "Rename",
    ),
    "annotation not supported": (
        {"greet": REALTIME + "@realtime\ndef greet(s: slice) -> int:\n    return 1\n"},
        ["predict", "greet"],
        "slice",
        "str",
    ),
    "syntax error": ({"greet": "def greet(:\n"}, ["predict", "greet"], "greet.py", "line 1"),
    "import error": ({"greet": "import no_such_thing\n"}, ["predict", "greet"], "no_such_thing", "dependencies"),
    "dependencies that do not exist": (
        {"greet": '# /// script\n# dependencies = ["no-such-thing-at-all==9"]\n# ///\n' + REALTIME},
        ["predict", "greet"],
        "no-such-thing-at-all",
        "",
    ),
}

GREET = """
    from typing import Annotated
    from matinee import Field, realtime

    @realtime
    def greet(name: str, times: Annotated[int, Field(ge=1)] = 1) -> str:
        return "hello " * times
"""
LOOK = """
    from matinee import File, realtime
    from PIL.Image import Image

    @realtime
    def look(picture: Image) -> int:
        return picture.width
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main.run(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def one_sentence(said: tuple[int, str, str], sentence: str, hint: str) -> None:
    code, out, err = said
    assert (code, out) == (2, ""), err
    err = err[err.index("error: ") :]  # what components log comes before
    assert "Traceback" not in err
    assert [line[:7] for line in err.splitlines()].count("error: ") == 1, err
    assert sentence in err
    assert hint in err


@pytest.mark.slow
@pytest.mark.parametrize(("sources", "arguments", "sentence", "hint"), TABLE.values(), ids=TABLE)
def test_bad_input_is_one_sentence_and_nothing_is_half_done(
    write_app, run, monkeypatch, sources, arguments, sentence, hint
):
    monkeypatch.setenv("UV_OFFLINE", "1")
    app = write_app(**{"greet": GREET, "look": LOOK, **sources})
    for name in ("broken.json", "broken.png"):
        (app / name).write_text("{")
    monkeypatch.chdir(app)
    one_sentence(run(*arguments), sentence, hint)
    code, out, _ = run("runs", "list", "--json")
    assert (code, out.strip() in ("", "[]", '{"runs": []}')) == (0, True) or code == 2


def test_a_folder_without_an_app_says_how_to_begin(tmp_path, run):
    one_sentence(run("inspect", "--app", str(tmp_path)), "matinee.toml", "matinee new")


def test_a_damaged_state_is_refused_and_never_deleted(write_app, run):
    app = write_app(greet=GREET)
    (app / ".matinee").mkdir()
    (app / ".matinee" / "state.db").write_bytes(b"this is no database, but somebody may need it" * 50)
    one_sentence(run("predict", "greet", "name=Ada", "--app", str(app)), "state.db is damaged", "Move it aside")
    assert (app / ".matinee" / "state.db").read_bytes().startswith(b"this is no database")


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        if os.environ.get("CI"):
            pytest.fail("CI must be able to mount a small disk.")
        pytest.skip("Only root can mount a small disk.")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_read_only_folder_is_one_sentence(write_app, run):
    app = write_app(greet=GREET)
    with mounted(app / ".matinee", "ro"):
        one_sentence(run("predict", "greet", "name=Ada", "--app", str(app)), "cannot", "writ")


def test_a_full_disk_is_one_sentence(write_app, run):
    app = write_app(greet=GREET)
    with mounted(app / ".matinee", "size=64k"):
        (app / ".matinee" / "ballast").write_bytes(b"x" * 60_000)
        one_sentence(run("predict", "greet", "name=Ada", "--app", str(app)), "", "")


def test_a_result_that_does_not_fit_its_declared_type_fails_the_run(write_app, run):
    lie = textwrap.dedent(GREET).replace('"hello " * times', "[1, 2]")
    code, out, err = run("predict", "greet", "name=Ada", "--app", str(write_app(greet=lie)))
    assert (code, out) == (1, "")
    assert "error: The result of greet does not fit its return annotation: it must be text." in err
