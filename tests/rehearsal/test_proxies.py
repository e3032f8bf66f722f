"""What passes the proxies of the rehearsal arrives as it was sent, and what somebody plays does not pass."""

from __future__ import annotations

import http.client
import http.server
import socket
import threading

import pytest

from matinee.rehearsal.proxies import COOKIE, Entry, Front, Loop, Reply, Target

LARGE = bytes(range(256)) * 1000


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it received; the path says how the answer is framed."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.seen.append(self)
        if self.path == "/socket":
            return self.switch_protocol()
        body = self.body() or LARGE
        self.send_response(200)
        if self.path == "/chunked":
            self.protocol_version = "HTTP/1.1"
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (body[:1000], body[1000:]):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
        else:
            if self.path == "/until-close":
                self.send_header("Connection", "close")
            else:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Set-Cookie", "of=the-app")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        return None

    do_HEAD = do_PUT = do_GET

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def switch_protocol(self):
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "websocket")
        self.end_headers()
        self.wfile.write(b"first")
        self.wfile.write(self.rfile.read(4).upper())
        self.close_connection = True


class EchoHttp11(Echo):
    protocol_version = "HTTP/1.1"


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.stop()


@pytest.fixture(params=[Echo, EchoHttp11], ids=["HTTP/1.0", "HTTP/1.1"])
def server(request):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), request.param)
    server.daemon_threads = True
    server.seen = []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["front", "entry"])
def port(request, loop, server):
    if request.param == "front":
        return int(Front(loop, f"http://127.0.0.1:{server.server_port}").endpoint.rpartition(":")[2])
    return Entry(loop, lambda: [Target("one", server.server_port)]).port


@pytest.fixture
def connection(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    yield connection
    connection.close()


def ask(connection, method, path, body=None, **options):
    connection.request(method, path, body, **options)
    answer = connection.getresponse()
    return answer, answer.read()


@pytest.mark.parametrize("path", ["/sized", "/chunked", "/until-close"])
def test_an_answer_arrives_whole_however_it_is_framed(connection, path):
    answer, body = ask(connection, "GET", path)
    assert (answer.status, body) == (200, LARGE)


def test_a_body_passes_with_its_length_and_in_chunks_on_one_connection(connection, server):
    for body in (b"x", LARGE, iter([LARGE, LARGE])):
        expected = 2 * LARGE if not isinstance(body, bytes) else body
        chunked = not isinstance(body, bytes)
        answer, echoed = ask(connection, "PUT", "/sized", body, encode_chunked=chunked)
        assert (answer.status, echoed) == (200, expected)


def test_headers_pass_as_they_were_sent(connection, server):
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=k/20261130/eu/s3/aws4_request", "X-Name": "Zoë"}
    ask(
        connection,
        "GET",
        "/sized?a=1&b=%20",
        headers={name: value.encode("latin-1") for name, value in headers.items()},
    )
    [seen] = server.seen
    assert seen.path == "/sized?a=1&b=%20"
    assert {name: seen.headers[name] for name in headers} == headers


def test_an_answer_to_head_has_a_length_and_no_body(connection):
    answer, body = ask(connection, "HEAD", "/sized")
    assert (answer.headers["Content-Length"], body) == (str(len(LARGE)), b"")
    assert ask(connection, "PUT", "/sized", b"next")[1] == b"next"


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"PUT /sized HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"ok")
        assert client.makefile("rb").readline().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("request_bytes", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n"])
def test_what_is_not_http_ends_the_connection_and_nothing_passes(port, server, request_bytes):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(request_bytes)
        assert client.recv(1000) == b""
    assert server.seen == []


# --- one proxy alone ----------------------------------------------------------------------------------------------


def test_what_a_player_answers_never_reaches_the_emulator(loop, server):
    class Player:
        def wants(self, call):
            return call.head.target == "/played"

        def play(self, call):
            return Reply(418, call.body.upper(), {"x-played": "yes"}) if call.body == b"tea" else None

    front = Front(loop, f"http://127.0.0.1:{server.server_port}", [Player()])
    connection = http.client.HTTPConnection(front.endpoint.removeprefix("http://"), timeout=10)
    answer, body = ask(connection, "PUT", "/played", b"tea")
    assert (answer.status, body, answer.headers["x-played"]) == (418, b"TEA", "yes")
    assert ask(connection, "PUT", "/played", b"coffee")[1] == b"coffee", "the emulator answers what nobody plays"
    assert len(server.seen) == 1
    connection.close()


def test_the_entry_keeps_a_browser_with_its_task_and_says_who_asks(loop, server):
    entry = Entry(loop, lambda: [Target("one", server.server_port), Target("two", server.server_port)])
    connection = http.client.HTTPConnection("127.0.0.1", entry.port, timeout=10)
    answer, _ = ask(connection, "GET", "/sized", headers={"X-Forwarded-For": "1.2.3.4"})
    cookies = answer.headers.get_all("Set-Cookie")
    assert cookies[0] == "of=the-app"
    assert cookies[1].startswith(f"{COOKIE}=one;")
    assert server.seen[0].headers.get_all("X-Forwarded-For") == ["127.0.0.1"]
    answer, _ = ask(connection, "GET", "/sized", headers={"Cookie": f"{COOKIE}=one"})
    assert answer.headers.get_all("Set-Cookie") == ["of=the-app"]
    connection.close()


def test_the_entry_says_when_nobody_serves_the_app(loop):
    entry = Entry(loop, list)
    answer, body = ask(http.client.HTTPConnection("127.0.0.1", entry.port, timeout=10), "GET", "/")
    assert answer.status == 503
    assert b"Nobody serves this app yet" in body


@pytest.mark.parametrize("server", [EchoHttp11], indirect=True)
def test_after_an_upgrade_bytes_pass_both_ways(loop, server):
    port = Entry(loop, lambda: [Target("one", server.server_port)]).port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        # the first bytes of the new protocol come in one piece with the request
        client.sendall(b"GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nping")
        received = client.makefile("rb").read()
    assert received.startswith(b"HTTP/1.1 101 ")
    assert received.endswith(b"\r\n\r\nfirstPING")
