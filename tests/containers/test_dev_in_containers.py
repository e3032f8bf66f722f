"""`matinee dev --containers`: every component in its image, as it will be deployed, and nothing of it is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import matinee
from matinee.client.host import open_client
from matinee.errors import PredictionError
from matinee.images.engine import Engine
from matinee.operate.build import LABEL_HOST, LABEL_PREDICTOR, build
from matinee.project.load import load
from matinee.testing.harness import running_app, wait_until

pytestmark = pytest.mark.slow


def containers(engine: Engine, host_pid: int, predictor: str = "") -> list[str]:
    form = f'{{{{.ID}}}} {{{{.Label "{LABEL_HOST}"}}}} {{{{.Label "{LABEL_PREDICTOR}"}}}}'
    rows = engine.run("ps", "--filter", f"label={LABEL_HOST}", "--format", form).stdout.split("\n")
    found = [row.split() for row in rows if row]
    return [known for known, host, name in found if host.startswith(f"{host_pid}-") and name.startswith(predictor)]


@pytest.fixture
def app(habits: Path) -> Iterator[matinee.App]:
    with running_app(habits, "--no-ui", "--containers"), matinee.connect(habits) as connected:
        yield connected


def test_a_prediction_and_a_batch_run_are_made_in_the_images_and_a_saved_file_in_the_next_one(habits, engine):
    with running_app(habits, "--no-ui", "--containers") as dev, matinee.connect(habits) as app:
        assert app.greet(name="Ada") == "Hello, Ada!"
        told = app.where()
        assert (told["root"], told["first"], told["manifest"]) == ("read-only", "1", "/app/manifest.json")
        assert app.count(seconds=0.5) == 1
        assert app.runs("count")[0].logs() == []
        source = habits / "habits.py"
        source.write_text(source.read_text().replace('"Hello, ', '"Good morning, '))
        wait_until(lambda: app.greet(name="Ada") == "Good morning, Ada!", timeout_s=60)
        assert app.runs("greet")[0].run.version == "v2"
        dev.signal(signal.SIGTERM)
        assert containers(engine, dev.process.pid) == []


def test_a_plain_handler_and_an_image_that_exists_are_components_like_the_others(habits, engine):
    (habits / "matinee.toml").write_text('name = "habits"\n[components.old]\nhandler = "old.handler"\n')
    (habits / "old.py").write_text("def handler(event, context):\n    return {'doubled': 2 * event['n']}\n")
    with running_app(habits, "--no-ui", "--containers"), matinee.connect(habits) as app:
        assert app.old(event={"n": 21}).doubled == 42
        image = engine.run("images", "--format", "{{.Repository}}:{{.Tag}}", "matinee-habits").stdout.split()[0]
    engine.tag(image, "matinee-habits-kept:1")
    try:
        (habits / "old.py").unlink()
        (habits / "matinee.toml").write_text('name = "habits"\n[components.moved]\nimage = "matinee-habits-kept:1"\n')
        with running_app(habits, "--no-ui", "--containers") as dev, matinee.connect(habits) as app:
            assert app.moved(event={"n": 4}).doubled == 8
            dev.signal(signal.SIGTERM)
            assert containers(engine, dev.process.pid) == []
    finally:
        engine.run("image", "rm", "--force", "matinee-habits-kept:1", check=False)


COUNTING = """
import os
from matinee import state

def handler(event, context):
    if "nan" in event:
        return {"n": float("nan")}
    return {"count": int(state.increment("calls")), "key": os.environ.get("API_KEY"), "model": os.environ.get("MODEL")}
"""
MOVED = """
name = "habits"
[components.old]
image = "matinee-habits-kept:1"
[predictors.old]
secrets = ["API_KEY"]
environment = {MODEL = "large"}
examples = [{n = 1}]
"""
ITS_OWN_CLIENT = 'ENV MATINEE_HANDLER=\nENTRYPOINT ["python", "-m", "awslambdaric", "old.handler"]\nCMD []\n'
OUR_START = "ENV MATINEE_HANDLER=old.handler\n"


@pytest.mark.parametrize("command", [ITS_OWN_CLIENT, OUR_START])
def test_an_image_that_exists_and_has_matinee_inside_shares_state_and_its_results_are_checked(
    habits, engine, tmp_path, command
):
    (habits / "matinee.toml").write_text('name = "habits"\n[components.old]\nhandler = "old.handler"\n')
    (habits / "old.py").write_text(COUNTING)
    (built,) = build(habits, ["old"]).images
    (tmp_path / "Dockerfile").write_text(f"FROM {built.reference}\nENV MATINEE_MANIFEST= MATINEE_SOURCE=\n{command}")
    engine.build(tmp_path, "matinee-habits-kept:1")
    try:
        (habits / "old.py").unlink()
        (habits / "matinee.toml").write_text(MOVED)
        (habits / ".env").write_text("API_KEY=s3cret\n")
        with running_app(habits, "--no-ui", "--containers"), matinee.connect(habits) as app:
            answers = [app.old(event={}) for _ in range(3)]
            assert [answer.count for answer in answers] == [1, 2, 3]
            assert (answers[0].key, answers[0].model) == ("s3cret", "large")
            with pytest.raises(PredictionError, match="is no JSON"):
                app.old(event={"nan": 1})
            assert app.runs("old")[0].run.failure.kind == "invalid_result"
    finally:
        engine.run("image", "rm", "--force", "matinee-habits-kept:1", check=False)


def test_whatever_kills_dev_its_containers_end_by_themselves(habits, engine):
    with running_app(habits, "--no-ui", "--containers") as dev, matinee.connect(habits) as app:
        app.greet(name="Ada")
        app.count.submit(seconds=60.0)
        wait_until(lambda: len(containers(engine, dev.process.pid)) == 2, timeout_s=30)
        os.kill(dev.process.pid, signal.SIGKILL)
        wait_until(lambda: containers(engine, dev.process.pid) == [], timeout_s=30, what="the containers' end")


def test_too_much_memory_and_too_much_time_are_said_in_plain_words(app):
    with pytest.raises(PredictionError, match="hoard needed more memory than its 256 MB"):
        app.hoard(mb=1000)
    with pytest.raises(PredictionError, match="sleep took longer than its limit of 1 s"):
        app.sleep(seconds=60.0)
    with pytest.raises(PredictionError, match=r"count (used|ran out of its) .*128 MB of memory"):
        app.count(seconds=1.0, mb=1000)
    assert app.greet(name="Ada") == "Hello, Ada!"


def test_a_worker_that_is_told_to_end_in_the_middle_gives_its_run_back(habits, engine):
    with running_app(habits, "--no-ui", "--containers") as dev, matinee.connect(habits) as app:
        run = app.count.submit(seconds=3.0)
        wait_until(lambda: run.progress.fraction, timeout_s=30)
        (worker,) = containers(engine, dev.process.pid, "count")
        engine.run("kill", "--signal", "TERM", worker)
        assert run.result(timeout_s=60) == 2, "another attempt, in another container"
        assert run.run.failures == 0, "without spending a retry"
        with open_client(load(habits)) as client:
            assert client.run(run.id).losses == 0
