"""All runs, with inputs, results and what people said: into any format and back, nothing lost, nothing run by Excel."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from matinee.backends.factory import Backend
from matinee.backends.local.files import FolderFiles
from matinee.backends.local.store import SqliteStore
from matinee.client.core import Client
from matinee.client.export import COLUMNS, What, export, records
from matinee.errors import AccessError, NotFoundError, UsageError
from matinee.operate.runs import export_to
from matinee.ports import RunQuery
from matinee.runs import Failure, Feedback, Run, Status, new_run_id
from matinee.settings import Settings
from matinee.tables.write import BATCH_CHARS
from matinee.values import blobs

START = 1_780_000_000.0


@pytest.fixture
def client(tmp_path):
    (tmp_path / "matinee.toml").write_text('name = "tiny"\n')
    (tmp_path / "guess.py").write_text("from matinee import realtime\n\n@realtime\ndef guess() -> int: ...\n")
    data = tmp_path / ".matinee"
    store, files = SqliteStore(data / "state.db"), FolderFiles(data / "files")
    client = Client(Backend(store, files, None, None), Settings(), "ana", owner=True)  # type: ignore[arg-type]
    yield client
    client.close()


def add(client: Client, number: int, **changes) -> Run:
    at = START + number
    run = Run(new_run_id(at), "guess", "realtime", "ana", Status.SUCCEEDED, {"n": number}, at, "v1", result=[number])
    run = replace(run, started_at=at, finished_at=at + 0.25, **changes)
    client.backend.store.record(run)
    return run


def say(client: Client, run: Run, user: str, rating: int | None, comment: str = "", corrected=None) -> None:
    client.backend.store.put_feedback(Feedback(run.id, user, rating, comment, corrected, run.created_at + 60))


@pytest.fixture
def history(client):
    first, second, third = (add(client, number) for number in range(3))
    add(client, 3, status=Status.FAILED, failure=Failure("timeout", "too slow"), result=None)
    add(client, 4, parent=first.id)
    big = new_run_id(START + 5)
    inputs = blobs.store_large(client.backend.files, f"inputs/{big}.json", {"text": "ü" * 10_000}, 100)
    add(client, 5, id=big, predictor="other", inputs=inputs)
    say(client, first, "bo", 1)
    say(client, first, "eve", -1, '=HYPERLINK("http://evil")', {"better": [1, "ß\n"]})
    say(client, third, "bo", None, "-just a comment")
    return [first, second, third]


def read(form: str, data: bytes) -> list[dict]:
    if form == "jsonl":
        return [json.loads(line) for line in data.decode().splitlines()]
    if form == "parquet":
        import pyarrow.parquet as pq

        rows = pq.read_table(io.BytesIO(data)).to_pylist()
    else:
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    return [{name: parsed(row[name], kind) for name, kind in COLUMNS.items()} for row in rows]


def parsed(cell, kind):
    if cell is None or cell == "":
        return None
    if isinstance(cell, str) and kind == "text":
        return cell[1:] if cell[:2] in ("'=", "'-") else cell
    return {"json": json.loads, "number": float, "integer": int}[kind](cell)


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("what", [What(), What(feedback_only=True), What("guess", START + 1.5)])
def test_every_format_gives_back_the_records(client, history, form, what):
    expected = json.loads(json.dumps(list(records(client, what))))
    assert read(form, b"".join(export(client, what, form))) == expected
    assert expected


def test_a_run_has_a_record_for_everybody_who_spoke_of_it_and_one_otherwise(client, history):
    found = [(r["predictor"], r["inputs"].get("n"), r["feedback_user"]) for r in records(client, What())]
    guess = [("guess", 3, None), ("guess", 2, "bo"), ("guess", 1, None), ("guess", 0, "bo"), ("guess", 0, "eve")]
    assert found[1:] == guess
    assert len(next(records(client, What()))["inputs"]["text"]) == 10_000
    spoken = list(records(client, What(feedback_only=True)))
    assert [(r["inputs"]["n"], r["feedback_user"]) for r in spoken] == [(0, "bo"), (0, "eve"), (2, "bo")]


def test_what_people_wrote_is_no_formula_in_a_spreadsheet(client, history):
    data = b"".join(export(client, What(), "csv")).decode("utf-8-sig")
    comments = [row["comment"] for row in csv.DictReader(io.StringIO(data, newline=""))]
    assert '\'=HYPERLINK("http://evil")' in comments
    assert not [c for c in comments if c.startswith(("=", "-"))]


def test_only_an_owner_exports(client, history):
    user = Client(client.backend, Settings(), "ana")
    with pytest.raises(AccessError):
        export(user, What(), "csv")


def test_it_is_streamed_by_rows_and_by_size(client):
    for number in range(45):
        add(client, number, result="x" * (BATCH_CHARS // 12))
    pieces = [len(piece) for piece in export(client, What(), "csv")]
    assert len(pieces) > 3
    assert max(pieces) < 2 * BATCH_CHARS


def test_a_file_that_is_gone_leaves_its_place_empty(client):
    run = add(client, 1)
    client.backend.store.record(replace(run, id=new_run_id(START + 9), inputs={"$payload": "inputs/gone.json"}))
    assert len(list(records(client, What()))) == 2


def test_the_command_writes_a_whole_file_or_none(client, history, tmp_path: Path):
    target = tmp_path / "out.jsonl"
    exported = export_to(tmp_path, target, What(feedback_only=True))
    assert exported.size_bytes == target.stat().st_size > 0
    folder = tmp_path / "folder"
    folder.mkdir()
    assert export_to(tmp_path, folder, What()).file.name == "tiny-runs.csv"
    with pytest.raises(UsageError, match="names no format"):
        export_to(tmp_path, tmp_path / "out.xls", What())
    with pytest.raises(UsageError, match="Cannot write"):
        export_to(tmp_path, tmp_path / "nowhere" / "out.csv", What())
    assert sorted(path.name for path in folder.iterdir()) == ["tiny-runs.csv"]


def test_a_predictor_there_never_was_is_said(client, history, tmp_path: Path):
    with pytest.raises(NotFoundError):
        export_to(tmp_path, tmp_path / "out.csv", What("gues"))


def test_a_damaged_file_leaves_its_place_empty_and_a_damaged_row_its_line(client, history, tmp_path):
    big = next(run for run in client.runs(RunQuery(limit=10)) if run.predictor == "other")
    client.backend.files.put(f"inputs/{big.id}.json", b'{"text":')
    with pytest.raises(NotFoundError, match=f"The file inputs/{big.id}.json is damaged"):
        client.inputs(big)
    before = list(records(client, What()))
    assert [record["inputs"] for record in before if record["run"] == big.id] == [None]
    with sqlite3.connect(tmp_path / ".matinee" / "state.db") as connection:
        connection.execute("UPDATE runs SET body = '{' WHERE id = ?", (big.id,))
    connection.close()
    after = list(records(client, What()))
    assert after == [record for record in before if record["run"] != big.id]
