"""A scripted HTTP server in the place of Lambda: it answers what the test says, in turn."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Scripted:
    """Answers (status, body, headers) in turn, the last one for ever; keeps the requests."""

    def __init__(self):
        self.answers = []
        self.requests = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                scripted.requests.append((self.path, dict(self.headers), body))
                status, answer, headers = scripted.answers.pop(0) if len(scripted.answers) > 1 else scripted.answers[0]
                if status == "hang up":
                    self.close_connection = True
                    return
                data = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self.server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def refuse(self, status, kind, message="no"):
        self.answers.append((status, {"Type": "User", "message": message}, {"x-amzn-errortype": kind}))

    def answer(self, value, **headers):
        self.answers.append((200, value, {name.replace("_", "-"): text for name, text in headers.items()}))


@pytest.fixture
def lambda_stub():
    scripted = Scripted()
    yield scripted
    scripted.server.shutdown()
    scripted.server.server_close()
