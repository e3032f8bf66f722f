"""Many runs as one file."""

from __future__ import annotations

import csv
import io
import json

import pytest

from matinee.runs import Failure, Run, Status
from matinee.ui import export

RUN = Run("id", "plan", "batch", "ana", Status.SUCCEEDED, {}, 1_700_000_000.0, "v1", started_at=1.0, finished_at=3.5)


def read(content):
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def test_each_run_is_a_line_with_a_column_for_each_input_and_each_part_of_its_result():
    one = export.record_of(RUN, {"gender": "female", "n": 3}, {"activity": "é", "list": [1, 2], "flag": True})
    other = export.record_of(RUN, {"text": "x"}, 0.5)
    [first, second] = read(export.to_file("csv", [one, other]))
    assert first["created_at"] == "2023-11-14T22:13:20.000+00:00"
    assert (first["duration_s"], first["version"], first["failure"]) == ("2.5", "v1", "")
    assert (first["input.gender"], first["input.n"], first["input.text"]) == ("female", "3", "")
    assert (first["result.activity"], first["result.list"], first["result.flag"]) == ("é", "[1, 2]", "true")
    assert (second["result"], second["input.text"]) == ("0.5", "x")


def test_json_lines_keep_values_as_they_are():
    failed = Run("id", "p", "realtime", "ana", Status.FAILED, {}, 0.0, failure=Failure("timeout", "Too long."))
    lines = export.to_file(
        "jsonl", [export.record_of(RUN, {"a": "=1"}, [1, None]), export.record_of(failed, {}, None)]
    ).splitlines()
    first, second = map(json.loads, lines)
    assert (first["inputs"], first["result"]) == ({"a": "=1"}, [1, None])
    assert (second["status"], second["failure"], second["duration_s"]) == ("failed", "Too long.", None)


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-x", "@SUM(A1)", "\tx"])
def test_no_text_becomes_a_formula_in_a_spreadsheet(text):
    [line] = read(export.to_file("csv", [export.record_of(RUN, {"text": text}, -5)]))
    assert line["input.text"] == f"'{text}"
    assert line["result"] == "-5"


def test_a_table_is_one_cell():
    table = {"$table": [{"name": "n", "type": "integer"}], "rows": [[1]]}
    [line] = read(export.to_file("csv", [export.record_of(RUN, {}, table)]))
    assert json.loads(line["result"]) == table


def test_nothing_is_a_header():
    assert export.to_file("csv", []).decode("utf-8-sig").startswith("id,predictor")
    assert export.to_file("jsonl", []) == b""
