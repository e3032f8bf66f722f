"""Checking and submitting a table: what is said before, what is kept, what is refused whole."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from matinee.client.core import Client
from matinee.errors import ConflictError, InputError, NotFoundError, UsageError
from matinee.rows import storage
from matinee.rows.inputs import RowsCheck
from matinee.rows.storage import Outcome

Write = Callable[..., Path]
PAIR = {"type": "object", "properties": {"a": {}, "b": {}}}
BLOB = {"$blob": "image/png", "key": "k"}


def kept(client: Client) -> list[str]:
    return list(client.backend.files.list(""))


def submitted(client: Client, source: Any, **more: Any) -> Any:
    return client.submit_rows("greet", source, client.check_rows("greet", source), **more)


def done(client: Client, run: Any, *outcomes: tuple[Any, str]) -> None:
    writer = storage.Writer(client.backend.files, storage.results_key(run.id))
    for result, error in outcomes:
        writer.add([result, error], failed=bool(error))
    writer.flush()


def test_columns_are_found_by_name_and_every_bad_row_is_counted(client: Client, csv_file: Write) -> None:
    path = csv_file("ID,Name,Past Activity,AGE,born", "1,Ada,chess,36,1815-12-10", "2,Bo,,x,soon", "3,Cy,,-1", ",,,,")
    check = client.check_rows("greet", path)
    assert dict(check.mapping) == {"name": "Name", "past_activity": "Past Activity", "age": "AGE", "born": "born"}
    assert (check.total, check.invalid, check.valid, check.can_start) == (4, 2, 2, True)
    assert [str(problem) for problem in check.problems] == [
        "row 2: AGE must be a whole number",
        "row 2: born must be a date such as 2026-01-31",
        "row 3: has 4 values where the header has 5",
    ]
    assert kept(client) == [], "looking keeps nothing"


def test_only_the_first_problems_are_kept_and_all_are_counted(client: Client, csv_file: Write) -> None:
    check = client.check_rows("greet", csv_file("name,age", *["Ada,x"] * 500))
    assert (check.invalid, len(check.problems), check.can_start) == (500, 100, False)
    assert "None of the 500 rows fits" in check.why_not


def test_a_parameter_without_a_column_is_said_with_the_columns_there_are(client: Client, csv_file: Write) -> None:
    path = csv_file("who,age", "Ada,36")
    check = client.check_rows("greet", path)
    assert (check.missing, check.can_start) == (("name",), False)
    assert "No column is chosen for name: the columns are who, age" in check.why_not
    assert client.check_rows("greet", path, {"name": "who"}).can_start
    with pytest.raises(InputError, match="No column is chosen for name"):
        client.submit_rows("greet", path, check)
    assert kept(client) == []


@pytest.mark.parametrize(
    ("lines", "words"),
    [(["name"], "no rows"), (["name", *["Ada"] * 1001], "more than 1,000 rows, and at most 1,000 are allowed")],
)
def test_no_rows_or_too_many_are_one_sentence(client: Client, csv_file: Write, lines: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        client.check_rows("greet", csv_file(*lines))


def test_a_parquet_file_with_too_many_rows_is_refused_before_it_is_read(client: Client) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"name": ["Ada"] * 1001}), sink)
    with pytest.raises(InputError, match="has 1,001 rows"):
        client.check_rows("greet", sink.getvalue())


def test_a_submitted_table_is_one_queued_run_with_its_rows_in_files(client: Client, csv_file: Write) -> None:
    run = submitted(client, csv_file("name,age,id", "Ada,36,a", "Bo,x,b"))
    assert (run.kind, run.predictor, run.status, run.inputs["$rows"]["total"]) == ("batch", "greet", "queued", 2)
    assert run.inputs["$rows"]["name"] == "people.csv"
    assert client.queue_position(run) == 0
    upload = storage.load_upload(client.backend.files, run.inputs["$rows"]["key"])
    rows = storage.read_rows(client.backend.files.read, storage.chain_chunks(client.backend.files, upload.key))
    assert list(rows) == [["Ada", "36", "a"], ["Bo", "x", "b"]]


def test_the_same_key_is_the_same_run_and_leaves_no_second_table(client: Client, csv_file: Write) -> None:
    path = csv_file("name", "Ada")
    first = submitted(client, path, idempotency_key="once")
    files = kept(client)
    assert submitted(client, path, idempotency_key="once").id == first.id
    assert kept(client) == files


def test_a_table_that_changed_since_the_check_is_refused_whole(client: Client, csv_file: Write) -> None:
    path = csv_file("name", "Ada")
    check = client.check_rows("greet", path)
    csv_file("name", "Ada", "Bo")
    with pytest.raises(ConflictError, match="changed"):
        client.submit_rows("greet", path, check)
    assert kept(client) == []


def test_another_person_gets_neither_run_nor_table(client: Client, csv_file: Write) -> None:
    run = submitted(client, csv_file("name", "Ada"))
    other = Client(client.backend, client.settings, "ben")
    with pytest.raises(NotFoundError):
        other.run(run.id)
    with pytest.raises(NotFoundError):
        other.rows_result(run)


def test_a_run_of_one_prediction_has_no_table(client: Client, csv_file: Write) -> None:
    from dataclasses import replace

    run = replace(submitted(client, csv_file("name", "Ada")), inputs={"name": "Ada"})
    with pytest.raises(UsageError, match="not one of many rows"):
        list(client.rows_result(run))


def test_the_table_comes_back_with_inputs_results_and_errors(client: Client, csv_file: Write) -> None:
    run = submitted(client, csv_file("id,name,text", "1,Zoë,mine", "2,Bo,", "3,Cy,"))
    done(client, run, ({"text": "Hello, Zoë", "n": 1}, ""), (None, "too shy"))
    text = b"".join(client.rows_result(run)).decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(text))) == [
        ["id", "name", "text", "result_text", "n", "error"],
        ["1", "Zoë", "mine", "Hello, Zoë", "1", ""],
        ["2", "Bo", "", "", "", "too shy"],
        ["3", "Cy", "", "", "", "not predicted yet"],
    ]
    lines = [json.loads(line) for line in b"".join(client.rows_result(run, "jsonl")).splitlines()]
    assert lines[0] == {
        "row": 1,
        "inputs": {"id": "1", "name": "Zoë", "text": "mine"},
        "result": {"text": "Hello, Zoë", "n": 1},
        "error": None,
    }
    table = pq.read_table(io.BytesIO(b"".join(client.rows_result(run, "parquet"))))
    assert table.column("n").to_pylist() == [1, None, None]
    assert str(table.schema.field("n").type) == "int64"
    assert table.column("error").to_pylist() == [None, "too shy", "not predicted yet"]
    with pytest.raises(UsageError, match="csv, xlsx, parquet, jsonl"):
        client.rows_result(run, "xls")


@pytest.mark.parametrize(
    ("schema", "result", "cells"),
    [
        ({"type": "string"}, "hi", ["hi"]),
        ({"type": "array", "items": {}}, [1, {"a": None}], ['[1, {"a": null}]']),
        ({"type": "boolean"}, True, ["true"]),
        ({"$ref": "#/$defs/R", "$defs": {"R": PAIR}}, {"a": 1.5}, ["1.5", ""]),
        ({"x-matinee": "image", "type": "object"}, BLOB, [json.dumps(BLOB)]),
    ],
)  # fmt: skip
def test_every_result_has_its_columns(schema: dict[str, Any], result: Any, cells: list[str]) -> None:
    from matinee.rows.storage import Layout, export

    layout = Layout([], schema)
    for form in ("csv", "parquet", "jsonl"):
        data = b"".join(export(layout, [Outcome(1, [], result, ""), Outcome(2, [], None, "failed")], form))
        if form == "csv":
            assert list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))[1] == [*cells, ""]


def test_of_chunks_that_overlap_the_later_attempts_count(client: Client) -> None:
    files = client.backend.files

    def put(first: int, size: int, attempt: int) -> None:
        writer = storage.Writer(files, "r", first=first, attempt=attempt)
        for number in range(size):
            writer.add([first + number, attempt])
        writer.flush()

    put(1, 3, 1)
    put(4, 2, 2)
    put(4, 9, 1)  # of a worker that was believed lost
    put(6, 1, 2)
    put(90, 1, 2)  # after a gap
    found = storage.chain_chunks(files, "r")
    assert [(c.first, c.size, c.attempt) for c in found] == [(1, 3, 1), (4, 2, 2), (6, 1, 2)]
    assert [row[0] for row in storage.read_rows(files.read, storage.chain_chunks(files, "r", start=3), start=3)] == [
        3,
        4,
        5,
        6,
    ]


def test_the_words_of_a_check_are_those_of_people() -> None:
    from matinee.ui import many_rows

    def verdict(total: int, invalid: int) -> str:
        return many_rows.rows_verdict(RowsCheck((), {}, (), total, invalid))

    assert verdict(2000, 0) == "All 2,000 rows fit."
    assert verdict(1, 0) == "The row fits."
    assert verdict(2000, 17).startswith("1,983 of 2,000 rows fit; 17 do not")


def test_a_column_of_two_readings_is_asked_before_anything_starts(client: Client) -> None:
    check = client.check_rows("greet", b"name;age\nAda;1.234\n")
    assert (check.can_start, [question.column for question in check.questions]) == (False, ["age"])
    assert "Column age can be read in two ways" in check.why_not
    answered = client.check_rows("greet", b"name;age\nAda;1.234\n", readings={"age": "comma"})
    assert (answered.can_start, answered.questions, answered.valid) == (True, (), 1)
    assert client.check_rows("greet", b"name;text\n1.234;x\n").questions == (), "a text has one reading"


def test_a_table_stored_before_columns_had_readings_is_read_as_it_was(client: Client) -> None:
    table = {
        "key": "uploads/old", "columns": [{"name": "age", "type": "text"}], "mapping": {"age": "age"}, "total": 1,
        "name": "", "decimal_comma": True,
    }  # fmt: skip
    client.backend.files.put("uploads/old/table.json", json.dumps(table).encode(), media_type="application/json")
    upload = storage.load_upload(client.backend.files, "uploads/old")
    number = {"properties": {"age": {"type": "number"}}}
    assert upload.cells(number).inputs(["1.234,5"]) == {"age": 1234.5}
