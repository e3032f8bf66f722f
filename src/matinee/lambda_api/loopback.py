"""The requests that boto3 makes of the local Lambda service, sent and answered by a plain socket.

boto3 makes the request and reads the answer as it does for AWS; between the two its HTTP client costs as much again,
a tenth of a click in the UI. What answers is ours, on this machine (`backends.local.lambda_service.http`).
"""

from __future__ import annotations

import select
import socket
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

CONNECT_S = 5.0
_CHUNK = 1 << 16


class Loopback:
    """To be registered for botocore's event `before-send`, which takes an answer in place of sending. Thread-safe."""

    def __init__(self, endpoint: str, read_timeout_s: float) -> None:
        parts = urlsplit(endpoint)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._host = f"Host: {parts.netloc}\r\n"
        self._read_timeout_s = read_timeout_s
        self._idle: list[socket.socket] = []

    def __call__(self, request: Any, **_: Any) -> Any:
        """Return the answer as botocore's own client does; raises what that does."""
        from botocore.awsrequest import AWSResponse
        from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

        try:
            connection = self._kept() or self._opened()
        except OSError as error:
            raise EndpointConnectionError(endpoint_url=request.url, error=error) from error
        try:
            connection.sendall(self._written(request))
            first, headers, body = _read(connection)
            status = int(first[9:12])
        except BaseException as error:
            connection.close()
            if isinstance(error, TimeoutError):
                raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
            if isinstance(error, (OSError, ValueError)):
                raise ConnectionClosedError(endpoint_url=request.url, error=error) from error
            raise
        if first.startswith("HTTP/1.1") and headers.get("connection", "").lower() != "close":
            self._idle.append(connection)
        else:
            connection.close()
        return AWSResponse(request.url, status, headers, _Body(body))

    def _kept(self) -> socket.socket | None:
        """Return a connection that the service has not closed meanwhile: nothing is to be read from it."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took it
                return None
            look = select.poll()
            look.register(connection, select.POLLIN)
            if not look.poll(0):
                return connection
            connection.close()
        return None

    def _opened(self) -> socket.socket:
        connection = socket.create_connection(self._address, CONNECT_S)
        connection.settimeout(self._read_timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _written(self, request: Any) -> bytes:
        parts = urlsplit(request.url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        lines = (f"{name}: {_text(value)}\r\n" for name, value in request.headers.items())
        return f"{request.method} {target} HTTP/1.1\r\n{self._host}{''.join(lines)}\r\n".encode("latin-1") + (
            request.body or b""
        )


class _Body(BytesIO):
    """A body that has arrived, as botocore reads one."""

    def stream(self, **_: Any) -> list[bytes]:
        return [self.read()]


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _read(connection: socket.socket) -> tuple[str, dict[str, str], bytes]:
    """Return the first line, headers (names in lower case) and body of the answer; ValueError if it is none."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += _more(connection)
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body, size = [data[end + 4 :]], int(headers.get("content-length", "0"))
    missing = size - len(body[0])
    while missing > 0:
        body.append(_more(connection))
        missing -= len(body[-1])
    return first, headers, b"".join(body)


def _more(connection: socket.socket) -> bytes:
    more = connection.recv(_CHUNK)
    if not more:
        raise ConnectionResetError("the service closed the connection")
    return more
