"""`key=value` words are read by the schema: text stays text, a number becomes a number, @file a file."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest

from matinee.cli.options import read_inputs
from matinee.errors import InputError, UsageError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "day": {"type": "string", "format": "date"},
        "whole": {"type": "integer"},
        "number": {"type": "number"},
        "switch": {"type": "boolean"},
        "choice": {"enum": ["1", "male"]},
        "level": {"enum": [1, 2]},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "names": {"type": "array", "items": {"type": "string"}},
        "model": {"$ref": "#/$defs/Model"},
        "photo": {"type": "object", "x-matinee": "image"},
        "document": {"type": "object", "x-matinee": "file"},
        "rows": {"type": "object", "x-matinee": "table"},
        "anything": {},
    },
    "$defs": {"Model": {"type": "object", "properties": {"depth": {"type": "integer"}}}},
}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("text=007", "007"),
        ("text=true", "true"),
        ("text=", ""),
        ("text=a=b", "a=b"),
        ("text=@home", "@home"),
        ("day=2026-12-01", "2026-12-01"),
        ("whole=3", 3),
        ("whole=three", "three"),
        ("whole=3.5", 3.5),
        ("number=3", 3),
        ("number=1e3", 1000.0),
        ("switch=yes", True),
        ("switch=False", False),
        ("switch=perhaps", "perhaps"),
        ("choice=1", "1"),
        ("level=2", 2),
        ("maybe=", None),
        ("maybe=null", None),
        ("maybe=4", 4),
        ("either=4", "4"),
        ('names=["a", "b"]', ["a", "b"]),
        ('model={"depth": 3}', {"depth": 3}),
        ("anything=[1]", [1]),
        ("anything=plain", "plain"),
        ("unknown=1", "1"),
    ],
)
def test_a_word_becomes_the_value_that_was_meant(word: str, value: object) -> None:
    (read,) = read_inputs([word], "", SCHEMA).values()
    assert read == value
    assert type(read) is type(value)


def test_a_file_becomes_a_blob(tmp_path: Path) -> None:
    (tmp_path / "digit.png").write_bytes(b"\x89PNG")
    read = read_inputs([f"photo=@{tmp_path}/digit.png"], "", SCHEMA)
    assert read == {
        "photo": {"$blob": "image/png", "name": "digit.png", "base64": base64.b64encode(b"\x89PNG").decode()}
    }


def test_a_csv_file_becomes_a_table(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("name,age\nAda,36\nBob,\n")
    read = read_inputs([f"rows=@{tmp_path}/rows.csv"], "", SCHEMA)["rows"]
    assert read["$table"] == [{"name": "name", "type": "string"}, {"name": "age", "type": "integer"}]
    assert read["rows"] == [["Ada", 36], ["Bob", None]]


def test_a_json_file_is_the_value_itself(tmp_path: Path) -> None:
    (tmp_path / "photo.json").write_text('{"$blob": "image/png", "key": "k"}')
    assert read_inputs([f"photo=@{tmp_path}/photo.json"], "", SCHEMA)["photo"]["key"] == "k"


def test_a_json_file_stands_for_a_model_and_stays_a_file_where_one_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"depth": 3}')
    read = read_inputs([f"model=@{tmp_path}/x.json", f"document=@{tmp_path}/x.json"], "", SCHEMA)
    assert read["model"] == {"depth": 3}
    assert read["document"]["$blob"] == "application/json"


def test_words_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "inputs.json").write_text('{"text": "a", "whole": 1}')
    assert read_inputs(["text=b"], str(tmp_path / "inputs.json"), SCHEMA) == {"text": "b", "whole": 1}


def test_a_dash_is_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"text": "a"})))
    assert read_inputs([], "-", SCHEMA) == {"text": "a"}


def test_what_is_no_key_and_value_names_the_inputs() -> None:
    with pytest.raises(UsageError, match="'male' is not key=value") as caught:
        read_inputs(["male"], "", SCHEMA)
    assert "text=…" in caught.value.hint


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("names=a,b", "names: must be JSON, not 'a,b'"),
        ("model=deep", "model: must be JSON"),
        ("photo=@nowhere.png", "photo: nowhere.png cannot be read: No such file"),
    ],
)
def test_a_value_that_cannot_be_read_names_its_key(word: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence.replace("(", r"\(")):
        read_inputs([word], "", SCHEMA)


@pytest.mark.parametrize(("text", "sentence"), [("{", "is not valid JSON"), (None, "cannot be read: No such file")])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, text: str | None, sentence: str) -> None:
    file = tmp_path / "inputs.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        read_inputs([], str(file), SCHEMA)
