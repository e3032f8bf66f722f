"""The local Lambda service called over kept connections, as boto3's client would but without it.

boto3 is made for signatures, TLS, proxies and every service there is: four fifths of what a call to the process next
door costs, and 0.4 s at the first one. AWS and its emulators are called by boto3.
"""

from __future__ import annotations

import io
import json
import select
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

_PIECE = 65536
# Arguments of boto3's `invoke` as they travel, and what its answer names what comes back.
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
_HEADERS = {
    "ClientContext": "X-Amz-Client-Context",
    "InvocationType": "X-Amz-Invocation-Type",
    "LogType": "X-Amz-Log-Type",
}
_ANSWERED = {
    "x-amz-executed-version": "ExecutedVersion",
    "x-amz-function-error": "FunctionError",
    "x-amz-log-result": "LogResult",
}


class LoopbackClient:
    """The one call of boto3's Lambda client that is needed here, thread-safe, with boto3's exceptions.

    A connection serves one call at a time and is kept for the next.
    """

    def __init__(self, endpoint: str, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        parts = urlsplit(endpoint)
        self._endpoint = endpoint
        self._host = parts.netloc
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._connect_timeout_s, self._read_timeout_s = connect_timeout_s, read_timeout_s
        self._idle: list[socket.socket] = []

    # The names are boto3's.
    def invoke(self, *, FunctionName: str, Payload: bytes, Qualifier: str = "", **arguments: str) -> dict[str, Any]:  # noqa: N803
        """Call a function; see boto3's `invoke`."""
        query = f"?Qualifier={quote(Qualifier)}" if Qualifier else ""
        lines = [
            f"POST /2015-03-31/functions/{quote(FunctionName)}/invocations{query} HTTP/1.1",
            f"Host: {self._host}",
            f"Content-Length: {len(Payload)}",
            *(f"{_HEADERS[name]}: {value}" for name, value in arguments.items()),
        ]
        status, headers, body = self._exchange("\r\n".join([*lines, "", ""]).encode("latin-1") + Payload)
        if status >= 300:
            raise _refused(status, headers, body)
        told = {name: headers[header] for header, name in _ANSWERED.items() if header in headers}
        return {"StatusCode": status, "Payload": io.BytesIO(body), **told}

    def _exchange(self, request: bytes) -> tuple[int, Mapping[str, str], bytes]:
        try:
            connection = self._take()
        except OSError as error:
            raise _failed("EndpointConnectionError", self._endpoint, error) from error
        try:
            connection.sendall(request)
            status, headers, body = _Answer(connection).read()
        except TimeoutError as error:
            connection.close()
            raise _failed("ReadTimeoutError", self._endpoint, error) from error
        except (OSError, ValueError, IndexError) as error:
            connection.close()
            raise _failed("ConnectionClosedError", self._endpoint, error) from error
        if headers.get("connection") == "close":
            connection.close()
        else:
            self._idle.append(connection)
        return status, headers, body

    def _take(self) -> socket.socket:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if _is_open(connection):
                return connection
            connection.close()
        connection = socket.create_connection(self._address, self._connect_timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(self._read_timeout_s)
        return connection


def _is_open(connection: socket.socket) -> bool:
    """Whether nobody has closed a connection that waits: all there can be to read from one is its end."""
    if not hasattr(select, "poll"):  # Windows
        return not select.select([connection], [], [], 0)[0]
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)


def _failed(kind: str, endpoint: str, error: Exception) -> Exception:
    from botocore import exceptions

    failed: Exception = getattr(exceptions, kind)(endpoint_url=endpoint, error=error)
    return failed


def _refused(status: int, headers: Mapping[str, str], body: bytes) -> Exception:
    from botocore.exceptions import ClientError

    try:
        told = json.loads(body)
    except ValueError:
        told = {}
    message = told.get("message") or told.get("Message") or "" if isinstance(told, dict) else ""
    error = {"Code": headers.get("x-amzn-errortype", "").partition(":")[0] or str(status), "Message": str(message)}
    refused: Exception = ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}, "Invoke")
    return refused


class _Answer:
    """One answer as it is read; OSError, ValueError or IndexError for what is none."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._data = b""

    def read(self) -> tuple[int, dict[str, str], bytes]:
        head, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        return int(head.split(" ", 2)[1]), headers, self._exactly(int(headers.get("content-length", 0)))

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._data:
            self._data += self._more()
        found, _, self._data = self._data.partition(mark)
        return found

    def _exactly(self, count: int) -> bytes:
        parts, missing = [self._data], count - len(self._data)
        while missing > 0:
            parts.append(self._more())
            missing -= len(parts[-1])
        data = b"".join(parts)
        self._data = data[count:]
        return data[:count]

    def _more(self) -> bytes:
        data = self._connection.recv(_PIECE)
        if not data:
            raise ConnectionResetError("the connection was closed before the answer was complete")
        return data
