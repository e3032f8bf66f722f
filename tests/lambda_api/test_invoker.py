"""The Invoker: what it sends, what it returns, when it asks again, what it says of a refusal."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from matinee.errors import BackendError, LimitError, NotFoundError, UsageError
from matinee.lambda_api.invoker import LambdaInvoker
from matinee.retry import Backoff

QUICK = Backoff(base_s=0.001, cap_s=0.01, total_s=0.2)


@pytest.fixture
def invoker(lambda_stub):
    return LambdaInvoker(lambda_stub.endpoint, prefix="matinee-app-dev-", qualifier="live", backoff=QUICK)


def test_a_call_names_function_alias_and_context(lambda_stub, invoker):
    lambda_stub.answer({"a": 1}, X_Amz_Executed_Version="7")
    answer = invoker.invoke("recommend", b'{"x": 1}', context={"run": "R1", "user": "Zoë"})
    path, headers, body = lambda_stub.requests[0]
    assert path == "/2015-03-31/functions/matinee-app-dev-recommend/invocations?Qualifier=live"
    assert json.loads(base64.b64decode(headers["X-Amz-Client-Context"])) == {"custom": {"run": "R1", "user": "Zoë"}}
    assert body == b'{"x": 1}'
    assert (json.loads(answer.payload), answer.error_type, answer.version) == ({"a": 1}, "", "7")


def test_a_function_error_is_returned_with_its_type(lambda_stub, invoker):
    lambda_stub.answer({"errorType": "ValueError", "errorMessage": "no"}, X_Amz_Function_Error="Unhandled")
    assert invoker.invoke("recommend", b"{}").error_type == "ValueError"


def test_the_log_tail_is_asked_for_and_decoded(lambda_stub, invoker):
    lambda_stub.answer(1, X_Amz_Log_Result=base64.b64encode("START\nZoë".encode()).decode())
    assert invoker.invoke("recommend", b"{}", log_tail=True).log_tail == "START\nZoë"
    assert lambda_stub.requests[0][1]["X-Amz-Log-Type"] == "Tail"


def test_a_poke_does_not_wait(lambda_stub, invoker):
    lambda_stub.answers.append((202, "", {}))
    invoker.poke("matinee-dispatcher", b'{"predictor": "plan"}')
    assert lambda_stub.requests[0][1]["X-Amz-Invocation-Type"] == "Event"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, "TooManyRequestsException"),
        (500, "ServiceException"),
        (502, "EC2ThrottledException"),
        (409, "ResourceConflictException"),
        (502, "ResourceNotReadyException"),
    ],
)
def test_what_passes_by_itself_is_asked_again(lambda_stub, invoker, status, kind):
    lambda_stub.refuse(status, kind)
    lambda_stub.refuse(status, kind)
    lambda_stub.answer({"a": 1})
    assert invoker.invoke("recommend", b"{}").payload == b'{"a": 1}'
    assert len(lambda_stub.requests) == 3


def test_a_service_that_stays_saturated_is_given_up(lambda_stub, invoker):
    lambda_stub.refuse(429, "TooManyRequestsException")
    begun = time.monotonic()
    with pytest.raises(BackendError, match="recommend has too many requests at once"):
        invoker.invoke("recommend", b"{}")
    assert len(lambda_stub.requests) > 3
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("status", "kind", "error", "words"),
    [
        (404, "ResourceNotFoundException", NotFoundError, "There is no function recommend"),
        (413, "RequestTooLargeException", LimitError, "inputs of recommend are too large"),
        (400, "InvalidRequestContentException", UsageError, "are not JSON"),
        (403, "AccessDeniedException", BackendError, "Calling recommend is not allowed"),
    ],
)
def test_what_does_not_pass_is_said_at_once_with_a_hint(lambda_stub, invoker, status, kind, error, words):
    lambda_stub.refuse(status, kind)
    with pytest.raises(error, match=words) as caught:
        invoker.invoke("recommend", b"{}")
    assert caught.value.hint
    assert len(lambda_stub.requests) == 1


def test_a_connection_that_breaks_is_not_asked_again_as_the_prediction_may_have_run(lambda_stub, invoker):
    lambda_stub.answers.append(("hang up", None, {}))
    with pytest.raises(BackendError, match="broke while recommend ran"):
        invoker.invoke("recommend", b"{}")
    assert len(lambda_stub.requests) == 1


def test_a_slow_answer_is_not_asked_again(lambda_stub, monkeypatch):
    monkeypatch.setattr("matinee.lambda_api.invoker.READ_TIMEOUT_S", 0.2)
    lambda_stub.answers.append(("hang up", None, {}))
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        invoker = LambdaInvoker(f"http://127.0.0.1:{silent.getsockname()[1]}", backoff=QUICK)
        with pytest.raises(BackendError, match="recommend did not answer"):
            invoker.invoke("recommend", b"{}")
        silent.accept()[0].close()
        silent.settimeout(0.1)
        with pytest.raises(TimeoutError):
            silent.accept()


def test_a_service_that_is_not_there_is_said_with_what_to_do():
    with pytest.raises(BackendError, match="cannot be reached") as caught:
        LambdaInvoker("http://127.0.0.1:9").invoke("recommend", b"{}")
    assert caught.value.hint == "Is `matinee dev` running?"


def test_a_hundred_threads_share_one_client(lambda_stub, invoker):
    lambda_stub.answer(1)
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: invoker.invoke("recommend", b"{}").payload, range(200)))
    assert answers == [b"1"] * 200


def test_importing_and_making_an_invoker_loads_no_boto3():
    code = (
        "import sys; from matinee.lambda_api.invoker import LambdaInvoker; LambdaInvoker('http://127.0.0.1:1');"
        "from matinee.lambda_api import outcome; assert not {'boto3', 'botocore'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("signed", [True, False])
def test_a_call_of_aws_that_failed_leaves_one_line_in_the_log(lambda_stub, monkeypatch, caplog, signed):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    invoker = LambdaInvoker(lambda_stub.endpoint, "eu-central-1", "app-", signed=signed, backoff=QUICK)
    lambda_stub.refuse(403, "AccessDeniedException", "not authorized to perform: lambda:InvokeFunction")
    with pytest.raises(BackendError, match="not allowed"):
        invoker.invoke("recommend", b"{}")
    lines = [json.loads(record.message) for record in caplog.records if record.name == "matinee.aws"]
    assert [(line["action"], line["resource"], line["code"]) for line in lines] == (
        [("lambda:InvokeFunction", "function/app-recommend", "AccessDeniedException")] if signed else []
    )
