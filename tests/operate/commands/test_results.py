"""A result is saved as what it is: bytes, CSV or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from matinee.errors import UsageError
from matinee.operate.runs import save

TABLE = {
    "$table": [{"name": "date", "type": "date"}, {"name": "note", "type": "string"}],
    "rows": [["2026-12-01", "a, b"], ["2026-12-02", None]],
}


def no_blob(_blob: Any) -> bytes:
    raise AssertionError("nothing to read")


def test_a_table_becomes_csv(tmp_path: Path) -> None:
    save(TABLE, no_blob, tmp_path / "plan.csv")
    assert (tmp_path / "plan.csv").read_bytes() == (
        b'\xef\xbb\xbfdate,note\r\n2026-12-01,"a, b"\r\n2026-12-02,\r\n'  # with a mark, so that Excel reads UTF-8
    )


def test_a_table_becomes_json_if_the_name_says_so(tmp_path: Path) -> None:
    save(TABLE, no_blob, tmp_path / "plan.json")
    assert json.loads((tmp_path / "plan.json").read_text()) == TABLE


def test_a_blob_becomes_its_bytes(tmp_path: Path) -> None:
    save({"$blob": "image/png", "key": "k"}, lambda blob: blob["key"].encode(), tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes() == b"k"


def test_anything_else_becomes_json(tmp_path: Path) -> None:
    save({"größe": [1]}, no_blob, tmp_path / "x")
    assert json.loads((tmp_path / "x").read_text("utf-8")) == {"größe": [1]}


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Cannot write .*: No such file or directory"):
        save(1, no_blob, tmp_path / "nowhere" / "x")
