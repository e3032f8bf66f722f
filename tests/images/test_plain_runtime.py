"""A plain handler has the whole runtime around it: state, handles, secrets, variables, examples, checked results."""

from __future__ import annotations

import pytest

from matinee import connect
from matinee.environments.inspect import inspect
from matinee.errors import PredictionError, UsageError
from matinee.project.load import load

HANDLER = '''
import os
from matinee import context, predictor, state

MODEL = os.environ["MODEL"]
KEY = os.environ["API_KEY"]
double = predictor("double")

def _make():
    def handler(event, request):
        """Count and double."""
        if "give" in event:
            return {"nan": float("nan"), "bytes": b"x"}[event["give"]]
        return {
            "count": int(state.increment("calls")),
            "twice": double(n=event["n"]),
            "model": MODEL,
            "key": KEY,
            "run": context().run_id,
        }
    return handler

handler = _make()  # found by importing: no text of the module says `def handler` at its top
'''
TYPED = "from matinee import realtime\n\n@realtime\ndef double(n: int) -> int:\n    return 2 * n\n"
TOML = """
name = "moved"
[components.old-one]
handler = "prediction.handler"
[components.double]
[predictors.old_one]
secrets = ["API_KEY"]
examples = [{n = 1}, {event = {n = 2}}]
environment = {MODEL = "large"}
permissions = [{actions = ["s3:GetObject"], resources = ["arn:aws:s3:::models/*"]}]
"""


@pytest.fixture
def app(tmp_path):
    folder = tmp_path / "app"
    (folder / "old-one").mkdir(parents=True)
    (folder / "old-one" / "prediction.py").write_text(HANDLER)
    (folder / "double.py").write_text(TYPED)
    (folder / "matinee.toml").write_text(TOML)
    (folder / ".env").write_text("API_KEY=s3cret\n")
    return folder


def test_its_calls_share_state_and_reach_predictors_secrets_and_variables(app) -> None:
    with connect(app) as moved:
        answers = [moved.old_one(event={"n": n}) for n in (1, 2, 3)]
        assert [a.count for a in answers] == [1, 2, 3]
        assert [a.twice for a in answers] == [2, 4, 6]
        assert (answers[0].model, answers[0].key) == ("large", "s3cret")
        assert moved.run(answers[0].run).run.predictor == "old_one"


@pytest.mark.parametrize(("give", "why"), [("nan", "it is nan"), ("bytes", "of the type bytes")])
def test_a_result_that_is_no_json_is_a_failed_run_with_the_reason(app, give, why) -> None:
    with connect(app) as moved:
        with pytest.raises(PredictionError, match=why):
            moved.old_one(event={"give": give})
        run = moved.runs()[0].run
        assert (run.status, run.failure.kind) == ("failed", "invalid_result")


def test_inspection_finds_docstring_calls_and_examples(app) -> None:
    (item, _) = inspect(app).components
    (found,) = item.manifest.predictors
    assert found.doc == "Count and double."
    assert found.calls == ("double",)
    assert found.examples == ({"event": {"n": 1}}, {"event": {"n": 2}})
    assert found.resources.environment == {"MODEL": "large"}


def test_a_secret_that_is_missing_while_it_is_imported_is_said(app) -> None:
    (app / ".env").unlink()
    (item, _) = inspect(app).components
    assert "'API_KEY'" in item.manifest.trouble.message


def test_another_handler_of_the_same_files_is_another_version(app) -> None:
    before = load(app).component("old-one").content_hash()
    (app / "matinee.toml").write_text(TOML.replace("prediction.handler", "prediction._make"))
    assert load(app).component("old-one").content_hash() != before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("environment = {N = 3}", "environment.N must be a text"),
        ('environment = {AWS_REGION = "x"}', "the platform itself sets AWS_REGION"),
        ('environment = {"A B" = "x"}', "'A B' of old_one has no name"),
        ('environment = {API_KEY = "x"}\nsecrets = ["API_KEY"]', "API_KEY as a variable and as a secret"),
        ('permissions = [{actions = ["s3:GetObject"]}]', "each permission is a table with actions and resources"),
        ('permissions = [{actions = ["*"], resources = ["*"]}]', "'*' is none of the actions"),
        ('permissions = [{actions = ["s3:Get*"], resources = ["bucket"]}]', "'bucket' is none of the resources"),
        ("examples = [3]", "example 1 of old_one does not fit its parameters"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_words(app, line, said) -> None:
    plain = "def handler(event, context):\n    return event\n"
    (app / "old-one" / "prediction.py").write_text(plain)
    head = TOML.partition("secrets =")[0]
    (app / "matinee.toml").write_text(f"{head}{line}\n")
    with pytest.raises(UsageError) as refused:
        inspect(app)
    assert said in str(refused.value)
