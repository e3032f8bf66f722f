"""`--stage` on the command line: the same commands, on what was deployed."""

from __future__ import annotations

import csv
import io
import json
import time

import pytest

from matinee.access.modes import make_sign_in
from matinee.access.people import Users
from matinee.access.tokens import find_token_person
from matinee.cli import main
from matinee.testing.harness import wait_until

APP = "shop"
SOURCES = {
    "price": '''
from matinee import batch, realtime

@realtime(memory_mb=256)
def price(pieces: int) -> float:
    """What it costs."""
    print(f"{pieces} pieces")
    return pieces * 1.5

@batch
def total(pieces: list[int]) -> float:
    """What all of it costs."""
    return sum(pieces) * 1.5
'''
}


@pytest.fixture
def said(laptop, app_folder, capsys):
    """Return a function that runs a command on the stage and returns its exit code, output and messages."""

    def run(*words, stage="dev"):
        capsys.readouterr()
        code = main.run([*words, "--app", str(app_folder), "--stage", stage])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_predict_submit_runs_and_export(said, tmp_path, app_folder):
    code, out, _ = said("predict", "price", "pieces=4")
    assert (code, out.strip()) == (0, "6.0")
    code, out, err = said("submit", "total", "pieces=[1, 2]")
    assert code == 0
    run_id = out.strip()
    assert f"matinee runs show {run_id} --stage dev" in err
    code, out, _ = said("submit", "total", "pieces=[1, 3]", "--wait", "--json")
    assert (code, json.loads(out)["result"]) == (0, 6.0)

    code, out, err = said("runs", "list")
    assert (code, out.count("root")) == (0, 3)
    assert "--stage dev" in err
    code, out, _ = said("runs", "show", run_id, "--json")
    assert json.loads(out)["inputs"] == {"pieces": [1, 2]}
    assert said("runs", "result", run_id)[1].strip() == "4.5"
    first = json.loads(said("runs", "list", "--predictor", "price", "--json")[1])[0]["id"]
    wait_until(lambda: "4 pieces" in said("runs", "logs", first)[1], what="the line")
    assert said("runs", "cancel", run_id)[0] == 2

    file = tmp_path / "runs.csv"
    assert said("export", str(file))[0] == 0
    assert len(list(csv.DictReader(file.open()))) == 3
    assert not (app_folder / ".matinee" / "state.db").exists(), "nothing was opened here"


def test_many_rows(said, tmp_path):
    (tmp_path / "rows.csv").write_text("pieces\n1\n2\n")
    code, _, err = said("submit", "price", "--rows", str(tmp_path / "rows.csv"), "--output", str(tmp_path / "o.csv"))
    assert code == 0, err
    assert [row["result"] for row in csv.DictReader((tmp_path / "o.csv").open())] == ["1.5", "3.0"]


def test_users_and_tokens_of_the_stage(said, stage, monkeypatch, app_folder):
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    code, out, err = said("users", "add", "ada", "--owner")
    assert (code, out.strip()) == (0, "ada"), err
    assert [user["name"] for user in json.loads(said("users", "list", "--json")[1])] == ["ada"]
    assert Users(stage.store).check_password("ada", "correct horse battery")
    code, out, _ = said("token", "create", "bo", "--json")
    made = json.loads(out)
    mode = make_sign_in({}, {}, lambda: Users(stage.store))
    assert find_token_person(stage.store, mode, made["secret"], time.time()).name == "bo"
    assert said("token", "revoke", made["id"])[0] == 0
    assert said("users", "remove", "ada")[0] == 0
    assert stage.store.documents("user") == {}
    assert not (app_folder / ".matinee" / "state.db").exists(), "nothing was opened here"


@pytest.mark.parametrize("command", ["predict price pieces=1", "runs list", "export -", "users list", "token list"])
def test_a_stage_that_is_not_there(said, command):
    code, out, err = said(*command.split(), stage="prod")
    assert (code, out) == (2, "")
    assert "Nothing is deployed on the stage prod of shop in eu-central-1." in err
    assert "matinee deploy --stage prod" in err
