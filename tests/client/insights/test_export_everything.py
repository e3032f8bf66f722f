"""All that an app remembers, in one folder: readable without the framework, whole or not there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from matinee.backends.local.files import FolderFiles
from matinee.backends.local.store import SqliteStore
from matinee.cli import main
from matinee.errors import NotFoundError, UsageError
from matinee.manifest import ComponentManifest, PredictorManifest, Release, Resources
from matinee.operate import runs
from matinee.operate.runs import export_everything
from matinee.runs import Feedback, Run, Status, new_run_id
from matinee.values import blobs

START = 1_780_000_000.0


@pytest.fixture
def app(tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "matinee.toml").write_text('name = "tiny"\n')
    (folder / "guess.py").write_text("from matinee import realtime\n\n@realtime\ndef guess() -> int: ...\n")
    return folder


@pytest.fixture
def history(app):
    """Three runs, one of them made by another; one with a large result, two of which people spoke."""
    data = app / ".matinee"
    store, files = SqliteStore(data / "state.db"), FolderFiles(data / "files")
    guess = PredictorManifest("guess", "realtime", "guess", "", {}, {}, Resources())
    store.put_release(Release("tiny", "Tiny", 1, START, (ComponentManifest("guess", "h", "v1", (guess,)),)))
    made = []
    for number in range(3):
        at = START + number
        run = Run(new_run_id(at), "guess", "realtime", "ana", Status.SUCCEEDED, {"n": number}, at, "v1")
        made.append(replace(run, result=[number], started_at=at, finished_at=at + 0.25))
    large = blobs.store_large(files, f"results/{made[1].id}/1.json", ["ü" * 10_000], 100)
    made[1] = replace(made[1], result=large)
    made[2] = replace(made[2], parent=made[1].id)
    for run in made:
        store.record(run)
    files.put("uploads/0123/photo ü.png", b"PNG")
    files.put("deploy/template.json", b"the deployment's own")
    store.put_feedback(Feedback(made[0].id, "bo", 1, "good", None, START + 60))
    store.put_feedback(Feedback(made[0].id, "eve", -1, "bad", {"n": 9}, START + 61))
    store.close()
    return made


def lines(file: Path) -> list:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_a_folder_has_all_runs_all_feedback_and_all_files(app, history, tmp_path):
    told = []
    target = tmp_path / "kept"
    done = export_everything(app, target, report=lambda what, count: told.append((what, count)))
    assert (done.runs, done.feedback, done.files) == (4, 2, 2)  # a run that two spoke of has two records
    records = lines(target / "runs.jsonl")
    assert {record["run"] for record in records} == {run.id for run in history}, "nested ones too"
    assert next(r for r in records if r["run"] == history[1].id)["result"] == ["ü" * 10_000]
    assert [(f["user"], f["rating"], f["corrected"]) for f in lines(target / "feedback.jsonl")] == [
        ("bo", 1, None),
        ("eve", -1, {"n": 9}),
    ]
    files = FolderFiles(target / "files")
    assert sorted(files.list("")) == [f"results/{history[1].id}/1.json", "uploads/0123/photo ü.png"]
    assert files.read("uploads/0123/photo ü.png") == b"PNG"
    told_of = json.loads((target / "app.json").read_text("utf-8"))
    assert (told_of["app"], told_of["stage"], told_of["release"]["number"]) == ("tiny", None, 1)
    assert done.size_bytes == sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    assert told[-1] == ("files", 2)


def test_an_empty_folder_is_filled_and_a_full_one_is_left_alone(app, history, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert export_everything(app, empty).runs == 4
    with pytest.raises(UsageError, match=r"empty is not empty\. Name a folder that is not there yet"):
        export_everything(app, empty)
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        export_everything(app, file)
    assert file.read_text() == "mine"


def test_what_fails_on_the_way_leaves_nothing_behind(app, history, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs, "_copy_files", full)
    with pytest.raises(UsageError, match=r"Cannot write .*kept: No space left on device"):
        export_everything(app, tmp_path / "kept")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app"]


def test_a_file_that_is_removed_meanwhile_is_left_out(app, history, tmp_path, monkeypatch):
    def gone(self, key):
        if key.startswith("uploads/"):
            raise NotFoundError("gone")
        return opened(self, key)

    opened = FolderFiles.open
    monkeypatch.setattr(FolderFiles, "open", gone)
    assert export_everything(app, tmp_path / "kept").files == 1


def test_before_anything_ran_it_says_so(app, tmp_path):
    with pytest.raises(NotFoundError, match="no runs yet"):
        export_everything(app, tmp_path / "kept")


def test_the_command_says_what_it_wrote_and_refuses_what_does_not_go_together(app, history, tmp_path, capsys):
    target = tmp_path / "kept"
    assert main.run(["export", str(target), "--everything", "--app", str(app)]) == 0
    out, err = capsys.readouterr()
    assert (out, "4 records of runs, 2 of feedback, 2 files" in err.replace("\n", " ")) == ("", True)
    assert main.run(["export", str(target), "--everything", "--since", "7d", "--app", str(app)]) == 2
    assert "--everything is everything." in capsys.readouterr().err
