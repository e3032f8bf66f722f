"""`python -m matinee.runtime.inspect` answers with the manifest, or with what is wrong and where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from matinee.manifest import ComponentManifest, component_from_json
from matinee.settings import Settings

GOOD = '''
import atexit, os, sys, threading
from typing import Literal
from matinee import batch, predictor, realtime

print("a line of the user's")
os.write(1, b"and one past Python")
atexit.register(print, "at the end")
threading.Thread(target=threading.Event().wait).start()
other = predictor("other")

@realtime(memory_mb=256, timeout_s=5, secrets=["TOKEN"], examples=[{"gender": "female"}])
def recommend(gender: Literal["male", "female"], n: int = 1) -> list[str]:
    """What shall I do?

    More words.
    """
    return []

@batch(retries=2)
def plan(days: int) -> None:
    print(days)
'''


def inspected(source: Path) -> ComponentManifest:
    settings = Settings(component="mine", source=source)
    done = subprocess.run(
        [sys.executable, "-m", "matinee.runtime.inspect"],
        env={**os.environ, **settings.environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stdout
    return component_from_json(json.loads(lines[-1]))


def write(folder: Path, text: str) -> Path:
    (folder / "mine.py").write_text(text)
    return folder / "mine.py"


def test_the_manifest_has_what_the_rest_of_the_system_needs(tmp_path: Path) -> None:
    found = inspected(write(tmp_path, GOOD))
    assert (found.name, found.trouble) == ("mine", None)
    recommend, plan = found.predictors
    assert (recommend.name, recommend.kind, plan.name, plan.kind) == ("recommend", "realtime", "plan", "batch")
    assert recommend.doc == "What shall I do?\n\nMore words."
    assert recommend.parameters["required"] == ["gender"]
    assert recommend.result == {"type": "array", "items": {"type": "string"}}
    assert recommend.examples == ({"gender": "female"},)
    assert recommend.calls == plan.calls == ("other",)
    assert (recommend.resources.memory_mb, recommend.resources.secrets) == (256, ("TOKEN",))
    assert (plan.resources.retries, plan.resources.timeout_s, plan.component) == (2, 3600, "mine")


HEAD = "from matinee import realtime\n"
BODY = "@realtime\ndef f(a: int) -> int:\n    return a\n"

TROUBLES = [
    ("def f(:\n", "mine.py has a syntax error: invalid syntax.", "Mend the line", 1),
    (HEAD + "import sklearn_not_here\n", "There is no module named sklearn_not_here in", '"sklearn_not_here"', 2),
    (HEAD + "\n1 / 0\n", "mine.py failed while it was imported: ZeroDivisionError: division by zero.", "Run it", 3),
    (HEAD + "raise SystemExit(1)\n", "mine.py failed while it was imported: SystemExit: 1.", "Run it", 2),
    (
        HEAD + BODY.replace("a: int", "a: bytes"),
        "f() has an annotation that is not supported: bytes",
        "Supported are",
        2,
    ),
    (HEAD, "mine.py declares no predictor.", "@realtime", 0),
    (
        HEAD + BODY.replace("@realtime", '@realtime(examples=[{"a": 1}, {"a": "x"}])'),
        "Example 2 of f does not fit its parameters: a: must be a whole number.",
        "Mend the example",
        2,
    ),
]


@pytest.mark.parametrize(("text", "message", "hint", "line"), TROUBLES, ids=[t[1][:40] for t in TROUBLES])
def test_trouble_says_what_is_wrong_and_where(tmp_path: Path, text: str, message: str, hint: str, line: int) -> None:
    source = write(tmp_path, text)
    found = inspected(source)
    assert found.predictors == ()
    assert found.trouble is not None
    assert found.trouble.message.startswith(message)
    assert hint in found.trouble.hint
    assert found.trouble.line == line
    assert found.trouble.file == str(source)


def test_a_package_is_named_as_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matinee.runtime.inspect import inspect_component

    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    trouble = inspect_component("mine", str(write(tmp_path, HEAD + "import sklearn.svm\n"))).trouble
    assert trouble is not None
    assert '"scikit-learn"' in trouble.hint
