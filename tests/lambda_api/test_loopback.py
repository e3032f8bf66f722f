"""The local service is called as boto3 calls AWS, over connections that are kept."""

from __future__ import annotations

import socket
import threading

import pytest

from matinee.errors import BackendError, LimitError, NotFoundError
from matinee.lambda_api.invoker import LambdaInvoker
from matinee.lambda_api.patience import Patience

QUICK = Patience(base_s=0.001, cap_s=0.01, total_s=0.05)
SAID = ("X-Amz-Client-Context", "X-Amz-Log-Type", "X-Amz-Invocation-Type", "Content-Length")


@pytest.fixture
def both(lambda_stub, monkeypatch):
    """Return an invoker that has boto3 call and one that calls by itself."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    named = {"region": "eu-central-1", "prefix": "a b-", "qualifier": "live", "patience": QUICK}
    return [LambdaInvoker(lambda_stub.endpoint, signed=signed, **named) for signed in (True, False)]


def test_it_sends_what_boto3_sends(lambda_stub, both):
    lambda_stub.answer({"a": 1}, X_Amz_Executed_Version="7", X_Amz_Log_Result="TG9n")
    answers = [
        invoker.invoke("f", b'{"x": "\xc3\xa9"}', context={"user": "Zo\u00eb"}, log_tail=True) for invoker in both
    ]
    for invoker in both:
        invoker.poke("f")
    assert answers[0] == answers[1]
    sent = [(path, {name: headers.get(name) for name in SAID}, body) for path, headers, body in lambda_stub.requests]
    assert sent[0] == sent[1]
    assert sent[2] == sent[3]


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (404, "ResourceNotFoundException", NotFoundError),
        (413, "RequestTooLargeException:http://internal.amazon.com/coral/", LimitError),
        (429, "TooManyRequestsException", BackendError),
        (403, "AccessDeniedException", BackendError),
    ],
)
def test_it_says_of_a_refusal_what_boto3_says(lambda_stub, both, status, kind, error):
    lambda_stub.refuse(status, kind)
    told = []
    for invoker in both:
        with pytest.raises(error) as caught:
            invoker.invoke("f", b"{}")
        told.append((str(caught.value), caught.value.hint))
    assert told[0] == told[1]


@pytest.fixture
def service():
    """A service of one thread that does to each connection what the test says."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(10)
    yield listening
    listening.close()


def invoker_at(listening):
    return LambdaInvoker(f"http://127.0.0.1:{listening.getsockname()[1]}", patience=QUICK)


def answered(connection, body=b"1", more=""):
    while b"{}" not in connection.recv(65536):
        pass
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body)


def serve(listening, *steps):
    thread = threading.Thread(target=lambda: [step(listening) for step in steps], daemon=True)
    thread.start()
    return thread


def test_a_connection_is_kept_for_the_next_call(service):
    def two_calls(listening):
        with listening.accept()[0] as connection:
            answered(connection)
            answered(connection, b"2" * 200_000)

    serving = serve(service, two_calls)
    invoker = invoker_at(service)
    assert invoker.invoke("f", b"{}").payload == b"1"
    assert invoker.invoke("f", b"{}").payload == b"2" * 200_000
    serving.join(10)


def test_a_kept_connection_that_was_closed_meanwhile_costs_no_call(service):
    closed = threading.Event()

    def one_call(listening):
        with listening.accept()[0] as connection:
            answered(connection)
        closed.set()

    def one_more(listening):
        with listening.accept()[0] as connection:
            answered(connection, b"2", "Connection: close\r\n")

    serve(service, one_call, one_more, one_more)
    invoker = invoker_at(service)
    assert invoker.invoke("f", b"{}").payload == b"1"
    assert closed.wait(10)
    assert [invoker.invoke("f", b"{}").payload for _ in range(2)] == [b"2", b"2"]


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nContent-Len", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
def test_an_answer_that_breaks_off_is_not_asked_for_again(service, start):
    def broken(listening):
        with listening.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(start)

    serve(service, broken)
    with pytest.raises(BackendError, match="broke while f ran"):
        invoker_at(service).invoke("f", b"{}")


def test_what_is_no_http_is_said_too(service):
    def odd(listening):
        with listening.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")

    serve(service, odd)
    with pytest.raises(BackendError, match="broke while f ran"):
        invoker_at(service).invoke("f", b"{}")
