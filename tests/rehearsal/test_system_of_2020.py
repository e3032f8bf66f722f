"""A system in the shape of 2020 moves in: handler, drain script, page, password, counts in `state`.

It is played three times, by the same lines: under dev, in its images, and on an emulated AWS.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import matinee
from matinee.errors import PredictionError
from matinee.rehearsal.rehearse import RehearseOptions, rehearse
from matinee.testing.harness import running_app
from support.emulators import skip_if_unavailable

pytestmark = pytest.mark.slow

SYSTEM = Path(__file__).with_name("recommender_2020")
PASSWORD = "correct horse battery"


@pytest.fixture
def system(tmp_path, monkeypatch):
    monkeypatch.setenv("MATINEE_PASSWORD", PASSWORD)
    folder = tmp_path / "recommender"
    shutil.copytree(SYSTEM, folder, ignore=shutil.ignore_patterns(".matinee", "__pycache__"))
    (folder / ".env").write_text("SALT=salt\n")
    return folder


def play(app, *, asked_before=0):
    """Ask, be refused, drain, and count: what the people of 2020 did."""
    first, second = (app.prediction(event={"gender": "male"}) for _ in range(2))
    assert [first.asked, second.asked] == [asked_before + 1, asked_before + 2]
    assert first.candidates == ["swimming", "reading", "cooking"]
    with pytest.raises(PredictionError, match="prediction raised ValueError: gender is missing"):
        app.prediction(event={})
    assert len(app.drain.submit(gender="female", days=3).result(timeout_s=120)) == 3
    assert app.prediction(event={"gender": "male"}).asked == asked_before + 3
    assert {run.run.predictor for run in app.runs()} == {"prediction", "drain"}


def test_it_runs_under_dev(system) -> None:
    with running_app(system, "--no-ui"), matinee.connect(system) as app:
        play(app)


def test_it_runs_in_its_images(system, engine) -> None:
    assert engine
    with running_app(system, "--no-ui", "--containers"), matinee.connect(system) as app:
        play(app)


def test_it_is_rehearsed_and_other_commands_know_the_rehearsal(system) -> None:
    """Deployed and destroyed under the printed policy, by nobody's root."""
    seen = {}

    def stay(stage) -> None:
        with matinee.connect(system, stage="dev") as app:
            play(app)
        page = urllib.request.urlopen(f"{stage.url}/_stcore/health")
        seen["health"] = page.status
        commands = {**os.environ, **stage.environment()}
        seen["who"] = commands["AWS_ACCESS_KEY_ID"]
        seen["status"] = matinee_command(system, commands, "status", "--stage", "dev", "--json")
        seen["open"] = matinee_command(system, {**commands, "BROWSER": "true"}, "open", "--stage", "dev", "--json")
        seen["plan"] = matinee_command(system, commands, "plan", "--stage", "dev")
        drain = system / "drain.py"
        drain.write_text(drain.read_text() + "\n# changed\n")
        seen["deploy"] = matinee_command(system, commands, "deploy", "--stage", "dev", "--yes")
        seen["url"] = stage.url

    with skip_if_unavailable():
        rehearse(system, RehearseOptions(), stay=stay)
    assert seen["health"] == 200
    assert seen["who"] != "test"
    status = json.loads(seen["status"])
    assert status["url"] == seen["url"]
    assert {part["name"]: part["state"] for part in status["parts"]}["address"] == "ok"
    assert {part["name"]: part["state"] for part in status["parts"]}["UI"] == "ok"
    assert json.loads(seen["open"])["url"] == seen["url"]
    assert "Nothing would change on dev." in seen["plan"]
    assert "Release 2 is live on dev" in seen["deploy"]


def matinee_command(folder, environment, *arguments):
    command = [sys.executable, "-m", "matinee.cli.main", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout if "--json" in arguments else done.stdout + done.stderr
