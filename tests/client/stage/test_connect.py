"""A data scientist's laptop uses what was deployed: predict, submit, state, files, logs, feedback."""

from __future__ import annotations

from dataclasses import replace

import pytest

import matinee
from matinee.backends.aws.session import Session, name_in
from matinee.backends.aws.store import DynamoStore
from matinee.errors import BackendError, ConflictError, NotFoundError, PredictionError, UsageError
from matinee.names import Names
from matinee.testing.harness import wait_until
from support.emulators import make_table

APP = "greeting"
SOURCES = {
    "greeting": '''
import logging
import os
import sys
from dataclasses import dataclass
from typing import Literal
from matinee import File, context, realtime, state

@dataclass
class Greeting:
    text: str
    count: int
    version: str
    modules: list[str]

@realtime(memory_mb=256, timeout_s=5)
def greet(name: str, counted: bool = False) -> Greeting:
    """Say hello."""
    print(f"greeting {name} ünï 日本")
    logging.getLogger("greeter").warning("two\\nlines of %s", name)
    print("on stderr", file=sys.stderr)
    print("without an end", end="")
    if name == "trouble":
        raise ValueError("I do not greet trouble")
    many = int(state.increment("greeted")) if counted else 0
    return Greeting(f"Hello, {name}!", many, context().version, sorted(sys.modules))

@realtime(memory_mb=512, timeout_s=20)
def length(text: str) -> int:
    """Measure a text."""
    return len(text)

@realtime(memory_mb=256)
def reversed_file(file: File) -> File:
    """Turn a file around."""
    return File(file.data[::-1], name="turned.bin")
''',
    "many": '''
from matinee import batch, context, predictor, track
greet = predictor("greet")

@batch(timeout_s=60, retries=1, max_workers=2)
def greet_all(names: list[str]) -> dict[str, str]:
    """Greet everybody."""
    print(f"greeting {len(names)} in attempt {context().attempt}")
    return {name: greet(name=name).text for name in track(names, "Greeting")}
''',
}


@pytest.fixture
def app(laptop, app_folder):
    with matinee.connect(app_folder, stage="dev") as app:
        yield app


def lines_of(run, count):
    return wait_until(lambda: len(lines := run.logs()) >= count and lines, what=f"{count} lines")


def test_a_realtime_predictor_is_called_and_its_run_recorded(app):
    greeting = app.greet(name="Ada")
    assert greeting.text == "Hello, Ada!"
    (run,) = app.runs("greet", limit=1)
    assert (run.status, run.inputs, run.run.version) == ("succeeded", {"name": "Ada", "counted": False}, "v1")
    assert run.result() == greeting


def test_a_batch_predictor_is_queued_dispatched_and_may_call_another(app):
    run = app.greet_all.submit(names=["Ada", "Bo"])
    assert run.result(timeout_s=60) == {"Ada": "Hello, Ada!", "Bo": "Hello, Bo!"}
    assert run.progress.fraction == 1.0
    lines = lines_of(run, 1)
    print(lines)
    assert [(line.message, line.run_id) for line in lines] == [("greeting 2 in attempt 1", run.id)]


def test_what_a_realtime_predictor_prints_and_logs_is_found_by_its_run(app):
    app.greet(name="Ada")
    (run,) = app.runs("greet", limit=1)
    lines = lines_of(run, 4)
    assert [(line.level, line.message) for line in lines] == [
        ("INFO", "greeting Ada ünï 日本"),
        ("WARNING", "two\nlines of Ada"),
        ("INFO", "on stderr"),
        ("INFO", "without an end"),
    ]
    assert {(line.run_id, line.component) for line in lines} == {(run.id, "greeting")}


def test_why_a_prediction_failed_is_in_its_log_and_in_the_error(app):
    with pytest.raises(PredictionError, match="I do not greet trouble") as raised:
        app.greet(name="trouble")
    assert raised.value.traceback.endswith("ValueError: I do not greet trouble")
    (run,) = app.runs("greet", status="failed", limit=1)
    last = lines_of(run, 5)[-1]
    assert (last.level, last.message.splitlines()[0]) == ("ERROR", "ValueError: I do not greet trouble")
    assert "greeting.py" in last.message


def test_boto3_is_loaded_by_the_first_value_that_travels_through_state_and_not_before(app):
    heavy = {"boto3", "botocore", "pydantic"}
    fresh = [app.greet(name="Ada").modules for _ in range(2)]
    assert not heavy & set(fresh[0] + fresh[1])
    app.greet(name="Ada", counted=True)
    assert heavy & set(app.greet(name="Ada").modules) == {"boto3", "botocore"}


def test_state_is_shared_and_files_travel_through_the_bucket(app, stage):
    before = app.greet(name="Ada", counted=True).count
    assert app.greet(name="Bo", counted=True).count == before + 1
    data = bytes(range(256)) * 8192
    turned = app.reversed_file(file=matinee.File(data, name="ü.bin"))
    assert turned.read() == data[::-1]
    assert app.length(text="ü" * 4_000_000) == 4_000_000
    keys = {key.partition("/")[0] for key in app.client.backend.files.list("")}
    assert keys == {"inputs", "results", "uploads"}


