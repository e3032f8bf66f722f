"""Other users of the machine reach 127.0.0.1 too: without the secret of this start nothing is answered or given."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from matinee.backends.local.lambda_service.function import LocalFunction
from matinee.backends.local.lambda_service.guests import ACCESS_KEY_ID
from matinee.backends.local.lambda_service.service import LambdaService
from matinee.testing.harness import wait_until

HANDLER = """
import json, os, pathlib
pathlib.Path({api!r}).write_text(os.environ["AWS_LAMBDA_RUNTIME_API"])
def handler(event, context):
    if "until" in event:
        while not os.path.exists(event["until"]):
            pass
    return {{"seen": event}}
"""


@pytest.fixture
def service() -> Iterator[LambdaService]:
    service = LambdaService()
    service.start()
    yield service
    service.stop()


@pytest.fixture
def api_file(service: LambdaService, tmp_path: Path) -> Path:
    """A function `echo`; the file gets the address of its process's Runtime API."""
    (tmp_path / "echo.py").write_text(HANDLER.format(api=str(tmp_path / "api")))
    command = [sys.executable, "-m", "matinee.runtime.lambda_client", "echo.handler"]
    service.put_function(LocalFunction("echo", command, cwd=str(tmp_path), concurrency=1))
    return tmp_path / "api"


def client(service: LambdaService, key: str = ACCESS_KEY_ID, secret: str | None = None):
    return boto3.client(
        "lambda",
        endpoint_url=service.endpoint,
        region_name="eu-central-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret or service.secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


def status_of(url: str, body: bytes | None = None, **headers: str) -> int:
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        assert error.read(), "a refusal says why"
        return error.code


def test_boto3_with_the_secret_of_this_start_is_answered(service, api_file):
    answer = client(service).invoke(FunctionName="echo", Payload=b'{"a": "\xc3\xbc"}', Qualifier="$LATEST")
    assert json.load(answer["Payload"]) == {"seen": {"a": "ü"}}


@pytest.mark.parametrize(
    ("key", "secret", "code"),
    [
        (ACCESS_KEY_ID, "of-yesterday", "InvalidSignatureException"),
        ("AKIAOTHER", None, "UnrecognizedClientException"),
    ],
)
def test_other_keys_are_refused(service, api_file, key, secret, code):
    with pytest.raises(ClientError) as refused:
        client(service, key, secret).invoke(FunctionName="echo", Payload=b"{}")
    assert refused.value.response["Error"]["Code"] == code
    assert not api_file.exists(), "nothing was started for them"


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer x"}, {"Authorization": "AWS4-HMAC-SHA256 x"}]
)
def test_without_a_signature_nothing_is_answered(service, api_file, header):
    url = f"{service.endpoint}/2015-03-31/functions/echo/invocations"
    assert status_of(url, b"{}", **header) == 403
    assert status_of(f"{service.endpoint}/2015-03-31/functions/nobody/invocations", b"{}", **header) == 403


def test_a_signature_covers_the_body_and_the_path(service, api_file):
    caught = {}
    signed = client(service)
    signed.meta.events.register("before-send.lambda", lambda request, **_: caught.update(request=request))
    signed.invoke(FunctionName="echo", Payload=b'{"a": 1}')
    headers = {n: v.decode() if isinstance(v, bytes) else v for n, v in caught["request"].headers.items()}
    assert status_of(caught["request"].url, b'{"a": 1}', **headers) == 200
    assert status_of(caught["request"].url, b'{"a": 2}', **headers) == 403
    assert status_of(caught["request"].url.replace("echo", "ecco"), b'{"a": 1}', **headers) == 403


def test_two_starts_have_two_secrets(service):
    other = LambdaService()
    assert len({service.secret, other.secret}) == 2
    assert len(service.secret) >= 32


def test_a_worker_s_port_gives_no_input_and_takes_no_answer_without_its_secret(service, api_file, tmp_path):
    done = tmp_path / "done"
    answers = []

    payload = json.dumps({"until": str(done), "card": "4242"}).encode()
    caller = threading.Thread(
        target=lambda: answers.append(client(service).invoke(FunctionName="echo", Payload=payload))
    )
    caller.start()
    wait_until(lambda: api_file.exists() and api_file.read_text())
    host, _, secret = api_file.read_text().partition("/")
    assert len(secret) >= 32
    for base in (host, f"{host}/{'0' * len(secret)}", f"{host}/"):
        runtime = f"http://{base}/2018-06-01/runtime"
        assert status_of(f"{runtime}/invocation/next") == 403
        assert status_of(f"{runtime}/init/error", b"{}") == 403
        assert status_of(f"{runtime}/invocation/1/response", b"{}") == 403
    assert status_of(f"http://{host}/{secret}/2018-06-01/runtime/invocation/next") == 403, (
        "it is working: no second one"
    )
    done.touch()
    caller.join(10)
    assert json.load(answers[0]["Payload"])["seen"]["card"] == "4242"
    wait_until(lambda: status_of(f"http://{host}/{secret}/2018-06-01/runtime/invocation/next") == 403)
    assert json.load(client(service).invoke(FunctionName="echo", Payload=b"{}")["Payload"]) == {"seen": {}}


@pytest.mark.parametrize("runtime", ["matinee.runtime.lambda_client", "awslambdaric", "matinee.runtime.loop"])
def test_a_start_that_fails_says_why_whatever_the_runtime_client(service, tmp_path, runtime):
    (tmp_path / "broken.py").write_text("raise ValueError('no weights here')\n")
    service.put_function(LocalFunction("broken", [sys.executable, "-m", runtime, "broken.handler"], cwd=str(tmp_path)))
    answer = client(service).invoke(FunctionName="broken", Payload=b"{}")
    problem = json.load(answer["Payload"])
    assert answer["FunctionError"] == "Unhandled"
    assert (problem["errorType"], "no weights here" in problem["errorMessage"]) == ("ValueError", True)


def test_the_secret_is_in_no_command_line(service, api_file):
    client(service).invoke(FunctionName="echo", Payload=b"{}")
    secret = api_file.read_text().partition("/")[2]
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert secret not in shown and service.secret not in shown


def test_a_connection_that_only_connects_costs_the_service_nothing(service, api_file):
    host, _, port = service.endpoint.removeprefix("http://").partition(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(50)]
    answer = client(service).invoke(FunctionName="echo", Payload=b"{}")
    assert json.load(answer["Payload"]) == {"seen": {}}
    for connection in idle:
        connection.close()
