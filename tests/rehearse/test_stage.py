"""Both examples, deployed by the real deploy to an emulated AWS and run from there: a whole life, in order."""

from __future__ import annotations

import http.client
import os
import shutil
from pathlib import Path

import pytest

from matinee.ops.rehearse import KINDS
from matinee.ops.rehearse.rehearsal import Rehearsal, as_administrator
from matinee.ops.rehearse.source import FolderSource
from matinee.ops.rehearse.world import world
from matinee.runs import Status
from matinee.testing.emulators import UnavailableError

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module", params=["activity", "digits"])
def stage(request, tmp_path_factory):
    app = tmp_path_factory.mktemp("apps") / request.param
    shutil.copytree(EXAMPLES / request.param, app, ignore=shutil.ignore_patterns(".matinee", "__pycache__"))
    try:
        with world(app / ".matinee" / "rehearsal", "eu-central-1") as made, as_administrator(made):
            stage = Rehearsal(made, app, "dev", FolderSource(made.images), app / ".matinee" / "rehearsal")
            stage.deploy()
            stage.await_usable()
            yield stage
    except UnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def examples(stage, kind):
    return [p for p in stage.release.predictors if p.kind == kind and p.examples]


def test_it_is_deployed_and_a_second_deploy_finds_nothing_to_do(stage):
    again = stage.deploy()
    assert (again.changed, again.release) == (False, 1)


def test_a_prediction_and_a_batch_run_work_from_a_laptop(stage):
    client = stage.connect()
    for predictor in examples(stage, "realtime"):
        assert client.predict(predictor.name, predictor.examples[0]).status is Status.SUCCEEDED
    for predictor in examples(stage, "batch"):
        run = client.wait(client.submit(predictor.name, predictor.examples[0]).id, timeout_s=120)
        assert run.status is Status.SUCCEEDED, run.failure
        assert client.result(run) is not None


def test_two_people_are_served_by_two_tasks_and_each_stays_with_theirs(stage):
    stage.scale_ui(2)
    cookies = {ask(stage)[1] for _ in range(2)}
    assert len(cookies) == 2
    for cookie in cookies:
        for _ in range(3):
            assert ask(stage, cookie) == (200, cookie)
    stage.scale_ui(1)


def ask(stage, cookie=""):
    connection = http.client.HTTPConnection("127.0.0.1", stage.world.entry.port, timeout=20)
    connection.request("GET", "/", headers={"Cookie": cookie} if cookie else {})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, (answer.getheader("Set-Cookie") or cookie).partition(";")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_trouble_ends_in_a_sentence_that_says_what_happened(stage, kind, capsys):
    sentence = KINDS[kind](stage)
    assert sentence
    with capsys.disabled():
        print(f"\n{kind}: {sentence}")