def test_feedback_cancel_and_many_rows(app):
    runs = app.greet_all.submit_many([{"names": [name]} for name in "abc"])
    assert [run.result(timeout_s=60) for run in runs] == [{name: f"Hello, {name}!"} for name in "abc"]
    runs[0].feedback(-1, "too short", {"a": "Good morning, a!"})
    (said,) = app.client.feedback_of(runs[0].id)
    assert (said.rating, said.corrected) == (-1, {"a": "Good morning, a!"})
    with pytest.raises(ConflictError, match="has already succeeded"):
        runs[0].cancel()
    table = app.greet.predict_rows(b"name,counted\nAda,false\nBo,false\n")
    assert [row["result"]["text"] for row in table] == ["Hello, Ada!", "Hello, Bo!"]


class TestWho:
    def test_runs_are_of_whom_aws_takes_the_caller_for(self, app):
        assert app.client.user == "root", "MiniStack knows every caller as the account's root"
        assert app.client.owner

    def test_another_name_may_be_given(self, laptop, app_folder):
        with matinee.connect(app_folder, stage="dev", user="ada") as app:
            app.greet(name="Ada")
            assert app.runs(limit=1)[0].run.user == "ada"

    @pytest.mark.parametrize(
        ("arn", "name"),
        [
            ("arn:aws:iam::1:user/team/ada", "ada"),
            ("arn:aws:iam::1:root", "root"),
            ("arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_1/ada@example.com", "ada@example.com"),
            ("arn:aws-cn:sts::1:federated-user/ada", "ada"),
        ],
    )
    def test_the_name_is_the_last_word_of_the_arn(self, arn, name):
        assert name_in(arn) == name


class TestWrong:
    """One sentence of what is wrong, and what to do."""

    def refused(self, app_folder, error, stage="dev", **more):
        with pytest.raises(error) as raised:
            matinee.connect(app_folder, stage=stage, **more)
        return raised.value

    def test_nothing_is_deployed_on_the_stage(self, laptop, app_folder):
        said = self.refused(app_folder, NotFoundError, "prod")
        assert said.message == "Nothing is deployed on the stage prod of greeting in eu-central-1."
        assert "`matinee deploy --stage prod`" in said.hint

    def test_another_region_is_named(self, laptop, app_folder):
        said = self.refused(app_folder, NotFoundError, region="us-east-1")
        assert said.message == "Nothing is deployed on the stage dev of greeting in us-east-1."
        assert "AWS_REGION" in said.hint

    def test_a_table_without_a_release_is_nothing_deployed(self, laptop, app_folder, stage):
        made = Session(stage.session.settings._replace(table=Names("greeting", "empty").base))
        make_table(made)
        assert "Nothing is deployed on the stage empty" in self.refused(app_folder, NotFoundError, "empty").message
        made.close()

    def test_there_are_no_credentials(self, laptop, app_folder, tmp_path):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            laptop.delenv(name)
        laptop.setenv("AWS_EC2_METADATA_DISABLED", "true")
        laptop.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        laptop.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        said = self.refused(app_folder, BackendError)
        assert said.message == "The table matinee-greeting-dev cannot be used: there are no AWS credentials."
        assert "aws sso login" in said.hint

    def test_there_is_no_region(self, laptop, app_folder, tmp_path):
        laptop.delenv("AWS_REGION")
        laptop.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        said = self.refused(app_folder, BackendError)
        assert "no region is set" in said.message
        assert "AWS_REGION" in said.hint

    def test_a_region_of_no_such_name_cannot_be_reached(self, laptop, app_folder):
        laptop.setenv("MATINEE_AWS_ENDPOINT", "http://127.0.0.1:9")
        said = self.refused(app_folder, BackendError)
        assert "cannot be reached" in said.message

    @pytest.mark.parametrize("name", ["Dev", "a/b", "x" * 17, "-dev", "dev-2"])
    def test_what_can_be_no_stage(self, laptop, app_folder, name):
        assert f"There can be no stage {name!r}" in self.refused(app_folder, UsageError, name).message

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"url": "http://127.0.0.1:1", "stage": "dev"}, "url and a stage"),
            ({"region": "eu-central-1"}, "region is for a deployed stage"),
            ({"token": "t"}, "token is for an app at a url"),
        ],
    )
    def test_what_excludes_each_other(self, given, words):
        with pytest.raises(UsageError, match=words):
            matinee.connect(**given)

    def test_a_release_of_another_version_of_matinee(self, laptop, app_folder, stage):
        other = Names("greeting", "newer")
        made = Session(stage.session.settings._replace(table=other.base))
        make_table(made)
        store = DynamoStore(made)
        release = replace(stage.store.release(), details={"aws": {}})
        store.put_release(release)
        with pytest.raises(BackendError, match="deployed by another version of Matinee") as raised:
            matinee.connect(app_folder, stage="newer")
        assert "Use the same version here" in raised.value.hint
        made.close()
