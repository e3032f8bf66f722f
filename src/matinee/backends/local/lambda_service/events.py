"""Invocations nobody waits for: retried as AWS does, from memory.

A failed one is run twice more, after 1 and 2 minutes; one that found no room is tried again for up to 6 hours.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from matinee.backends.local.lambda_service.job import Answer, Job

RETRY_DELAYS_S = (60.0, 120.0)
_THROTTLED_MAX_S = 300.0
_THROTTLED_TOTAL_S = 6 * 3600.0

Submit = Callable[[Job], None]


@dataclass
class _Event:
    payload: bytes
    client_context: str
    submit: Submit
    failures: int = 0
    throttled_delay_s: float = 1.0
    throttled_total_s: float = 0.0


class Events:
    """Runs events; `submit` finds the function anew at each try, as it may have been replaced."""

    def __init__(self, loop: asyncio.AbstractEventLoop, retry_delays_s: tuple[float, ...] = RETRY_DELAYS_S) -> None:
        self._loop = loop
        self._delays = retry_delays_s

    def add(self, payload: bytes, client_context: str, submit: Submit) -> str:
        """Take an event and return its request id."""
        return self._try(_Event(payload, client_context, submit))

    def _try(self, event: _Event) -> str:
        job = Job(event.payload, lambda answer: self._after(event, answer), client_context=event.client_context)
        event.submit(job)
        return job.request_id

    def _after(self, event: _Event, answer: Answer) -> None:
        if answer.rejected == "throttled" and event.throttled_total_s < _THROTTLED_TOTAL_S:
            delay = event.throttled_delay_s
            event.throttled_delay_s = min(delay * 2, _THROTTLED_MAX_S)
            event.throttled_total_s += delay
        elif answer.failed and event.failures < len(self._delays):
            delay = self._delays[event.failures]
            event.failures += 1
        else:
            return
        self._loop.call_later(delay, self._try, event)
