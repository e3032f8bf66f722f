"""What workloads print, carried to the log groups their templates name, with the permissions of their roles.

Fargate writes as the execution role and Lambda as the function's own. A stream that cannot be made keeps a task from
starting, as on AWS; lines that cannot be written are lost, as on AWS, and said once.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import defaultdict
from typing import Any

from matinee.ops.rehearse.credentials import Clients, Credentials

_EVERY_S = 0.25
_AT_ONCE = 1000

log = logging.getLogger(__name__)


class LogCarrier:
    """One thread for all streams; `open` makes a stream, `write` is quick and safe from any thread."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._lines: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        self._writers: dict[tuple[str, str], Credentials] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.refused: list[str] = []
        self._thread = threading.Thread(target=self._run, name="rehearsal-logs", daemon=True)
        self._thread.start()

    def open(self, group: str, stream: str, who: Credentials) -> None:
        """Make the stream as this caller; ClientError when it may not, or there is no such group."""
        client = self._clients("logs", who)
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_stream(logGroupName=group, logStreamName=stream)
        self._writers[group, stream] = who

    def write(self, group: str, stream: str, line: str) -> None:
        """Keep a line; empty ones are none, to CloudWatch."""
        if line:
            with self._lock:
                self._lines[group, stream].append({"timestamp": int(time.time() * 1000), "message": line})

    def stop(self) -> None:
        """Write what is left."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        with self._lock:
            waiting, self._lines = self._lines, defaultdict(list)
        for (group, stream), events in waiting.items():
            for start in range(0, len(events), _AT_ONCE):
                self._put(group, stream, events[start : start + _AT_ONCE])

    def _put(self, group: str, stream: str, events: list[dict[str, Any]]) -> None:
        who = self._writers.get((group, stream))
        if who is None:
            return
        try:
            self._clients("logs", who).put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        except Exception as error:  # the group may be gone with its stack: nobody reads it then
            if not any(group in said for said in self.refused):
                self.refused.append(f"{group}: {error}")
                log.warning("Lines of %s could not be written: %s", group, error)
