"""What is on the wire of a webhook: TLS by the name's own certificate, and an end to whoever answers too slowly."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest

from matinee.notices import webhook
from matinee.notices.subscriptions import Message, NotSentError
from matinee.notices.webhook import WebhookSender
from matinee.project.sections import Notices
from matinee.runs import Run, Status, new_run_id

RUN = Run(new_run_id(1.0), "plan", "batch", "ana", Status.SUCCEEDED, {}, 1.0)
SECRET = "whsec_c2VjcmV0"


def message(url: str) -> Message:
    return Message("notice-1", "ana", url, RUN, "", 1.0)


def send(url: str) -> None:
    settings = Notices(private_addresses=True, webhook_ports=(urlsplit(url).port or 0,))
    WebhookSender(lambda _user: SECRET, settings).send(message(url))


@pytest.fixture
def secured(tmp_path):
    """A receiver with a certificate for localhost alone; its port, and the certificate."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1"]
    subprocess.run([*command, "-keyout", key, "-out", cert, *names], check=True, capture_output=True, timeout=30)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server.server_address[1], cert
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")
def test_a_certificate_is_checked_for_the_name_that_was_given(secured, monkeypatch):
    port, cert = secured
    with pytest.raises(NotSentError, match="certificate"):
        send(f"https://localhost:{port}/")
    trusting = ssl.create_default_context(cafile=cert)
    monkeypatch.setattr(webhook.ssl, "create_default_context", lambda: trusting)
    send(f"https://localhost:{port}/")
    with pytest.raises(NotSentError, match="certificate"):
        send(f"https://127.0.0.1:{port}/")


def test_who_answers_a_byte_at_a_time_is_left_in_the_end(monkeypatch):
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.5)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                while not ended.wait(0.05):
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        started = time.monotonic()
        with pytest.raises(NotSentError):
            send(f"http://127.0.0.1:{server.getsockname()[1]}/")
        assert time.monotonic() - started < 5
        ended.set()
        thread.join()
