"""What a boto3 client sends: counted, refused, delayed, or answered and the answer lost.

`Wire(client)` hears of each request before it is sent, by botocore's event `before-send`, and so of each retry.
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


@dataclass
class _Planned:
    operation: str
    fault: Callable[[Any], Any]
    after: int


class Wire:
    """The requests of one client. Thread-safe."""

    def __init__(self, client: Any) -> None:
        from botocore.httpsession import URLLib3Session

        self.sent: list[Sent] = []
        self._http = URLLib3Session()  # for what is sent here, because its answer is to be lost
        self._faults: list[_Planned] = []
        self._lock = threading.Lock()
        self._events = client.meta.events
        self._events.register("before-send", self._take, unique_id=f"wire {id(self)}")

    @property
    def operations(self) -> Counter[str]:
        """How many requests of each operation were sent."""
        return Counter(sent.operation for sent in self.sent)

    def refuse(
        self, operation: str, code: str, *, times: int = 1, after: int = 0, status: int = 400, **said: Any
    ) -> None:
        """Answer requests of an operation ("" = any) with an error, without sending them; `after` so many others."""
        body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code, **said})
        self._plan(operation, times, lambda request: _answer(request, status, body.encode()), after)

    def first(self, operation: str, action: Callable[[], Any], *, after: int = 0) -> None:
        """Do something before a request of an operation is sent."""

        def act(_: Any) -> None:
            action()

        self._plan(operation, 1, act, after)

    def answer(self, operation: str, status: int, body: bytes, *, times: int = 1) -> None:
        """Answer the next requests with this, without sending them."""
        self._plan(operation, times, lambda request: _answer(request, status, body))

    def lose_answers(self, operation: str, *, times: int = 1) -> None:
        """Send the next requests of an operation, and break the connection before their answers come."""
        from botocore.exceptions import ConnectionClosedError

        def lost(request: Any) -> Any:
            self._http.send(request)
            raise ConnectionClosedError(endpoint_url=request.url)

        self._plan(operation, times, lost)

    def cut(self, operation: str, *, times: int = 1) -> None:
        """Break the connection before the next requests of an operation are sent."""
        from botocore.exceptions import ConnectionClosedError

        def refused(request: Any) -> Any:
            raise ConnectionClosedError(endpoint_url=request.url)

        self._plan(operation, times, refused)

    def _take(self, request: Any, **_: Any) -> Any:
        """Return an answer in place of the real one, None to have botocore send the request, or raise what it would."""
        sent = _seen(request)
        with self._lock:
            self.sent.append(sent)
            fault = self._due(sent.operation)
        return fault(request) if fault is not None else None

    def _due(self, operation: str) -> Callable[[Any], Any] | None:
        for planned in self._faults:
            if planned.operation in ("", operation):
                if planned.after:
                    planned.after -= 1
                    return None
                self._faults.remove(planned)
                return planned.fault
        return None

    def off(self) -> None:
        """Stand aside."""
        self._events.unregister("before-send", unique_id=f"wire {id(self)}")
        self._http.close()

    def _plan(self, operation: str, times: int, fault: Callable[[Any], Any], after: int = 0) -> None:
        with self._lock:
            self._faults += [_Planned(operation, fault, after if not number else 0) for number in range(times)]


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


class Meter:
    """What DynamoDB says each call of a client consumes, in capacity units: reads, writes and indexes together."""

    _METERED = ("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems")

    def __init__(self, client: Any) -> None:
        self.units: list[float] = []
        self._events = client.meta.events
        for operation in self._METERED:
            self._events.register(
                f"before-parameter-build.dynamodb.{operation}", _ask, unique_id=f"ask {operation} {id(self)}"
            )
            self._events.register(
                f"after-call.dynamodb.{operation}", self._note, unique_id=f"note {operation} {id(self)}"
            )

    def off(self) -> None:
        """Ask no more."""
        for operation in self._METERED:
            self._events.unregister(
                f"before-parameter-build.dynamodb.{operation}", unique_id=f"ask {operation} {id(self)}"
            )
            self._events.unregister(f"after-call.dynamodb.{operation}", unique_id=f"note {operation} {id(self)}")

    def _note(self, parsed: dict[str, Any], **_: Any) -> None:
        consumed = parsed.get("ConsumedCapacity", [])
        for one in consumed if isinstance(consumed, list) else [consumed]:
            self.units.append(float(one["CapacityUnits"]))


def _ask(params: dict[str, Any], **_: Any) -> None:
    params["ReturnConsumedCapacity"] = "TOTAL"
