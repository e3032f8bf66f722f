"""A run as code that can be pasted: whatever its inputs hold, the same inputs come out."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

import matinee
from matinee.types import File
from matinee.ui.code import LONG, curl_of, is_short, python_of

NASTY = {
    "quotes": 'it\'s "quoted" `now` $HOME \\ ! %s {0}',
    "lines": "one\ntwo\ttab",
    "markup": "<script>alert(1)</script>",
    "emoji": "🏊 é \u202e",
    "nothing": None,
    "flag": True,
    "numbers": [1, -2.5, 1e300],
    "nested": {"a": [{"b": None}], "class": "x"},
    "table": {"$table": [{"name": "n", "type": "integer"}], "rows": [[1], [None]]},
    "class": "a keyword",
    "with space": 1,
}


class Recorder:
    """Stands for a connected app: notes what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getitem__(self, name: str) -> Any:
        return lambda **inputs: self.calls.append((name, inputs))

    __getattr__ = __getitem__


@pytest.fixture
def run(monkeypatch):
    """Run a snippet as it stands; return what it asked for."""

    def run_(code):
        app = Recorder()
        monkeypatch.setattr(matinee, "connect", lambda *args, **kwargs: app, raising=False)
        exec(compile(code, "snippet", "exec"), {"__name__": "__main__"})
        return app.calls

    return run_


@pytest.mark.parametrize("name", ["recommend", "run", "lambda", "a-b"])
def test_python_predicts_with_exactly_these_inputs(run, name):
    assert run(python_of(name, NASTY, "matinee.connect()")) == [(name, NASTY)]


def test_python_reads_a_file_from_where_it_runs(run, tmp_path, monkeypatch):
    (tmp_path / "it's.png").write_bytes(b"picture")
    monkeypatch.chdir(tmp_path)
    blob = {"$blob": "image/png", "name": "it's.png", "base64": "cGljdHVyZQ=="}
    [(_, inputs)] = run(python_of("classify", {"image": blob, "more": [blob]}, "matinee.connect()"))
    assert inputs["image"] == File(b"picture", "it's.png", "image/png")
    assert inputs["more"] == [inputs["image"]]


def test_a_long_call_has_a_line_for_each_argument(run):
    inputs = {f"name_{i}": "x" * 30 for i in range(4)}
    code = python_of("recommend", inputs, "matinee.connect()")
    assert max(map(len, code.splitlines())) < 88
    assert run(code) == [("recommend", inputs)]


@pytest.mark.parametrize(("kind", "verb"), [("realtime", "predict"), ("batch", "submit")])
def test_curl_says_the_same_to_the_api(kind, verb):
    words = shlex.split(curl_of("recommend", kind, NASTY, "http://127.0.0.1:8501/").replace("\\\n", " "))
    assert words[:2] == ["curl", f"http://127.0.0.1:8501/api/v1/predictors/recommend/{verb}"]
    assert "Authorization: Bearer YOUR_TOKEN" in words
    assert json.loads(words[words.index("--data") + 1]) == NASTY


def test_curl_reads_long_inputs_from_a_file_and_needs_no_token_where_nobody_signs_in():
    inputs = {"text": "x" * LONG}
    command = curl_of("recommend", "realtime", inputs, "http://x", token="")
    assert not is_short(inputs)
    assert "--data @inputs.json" in command
    assert "Authorization" not in command
