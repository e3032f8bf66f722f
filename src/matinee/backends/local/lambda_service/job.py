"""One request to a function on its way through the service, and what becomes of it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

MAX_RESPONSE_BYTES = 6_291_556  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_LOG_TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a job: `failed` says the payload is an error; `rejected` why it was never run ("throttled", …)."""

    payload: bytes
    failed: bool = False
    rejected: str = ""
    version: str = ""
    log_tail: bytes = b""


class Job:
    """A request that waits or runs. `done` is called once, on the service's loop."""

    __slots__ = (
        "_done",
        "_log",
        "client_context",
        "is_over",
        "log_wanted",
        "payload",
        "request_id",
        "run_id",
        "submitted_at",
    )

    def __init__(
        self, payload: bytes, done: Callable[[Answer], None], *, client_context: str = "", log_wanted: bool = False
    ) -> None:
        self.payload = payload
        self.client_context = client_context
        self.log_wanted = log_wanted
        self.request_id = new_request_id()
        self.run_id = _run_of(client_context) or self.request_id
        self.submitted_at = time.monotonic()
        self.is_over = False
        self._done = done
        self._log = b""

    def log(self, text: str) -> None:
        """Keep the last of what is logged, for who asked for the tail."""
        if self.log_wanted:
            self._log = (self._log + text.encode())[-_LOG_TAIL_BYTES:]

    def abandon(self) -> None:
        """Nobody waits for it any more: not run if it has not begun, as there is no one to tell."""
        self.is_over = True

    def finish(self, payload: bytes, *, failed: bool = False, rejected: str = "", version: str = "") -> None:
        """Answer, unless it is answered."""
        if not self.is_over:
            self.is_over = True
            done, self._done = self._done, _nobody  # `done` mostly refers to the job: let go of both, and the payload
            done(Answer(payload, failed, rejected, version, self._log))


def _nobody(answer: Answer) -> None:
    """Answered already."""


def new_request_id() -> str:
    """Return a random UUID (version 4), without the cost of the uuid module."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def error_payload(kind: str, message: str) -> bytes:
    """Return an error as Lambda writes it."""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def _run_of(client_context: str) -> str:
    if not client_context:
        return ""
    custom = json.loads(client_context).get("custom")
    return str(custom.get("run") or "") if isinstance(custom, dict) else ""
