"""Connections to the local Lambda service are kept while it keeps them; what breaks is said as boto3 says it."""

from __future__ import annotations

import socket
import threading

import pytest

from matinee.errors import BackendError
from matinee.lambda_api.invoker import LambdaInvoker

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n"hello"'


class Service:
    """Answers with what a test gives it, byte by byte as given; None closes the connection."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.answers, self.connections, self.closed = [], 0, threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            while b"\r\n\r\n" in connection.recv(65536):
                for part in self.answers.pop(0):
                    if part is None:
                        connection.close()
                        self.closed.set()
                        return
                    connection.sendall(part)

    def end(self):
        self._listener.close()


@pytest.fixture
def service():
    service = Service()
    yield service
    service.end()


@pytest.fixture
def invoker(service):
    return LambdaInvoker(service.endpoint, secret="any")


def test_one_connection_serves_one_call_after_the_other(service, invoker):
    service.answers += [[ANSWER]] * 5
    assert [invoker.invoke("echo", b"{}").payload for _ in range(5)] == [b'"hello"'] * 5
    assert service.connections == 1


def test_an_answer_may_come_in_any_pieces(service, invoker):
    service.answers.append([ANSWER[i : i + 1] for i in range(len(ANSWER))])
    assert invoker.invoke("echo", b"{}").payload == b'"hello"'


def test_a_connection_that_was_closed_meanwhile_is_not_used_again(service, invoker):
    service.answers += [[ANSWER, None], [ANSWER]]
    invoker.invoke("echo", b"{}")
    assert service.closed.wait(10)
    assert invoker.invoke("echo", b"{}").payload == b'"hello"'
    assert service.connections == 2


@pytest.mark.parametrize(
    "closing", [ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), ANSWER.replace(b"/1.1", b"/1.0")]
)
def test_a_connection_that_the_service_says_it_closes_is_not_kept(service, invoker, closing):
    service.answers += [[closing], [ANSWER]]
    for _ in range(2):
        invoker.invoke("echo", b"{}")
    assert service.connections == 2


@pytest.mark.parametrize("answer", [[None], [ANSWER[:20], None], [ANSWER[:-3], None], [b"nonsense\r\n\r\n"]])
def test_an_answer_that_is_cut_short_or_none_at_all_is_one_sentence(service, invoker, answer):
    service.answers.append(answer)
    with pytest.raises(BackendError, match=f"The connection to {service.endpoint} broke while echo ran"):
        invoker.invoke("echo", b"{}")
    service.answers.append([ANSWER])
    assert invoker.invoke("echo", b"{}").payload == b'"hello"', "the next call has a connection of its own"
