"""A function that is a Python callable of this process: the dispatcher."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from matinee.backends.local.lambda_service.job import Job

Handler = Callable[[bytes, dict[str, Any]], bytes]


class Builtin:
    """Runs `handler(payload, context)` in a thread; context has `request_id` and `custom`, the caller's own."""

    version = "$LATEST"

    def __init__(self, handler: Handler, loop: asyncio.AbstractEventLoop, executor: Executor) -> None:
        self._handler = handler
        self._loop = loop
        self._executor = executor

    def submit(self, job: Job) -> None:
        """Run the request."""
        custom = json.loads(job.client_context).get("custom") if job.client_context else None
        context = {"request_id": job.request_id, "custom": custom or {}}

        def work() -> None:
            payload, failed = self._call(job.payload, context)
            self._loop.call_soon_threadsafe(lambda: job.finish(payload, failed=failed, version=self.version))

        self._executor.submit(work)

    def _call(self, payload: bytes, context: dict[str, Any]) -> tuple[bytes, bool]:
        try:
            return self._handler(payload, context), False
        except Exception as error:  # whatever it is, it is the caller's to see
            stack = traceback.format_tb(error.__traceback__)[1:]
            problem = {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": stack}
            return json.dumps(problem).encode(), True
