"""A predictor answers through the Runtime API, by AWS's client and by our own."""

from __future__ import annotations

import json

import pytest

from matinee.backends.local.files import FolderFiles
from matinee.errors import InputError
from matinee.lambda_api.outcome import failure_of
from matinee.manifest import component_from_json


def described(manifest, name):
    component = component_from_json(json.loads(manifest.read_text()))
    return next(p for p in component.predictors if p.name == name)


def test_inputs_become_arguments_and_the_result_json(call):
    answer, result = call("greet", {"name": "Ada", "loud": True})
    assert answer.error_type == ""
    assert answer.version == "v3"
    assert result["text"] == "HELLO ADA"


def test_a_plain_typed_predictor_answers_without_pydantic_or_boto3(call):
    modules = set(call("greet", {"name": "Ada"})[1]["modules"])
    assert not modules & {"pydantic", "pydantic_core", "boto3", "botocore", "asyncio", "sqlite3", "streamlit"}


def test_inputs_that_do_not_fit_are_an_input_error_that_names_the_field(call, manifest):
    answer, _ = call("greet", {"name": 1, "age": 2})
    with pytest.raises(InputError) as caught:
        failure_of(answer, described(manifest, "greet"))
    assert {p.path for p in caught.value.problems} == {"name", "age"}


def test_an_exception_keeps_type_message_and_the_users_own_lines(call, manifest):
    failure = failure_of(call("fail", {"how": "raise"})[0], described(manifest, "fail"))
    assert (failure.kind, failure.message) == ("exception", "fail raised ValueError: no such thing")
    assert "plain.py" in failure.traceback
    assert "runtime/execute.py" not in failure.traceback
    assert failure.traceback.endswith("ValueError: no such thing")


@pytest.mark.parametrize(
    "name", ["CancelledError", "GeneratorExit", "SystemExit", "KeyboardInterrupt", "BaseException"]
)
def test_whatever_ends_a_call_is_named_and_the_process_goes_on(call, manifest, name):
    failure = failure_of(call("fail", {"how": name})[0], described(manifest, "fail"))
    assert (failure.kind, failure.message) == ("exception", f"fail raised {name}: no such thing")
    assert call("length", {"text": "four"})[1] == 4


@pytest.mark.parametrize(("how", "kind"), [("memory", "out_of_memory"), ("result", "invalid_result")])
def test_other_failures_keep_their_kind_and_hint(call, manifest, how, kind):
    failure = failure_of(call("fail", {"how": how})[0], described(manifest, "fail"))
    assert failure.kind == kind
    assert failure.hint


def test_the_context_is_the_callers(call):
    told = call("who", {}, run="R1", user="ada", parent="", attempt="2")[1]
    assert told == ["R1", "ada", "v3", "2", "who", "True"]


def test_a_call_without_context_has_lambdas_request_id(call):
    run_id, user, *_ = call("who", {})[1]
    assert len(run_id) == 36
    assert user == ""


def test_state_is_shared_through_the_store(call):
    assert [call("count", {"key": "a"})[1] for _ in range(3)] == [1, 2, 3]


def test_a_result_that_is_too_large_for_lambda_goes_through_files(call):
    result = call("repeat", {"text": "x" * 1000, "times": 7000}, run="R1")[1]
    key = result["$payload"]
    assert key.startswith("results/R1/")
    assert len(json.loads(FolderFiles(call.settings.data / "files").read(key))) == 7_000_000


def test_inputs_that_are_too_large_for_lambda_come_through_files(call):
    FolderFiles(call.settings.data / "files").put("inputs/R1.json", json.dumps({"text": "x" * 7_000_000}).encode())
    assert call("length", {"$payload": "inputs/R1.json"})[1] == 7_000_000


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("raise OSError('no model file')", "OSError: no model file"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "declares no predictor"),
    ],
)
def test_a_component_that_cannot_be_loaded_is_a_failed_start_with_its_own_words(
    call, manifest, tmp_path, source, words
):
    (tmp_path / "bad.py").write_text(source)
    failure = failure_of(call("greet", {"name": "Ada"}, source=tmp_path / "bad.py")[0], described(manifest, "greet"))
    assert failure.kind == "start"
    assert words in failure.message
