"""What callers see: status codes, headers and error bodies as AWS documents them."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from matinee.backends.local.lambda_service.service import Limits

from .conftest import wait_until

PATH = "/2015-03-31/functions/echo/invocations"


def post(lambdas, path=PATH, body=b"{}", method="POST", **headers):
    at = urlsplit(lambdas.service.endpoint)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
    shown = {"Authorization": f"Bearer {lambdas.service.secret}"}
    connection.request(method, path, body, shown | {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    is_json = answer.headers["Content-Type"] == "application/json"
    return answer.status, answer.headers, json.loads(data) if data and is_json else None


def refused(call):
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response


def test_boto3_gets_a_result_with_status_200_and_the_executed_version(lambdas):
    lambdas.function(version="v3")
    answer, result = lambdas.invoke(payload={"a": 1})
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "v3"
    assert "FunctionError" not in answer
    assert result["event"] == {"a": 1}


def test_the_aws_cli_invokes_a_function(lambdas):
    lambdas.function()
    out = lambdas.folder / "out.json"
    command = [
        *(str(Path(sys.executable).with_name("aws")), "lambda", "invoke", "--endpoint-url", lambdas.service.endpoint),
        *("--function-name", "echo", "--payload", '{"a": 1}', "--region", "eu-central-1", str(out)),
    ]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": lambdas.service.secret}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["StatusCode"] == 200
    assert json.loads(out.read_text())["event"] == {"a": 1}


@pytest.mark.parametrize(
    "name", ["arn:aws:lambda:eu-central-1:000000000000:function:echo", "000000000000:function:echo", "echo:live"]
)
def test_a_function_is_found_by_arn_partial_arn_and_alias(lambdas, name):
    lambdas.function()
    assert lambdas.call(name, {"a": 1})["event"] == {"a": 1}


def test_a_qualifier_may_be_latest_live_or_the_version(lambdas):
    lambdas.function(version="v3")
    for qualifier in ("$LATEST", "live", "v3"):
        assert lambdas.invoke(Qualifier=qualifier)[0]["StatusCode"] == 200
    assert refused(lambda: lambdas.invoke(Qualifier="v2"))[:2] == (404, "ResourceNotFoundException")


def test_an_unknown_function_is_404(lambdas):
    status, code, response = refused(lambda: lambdas.invoke("nobody"))
    assert (status, code) == (404, "ResourceNotFoundException")
    assert response["Error"]["Message"].endswith(
        "Function not found: arn:aws:lambda:eu-central-1:000000000000:function:nobody"
    )
    assert response["Type"] == "User"


def test_error_bodies_and_headers_are_as_aws_sends_them(lambdas):
    status, headers, body = post(lambdas, "/2015-03-31/functions/nobody/invocations")
    assert status == 404
    assert headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert headers["x-amzn-RequestId"]
    assert body["Type"] == "User"
    assert body["Message"].startswith("Function not found: ")


def test_a_name_that_can_be_no_function_is_a_validation_error(lambdas):
    status, headers, _ = post(lambdas, "/2015-03-31/functions/no%20name/invocations")
    assert (status, headers["x-amzn-errortype"]) == (400, "ValidationException")


@pytest.mark.parametrize("body", [b"{", b"no json", b"NaN", b'{"a": Infinity}', b"\xff"])
def test_a_payload_that_is_not_json_is_400(lambdas, body):
    lambdas.function()
    status, headers, answer = post(lambdas, body=body)
    assert (status, headers["x-amzn-errortype"]) == (400, "InvalidRequestContentException")
    assert answer["message"].startswith("Could not parse request body into json")


def test_no_payload_is_an_empty_object(lambdas):
    lambdas.function()
    assert post(lambdas, body=b"")[2]["event"] == {}


@pytest.mark.parametrize("size", [6_291_457, 20_000_000])
def test_a_payload_over_6_mb_is_413(lambdas, size):
    lambdas.function()
    body = b'"' + b"x" * (size - 2) + b'"'
    status, headers, answer = post(lambdas, body=body)
    assert (status, headers["x-amzn-errortype"]) == (413, "RequestTooLargeException")
    assert answer["message"] == "Request must be smaller than 6291456 bytes for the InvokeFunction operation"


def test_a_payload_of_exactly_6_mb_is_taken(lambdas):
    lambdas.function(handler="big.handler")
    assert post(lambdas, body=b'"' + b"x" * (6_291_456 - 2) + b'"')[2] == 6_291_454


def test_a_response_over_6_mb_is_a_function_error(lambdas, runtime_client):
    lambdas.function(client=runtime_client)
    answer, problem = lambdas.invoke(payload={"reply_bytes": 6_291_556})
    assert answer["FunctionError"] == "Unhandled"
    assert problem["errorType"] == "Function.ResponseSizeTooLarge"
    assert lambdas.call(payload={"a": 1})["event"] == {"a": 1}


def test_dry_run_is_204_and_runs_nothing(lambdas):
    lambdas.function()
    note = lambdas.folder / "ran"
    answer = lambdas.client.invoke(
        FunctionName="echo", InvocationType="DryRun", Payload=json.dumps({"note": str(note)})
    )
    assert answer["StatusCode"] == 204
    assert not note.exists()
    assert refused(lambda: lambdas.client.invoke(FunctionName="nobody", InvocationType="DryRun"))[0] == 404


def test_an_event_is_202_and_runs_later(lambdas):
    lambdas.function()
    note = lambdas.folder / "ran"
    answer, body = lambdas.invoke(payload={"note": str(note)}, InvocationType="Event")
    assert (answer["StatusCode"], body) == (202, None)
    wait_until(note.exists)


def test_an_event_that_fails_is_run_twice_more(lambdas):
    lambdas.function()
    note = lambdas.folder / "ran"
    lambdas.invoke(payload={"note": str(note), "raise": "no"}, InvocationType="Event")
    wait_until(lambda: note.exists() and len(note.read_text().splitlines()) == 3)
    assert lambdas.call(payload={}), "a later call shows that no fourth was queued before it"
    assert len(note.read_text().splitlines()) == 3


def test_an_event_over_1_mb_is_413(lambdas):
    lambdas.function()
    body = b'"' + b"x" * 1_048_576 + b'"'
    status, headers, _ = post(lambdas, body=body, X_Amz_Invocation_Type="Event")
    assert (status, headers["x-amzn-errortype"]) == (413, "RequestTooLargeException")


def test_an_unknown_invocation_type_is_400(lambdas):
    lambdas.function()
    status, headers, _ = post(lambdas, X_Amz_Invocation_Type="Later")
    assert (status, headers["x-amzn-errortype"]) == (400, "ValidationException")


def test_the_client_context_reaches_the_handler(lambdas, runtime_client):
    lambdas.function(client=runtime_client)
    context = base64.b64encode(json.dumps({"custom": {"run": "R1", "user": "Zoë"}}).encode()).decode()
    assert lambdas.call(ClientContext=context)["custom"] == {"run": "R1", "user": "Zoë"}


@pytest.mark.parametrize("context", ["%%%", base64.b64encode(b"[1]").decode(), base64.b64encode(b"{").decode()])
def test_a_client_context_that_is_no_object_is_400(lambdas, context):
    lambdas.function()
    status, headers, _ = post(lambdas, X_Amz_Client_Context=context)
    assert (status, headers["x-amzn-errortype"]) == (400, "InvalidRequestContentException")


def test_too_many_requests_are_429_with_reason_and_type(lambdas):
    lambdas.function(concurrency=1)
    go = lambdas.folder / "go"
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(lambdas.invoke, "echo", {"until": str(go)}) for _ in range(7)]
        wait_until(lambda: any(call.done() for call in calls))
        status, code, response = refused(next(call for call in calls if call.done()).result)
        go.touch()
        outcomes = [call.exception() for call in calls]
    assert (status, code) == (429, "TooManyRequestsException")
    assert response["Reason"] == "ConcurrentInvocationLimitExceeded"
    assert response["Type"] == "User"
    assert outcomes.count(None) >= 3, "those that waited were answered"


def test_a_request_that_waits_too_long_is_429(make_service):
    lambdas = make_service(limits=Limits(queue_wait_s=0.2))
    lambdas.function(concurrency=1)
    lambdas.call()
    go = lambdas.folder / "go"
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(lambdas.call, "echo", {"until": str(go), "note": str(lambdas.folder / "ran")})
        wait_until((lambdas.folder / "ran").exists)
        assert refused(lambdas.invoke)[:2] == (429, "TooManyRequestsException")
        go.touch()
        assert first.result()["pid"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
    ],
)
def test_a_web_page_of_another_site_is_refused(lambdas, headers):
    lambdas.function()
    status, answered, _ = post(lambdas, **headers)
    assert (status, answered["x-amzn-errortype"]) == (403, "AccessDeniedException")


@pytest.mark.parametrize("host", ["localhost:9", "127.0.0.1:9", "[::1]:9", "localhost"])
def test_every_name_of_loopback_is_served(lambdas, host):
    lambdas.function()
    assert post(lambdas, Host=host, Origin="http://localhost:8501")[0] == 200


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("list_functions", {}),
        ("get_function", {"FunctionName": "echo"}),
        ("delete_function", {"FunctionName": "echo"}),
        ("invoke_with_response_stream", {"FunctionName": "echo"}),
        ("list_aliases", {"FunctionName": "echo"}),
    ],
)
def test_a_call_that_is_not_played_here_is_an_unknown_operation(lambdas, operation, arguments):
    status, code, response = refused(lambda: getattr(lambdas.client, operation)(**arguments))
    assert (status, code) == (404, "UnknownOperationException")
    assert response["ResponseMetadata"]["RequestId"]


def test_json_that_is_nested_too_deep_is_400_with_a_reason(lambdas):
    lambdas.function()
    status, headers, problem = post(lambdas, body=b"[" * 100_000 + b"]" * 100_000)
    assert (status, headers["x-amzn-errortype"]) == (400, "InvalidRequestContentException")
    assert "recursion" in problem["message"]
    deep = base64.b64encode(b'{"custom":' * 50_000 + b"1" + b"}" * 50_000).decode()
    assert post(lambdas, X_Amz_Client_Context=deep[:60_000])[0] == 400
    assert lambdas.call(payload={"a": 1})["event"] == {"a": 1}, "the service goes on"


@pytest.mark.parametrize("name", ["echo:7", "arn:aws:lambda:eu-central-1:000000000000:function:echo:7"])
def test_a_qualifier_that_disagrees_with_the_name_is_refused(lambdas, name):
    lambdas.function(version="7")
    status, code, _ = refused(lambda: lambdas.invoke(name, Qualifier="live"))
    assert (status, code) == (400, "InvalidParameterValueException")
    assert lambdas.invoke(name, Qualifier="7")[0]["ExecutedVersion"] == "7"


def exchange(lambdas, text, answers=1):
    """Send raw bytes; return the heads and bodies of as many answers."""
    at = urlsplit(lambdas.service.endpoint)
    head = f"Host: {at.netloc}\r\nAuthorization: Bearer {lambdas.service.secret}\r\n"
    with socket.create_connection((at.hostname, at.port), 10) as connection:
        connection.sendall(text.replace("HEAD\n", head).encode())
        found, stream = [], connection.makefile("rb")
        for _ in range(answers):
            status = int(stream.readline().split()[1])
            headers = http.client.parse_headers(stream)
            found.append((status, stream.read(int(headers["Content-Length"]))))
        return found


def test_a_wish_to_upgrade_is_passed_over_and_the_connection_goes_on(lambdas):
    lambdas.function()
    upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    request = f"POST {PATH} HTTP/1.1\r\nHEAD\n{upgrade}Content-Length: 2\r\n\r\n{{}}"
    plain = f"POST {PATH} HTTP/1.1\r\nHEAD\nContent-Length: 2\r\n\r\n{{}}"
    assert [status for status, _ in exchange(lambdas, request + plain, answers=2)] == [200, 200]


def test_an_answer_to_head_has_no_body(lambdas):
    request = f"HEAD {PATH} HTTP/1.1\r\nHEAD\nConnection: close\r\n\r\n"
    at = urlsplit(lambdas.service.endpoint)
    with socket.create_connection((at.hostname, at.port), 10) as connection:
        head = f"Host: {at.netloc}\r\nAuthorization: Bearer {lambdas.service.secret}\r\n"
        connection.sendall(request.replace("HEAD\n", head).encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404 ") and answer.endswith(b"\r\n\r\n")


def test_headers_have_a_limit(lambdas):
    ((status, body),) = exchange(lambdas, f"POST {PATH} HTTP/1.1\r\nHEAD\nX-Long: {'x' * 70_000}\r\n\r\n")
    assert (status, json.loads(body)) == (431, {"message": "Request Header Fields Too Large."})


def test_a_service_with_too_many_connections_says_so_and_recovers(make_service):
    lambdas = make_service(limits=Limits(connections=4))
    lambdas.function()
    at = urlsplit(lambdas.service.endpoint)
    held = [socket.create_connection((at.hostname, at.port), 10) for _ in range(4)]
    status, code, response = refused(lambda: lambdas.call())
    assert (status, code) == (503, "ServiceUnavailableException")
    assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    for connection in held:
        connection.close()
    wait_until(lambda: post(lambdas)[0] == 200)


LOW = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1] if {can_raise} else 64))
import socket, urllib.request
from matinee.backends.local.lambda_service.service import LambdaService
service = LambdaService(); service.start()
service.put_builtin("here", lambda payload, context: payload)
host, port = service.endpoint.removeprefix("http://").split(":")
def call():
    headers = {{"Authorization": f"Bearer {{service.secret}}"}}
    request = urllib.request.Request(f"{{service.endpoint}}/2015-03-31/functions/here/invocations", b"{{}}", headers)
    try:
        return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code
held = [socket.create_connection((host, int(port))) for _ in range(20)]
full = call()
for connection in held:
    connection.close()
while (after := call()) == 503:
    pass
print(full, after)
service.stop()
"""


@pytest.mark.parametrize(("can_raise", "full"), [(True, 200), (False, 503)])
def test_few_descriptors_are_made_many_and_where_they_cannot_be_it_says_busy_and_recovers(can_raise, full):
    command = [sys.executable, "-c", LOW.format(can_raise=can_raise)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (f"{full} 200\n", "")


def test_other_paths_and_methods_are_404(lambdas):
    assert post(lambdas, "/2015-03-31/functions")[0] == 404
    assert post(lambdas, method="GET", body=None)[0] == 404


def test_a_built_in_function_is_called_in_this_process(lambdas):
    lambdas.service.put_builtin(
        "here", lambda payload, context: json.dumps([json.loads(payload), os.getpid()]).encode()
    )
    assert lambdas.call("here", {"a": 1}) == [{"a": 1}, os.getpid()]


def test_an_exception_of_a_built_in_function_is_a_function_error(lambdas):
    def fail(payload, context):
        raise ValueError("no")

    lambdas.service.put_builtin("here", fail)
    answer, problem = lambdas.invoke("here")
    assert answer["FunctionError"] == "Unhandled"
    assert (problem["errorType"], problem["errorMessage"]) == ("ValueError", "no")
