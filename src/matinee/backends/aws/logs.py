"""Log lines on AWS: a worker prints them as JSON, CloudWatch keeps them, and they are read back by run.

One log group per predictor, named as its function or its definition is.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from matinee import log_lines
from matinee.backends.aws.errors import explained
from matinee.backends.aws.session import Session
from matinee.lambda_api.sdk import code_of
from matinee.ports import LogLine
from matinee.runs import Run

MAX_LINES = 10_000  # of one run that are read
MARGIN_S = 300.0  # around the run's own times: clocks differ, and a line may be shipped late
_SILENT_PAGES = 200  # pages without a line, one after another, before the search is given up


def log_group(prefix: str, predictor: str) -> str:
    """Return the log group of a predictor, as in "/matinee/matinee-app-dev-plan"."""
    return f"/matinee/{prefix}{predictor}"


class StreamLogs:
    """Writes log lines to this process's output (`stream`), one JSON object a line: what the log driver ships."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream

    def write(self, lines: Iterable[LogLine]) -> None:
        """Print the lines; OSError when nobody takes them."""
        stream = self._stream or sys.stdout
        stream.write("".join(_encode(line) for line in lines))
        stream.flush()


class CloudWatchLogs:
    """Implements `ports.Logs`. `run_of` finds a run: its predictor names the log group, its times bound the search."""

    def __init__(self, session: Session, run_of: Callable[[str], Run | None], *, prefix: str) -> None:
        self._session = session
        self._run_of = run_of
        self._prefix = prefix

    def read(self, run_id: str) -> list[LogLine]:
        """Return the run's lines in order, MAX_LINES at most; none for a run that wrote nothing or is unknown."""
        run = self._run_of(run_id)
        if run is None or not _is_name(run_id):
            return []
        lines = [line for event in self._events(run) if (line := decode(event)).run_id == run_id]
        return sorted(lines, key=lambda line: line.at)  # stable: lines of one moment stay as they came

    def _events(self, run: Run) -> list[dict[str, Any]]:
        request, found, silent = self._request(run), list[dict[str, Any]](), 0
        while len(found) < MAX_LINES and silent < _SILENT_PAGES:
            page = page_of(self._session, request)
            found += page.get("events", [])
            silent = 0 if page.get("events") else silent + 1  # a page may be empty although others follow
            if not page.get("nextToken"):
                break
            request["nextToken"] = page["nextToken"]
        return found[:MAX_LINES]

    def _request(self, run: Run) -> dict[str, Any]:
        until = (run.finished_at if run.finished_at is not None else time.time()) + MARGIN_S
        return {
            "logGroupName": log_group(self._prefix, run.predictor),
            "filterPattern": f'{{ $.run_id = "{run.id}" }}',
            "startTime": int((run.created_at - MARGIN_S) * 1000),
            "endTime": int(until * 1000),
        }


def page_of(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """Return one page of a group's events; an empty one where there is no such group."""
    group = request["logGroupName"]
    with explained(f"The log group {group}", "logs:FilterLogEvents", f"log-group:{group}"):
        try:
            page: dict[str, Any] = session.client("logs").filter_log_events(**request)
            return page
        except Exception as error:
            if code_of(error) == "ResourceNotFoundException":  # nobody has written there yet
                return {}
            raise


def events_of(session: Session, group: str, since: float, until: float | None = None) -> Iterator[dict[str, Any]]:
    """Yield a group's events of a time (epoch seconds), in order, a page at a time."""
    request: dict[str, Any] = {"logGroupName": group, "startTime": int(since * 1000)}
    if until is not None:
        request["endTime"] = int(until * 1000)
    while True:
        page = page_of(session, request)
        yield from sorted(page.get("events", []), key=lambda event: int(event["timestamp"]))
        if not page.get("nextToken"):
            return
        request["nextToken"] = page["nextToken"]


def _encode(line: LogLine) -> str:
    return log_lines.to_json(
        line.at, line.level, line.message, component=line.component, run_id=line.run_id, fields=line.fields
    )


def decode(event: dict[str, Any]) -> LogLine:
    """Return an event as a line; what is not ours is a line of no run."""
    text = str(event["message"])
    try:
        return LogLine(**log_lines.from_json(text))
    except ValueError:
        return LogLine(at=event["timestamp"] / 1000, level="INFO", message=text.rstrip("\n"))


def _is_name(run_id: str) -> bool:
    """Whether the id is one word, so that an id from outside changes no filter."""
    return run_id.replace("-", "").replace("_", "").isalnum()
