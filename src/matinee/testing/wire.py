"""What a boto3 client sends: counted, refused, delayed, or answered and the answer lost.

`Wire(client)` stands between the client and the network from then on, so retries of the SDK are seen one by one.
"""

from __future__ import annotations

import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Sent:
    """One request: its operation ("PutItem"; for S3 and Lambda the method, "PUT") and, for DynamoDB, its JSON."""

    operation: str
    url: str
    body: dict[str, Any] = field(default_factory=dict)


class Wire:
    """The requests of one client. Thread-safe."""

    def __init__(self, client: Any) -> None:
        self.sent: list[Sent] = []
        self._client = client
        self._under = client._endpoint.http_session
        self._faults: list[tuple[str, Callable[[Any], Any]]] = []
        self._lock = threading.Lock()
        client._endpoint.http_session = self

    @property
    def operations(self) -> Counter[str]:
        """How many requests of each operation were sent."""
        return Counter(sent.operation for sent in self.sent)

    def refuse(self, operation: str, code: str, *, times: int = 1, status: int = 400, **said: Any) -> None:
        """Answer the next requests of an operation ("" = any) with an error, without sending them."""
        body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code, **said})
        self._plan(operation, times, lambda request: _answer(request, status, body.encode()))

    def answer(self, operation: str, status: int, body: bytes, *, times: int = 1) -> None:
        """Answer the next requests with this, without sending them."""
        self._plan(operation, times, lambda request: _answer(request, status, body))

    def lose_answers(self, operation: str, *, times: int = 1) -> None:
        """Send the next requests of an operation, and break the connection before their answers come."""
        from botocore.exceptions import ConnectionClosedError

        def lost(request: Any) -> Any:
            self._under.send(request)
            raise ConnectionClosedError(endpoint_url=request.url)

        self._plan(operation, times, lost)

    def cut(self, operation: str, *, times: int = 1) -> None:
        """Break the connection before the next requests of an operation are sent."""
        from botocore.exceptions import ConnectionClosedError

        def refused(request: Any) -> Any:
            raise ConnectionClosedError(endpoint_url=request.url)

        self._plan(operation, times, refused)

    def send(self, request: Any) -> Any:
        """Take the place of botocore's HTTP session."""
        sent = _seen(request)
        with self._lock:
            self.sent.append(sent)
            planned = next((fault for fault in self._faults if fault[0] in ("", sent.operation)), None)
            if planned is not None:
                self._faults.remove(planned)
        return planned[1](request) if planned is not None else self._under.send(request)

    def close(self) -> None:
        """Close the session below."""
        self._under.close()

    def off(self) -> None:
        """Stand aside."""
        self._client._endpoint.http_session = self._under

    def _plan(self, operation: str, times: int, fault: Callable[[Any], Any]) -> None:
        with self._lock:
            self._faults += [(operation, fault)] * times


def _seen(request: Any) -> Sent:
    target = request.headers.get("X-Amz-Target", b"")
    name = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
    if not name:
        return Sent(request.method, request.url)
    return Sent(name, request.url, json.loads(request.body))


class _Raw(io.BytesIO):
    """The body of an answer as botocore reads it."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        """Yield all."""
        yield self.read()


def _answer(request: Any, status: int, body: bytes) -> Any:
    from botocore.awsrequest import AWSResponse

    headers = {"content-type": "application/x-amz-json-1.0", "x-amzn-requestid": "planned"}
    return AWSResponse(request.url, status, headers, _Raw(body))
