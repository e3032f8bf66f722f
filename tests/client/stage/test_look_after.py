"""A deployed app looked after from a laptop: its log lines of all parts, its status, its address."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from matinee.cli import main
from matinee.operate import logs
from matinee.operate.logs import Which, read_logs
from matinee.settings import DISPATCHER
from matinee.testing.harness import wait_until

APP = "care"
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
    print(f"adding {len(pieces)}")
    return sum(pieces) / len(pieces)
'''
}


@pytest.fixture
def said(laptop, app_folder, capsys):
    def run(*words):
        capsys.readouterr()
        code = main.run([*words, "--app", str(app_folder), "--stage", "dev"])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def write(stage, part, *lines, at=None):
    """Have a part's log group hold these lines."""
    client, group = stage.session.client("logs"), stage.names.log_group(part)
    with suppress(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_group(logGroupName=group)
    with suppress(client.exceptions.ResourceAlreadyExistsException):
        client.create_log_stream(logGroupName=group, logStreamName="test")
    at = int((at or time.time()) * 1000)
    events = [{"timestamp": at + number, "message": line} for number, line in enumerate(lines)]
    client.put_log_events(logGroupName=group, logStreamName="test", logEvents=events)


def test_what_runs_wrote_is_found_by_name_and_by_run(said, stage):
    code, _, err = said("predict", "price", "pieces=4")
    run_id = err.split()[1]
    assert code == 0
    wait_until(lambda: "4 pieces" in said("logs", "price", "--since", "1m")[1])
    wait_until(lambda: "4 pieces" in said("logs", "--run", run_id)[1])
    code, out, _ = said("submit", "total", "pieces=[1, 2]")
    followed = said("logs", "-f", "--run", out.strip())
    assert followed[0] == 0, "a run is followed until it has ended"
    wait_until(lambda: "adding 2" in said("logs", "total", "--since", "1m")[1])


def test_all_parts_are_merged_by_time_and_lambda_s_own_lines_left_out(said, stage):
    now = time.time()
    write(stage, "ui", "the UI starts", at=now - 30)
    write(stage, DISPATCHER, "START RequestId: 1", "looked at all pools", "END RequestId: 1", at=now - 20)
    write(stage, "price", json.dumps({"at": 1.0, "level": "WARNING", "message": "as JSON", "run_id": "r"}), at=now - 10)
    write(stage, "ui", "the UI goes on", at=now - 5)
    write(stage, "ui", "long ago", at=now - 7200)
    code, out, _ = said("logs", "--since", "1m")
    assert code == 0
    ours = ("the UI", "looked", "as JSON")
    told = [line.split(maxsplit=3)[1:] for line in out.splitlines()]
    assert "RequestId" not in out
    assert [line for line in told if line[2].startswith(ours)] == [
        ["ui", "INFO", "the UI starts"],
        ["dispatcher", "INFO", "looked at all pools"],
        ["price", "WARNING", "as JSON"],
        ["ui", "INFO", "the UI goes on"],
    ]
    found = [json.loads(line) for line in said("logs", "ui", "--since", "3h", "--json")[1].splitlines()]
    assert [line["message"] for line in found] == ["long ago", "the UI starts", "the UI goes on"]
    assert [line["component"] for line in found] == ["ui"] * 3
    assert said("logs", "price", "--since", "1m")[1].count("as JSON") == 1


class EnoughError(Exception):
    pass


def test_following_gives_late_lines_late_and_none_twice(laptop, app_folder, stage):
    begin = time.time()
    write(stage, "ui", "first", at=begin)
    looks = []

    def wait(seconds):
        assert seconds == logs.POLL_STAGE_S
        looks.append(seconds)
        if len(looks) == 1:
            write(stage, "ui", "third", at=begin + 20)
        elif len(looks) == 2:
            write(stage, "price", "second, which shows late", at=begin + 10)
        elif len(looks) == 4:
            raise EnoughError

    lines = []
    with pytest.raises(EnoughError):
        found = read_logs(app_folder, Which(since=begin, follow=True, wait=wait), stage="dev")
        lines.extend((line.component, line.message) for line in found)
    own = [line for line in lines if line[1] in ("first", "third", "second, which shows late")]
    assert own == [("ui", "first"), ("ui", "third"), ("price", "second, which shows late")]
    assert len(looks) == 4


def test_a_name_or_a_run_that_there_is_not(said):
    code, _, err = said("logs", "prise")
    assert (code, "Nothing here is called 'prise'." in err, "Did you mean price?" in err) == (2, True, True)
    code, _, err = said("logs", "--run", "06h1atdsc0000b9wq00867qs9w")
    assert code == 2
    assert "error:" in err


def test_status_tells_what_is_live_and_what_is_missing_and_ends_with_1(said, stage):
    code, _, _ = said("submit", "total", "pieces=[]", "--wait")
    assert code == 1
    code, out, err = said("status")
    assert code == 1, "this stage has no stacks and no UI"
    assert f"{APP}, stage dev: release 1" in out
    assert "There is no stack matinee-care-dev" in out
    assert "There is no service of the UI." in out
    assert "ZeroDivisionError" in out or "division by zero" in out
    assert "matinee logs --run" in err
    code, out, _ = said("status", "--json")
    found = json.loads(out)
    assert (code, found["is_well"], found["release"]) == (1, False, 1)
    assert found["versions"] == [{"component": "price", "label": "v1", "predictors": ["price", "total"], "problem": ""}]
    assert [(q["predictor"], q["waiting"], q["max_workers"]) for q in found["queues"]] == [("total", 0, 1)]


def test_all_that_a_stage_remembers_is_exported_to_a_folder(said, app_folder, tmp_path):
    large = list(range(3000))
    code, _, _ = said("submit", "total", f"pieces={large}", "--wait")
    assert code == 0
    code, _, err = said("export", str(tmp_path / "kept"), "--everything")
    assert (code, "records of runs" in err) == (0, True)
    records = [json.loads(line) for line in (tmp_path / "kept" / "runs.jsonl").read_text().splitlines()]
    assert any(record["inputs"] == {"pieces": large} for record in records)
    assert any((tmp_path / "kept" / "files").rglob("*.json"))
    assert json.loads((tmp_path / "kept" / "app.json").read_text())["stage"] == "dev"


def test_open_prints_the_address_of_the_release(said, stage, monkeypatch):
    from matinee.operate import status

    code, _, err = said("open")
    assert (code, "The stage dev has no address yet." in err) == (2, True)
    release = stage.store.release()
    aws = {**release.details["aws"], "url": "https://d1.cloudfront.net"}
    stage.store.put_release(replace(release, number=release.number + 1, details={**release.details, "aws": aws}))
    opened = []
    monkeypatch.setattr(status.open_app, "__kwdefaults__", {"stage": "", "start": lambda url: opened.append(url)})
    assert said("open")[:2] == (0, "https://d1.cloudfront.net\n")
    assert opened == ["https://d1.cloudfront.net"]
