"""`matinee logs`: what all parts of an app wrote, in the order of time; of the app here, or of a deployed stage.

Here the lines are in `.matinee/logs`; on a stage each part has a log group of its own in CloudWatch.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from matinee.access.events import ACCESS
from matinee.backends.aws.logs import decode, events_of
from matinee.backends.aws.session import Session
from matinee.backends.local.logs import FolderLogs
from matinee.client.connect import session_on
from matinee.client.core import Client
from matinee.errors import NotFoundError
from matinee.manifest import Release
from matinee.names import Names
from matinee.operate.runs import found, reader
from matinee.ports import LogLine
from matinee.project.fields import nearest
from matinee.project.load import load
from matinee.project.model import Project
from matinee.settings import DISPATCHER

# What people call the parts that are nobody's predictor.
UI, SHORT_DISPATCHER, SHORT_ACCESS = "ui", "dispatcher", "access"
POLL_HERE_S, POLL_STAGE_S = 0.3, 2.0
LATE_S = 30.0  # CloudWatch may show a line that much later than others of its time
_PLATFORM = ("START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "INIT_START", "RESTORE_")  # Lambda's own


@dataclass(frozen=True)
class Which:
    """Which lines. `name`: of one predictor, component or part ("" = all); `since` in epoch seconds."""

    name: str = ""
    run_id: str = ""
    since: float = 0.0
    follow: bool = False
    wait: Callable[[float], None] = field(default=time.sleep, compare=False)  # between two looks, for tests to replace


def read_logs(app: Path, which: Which, *, stage: str = "") -> Iterator[LogLine]:
    """Yield lines in the order of time, `component` saying who wrote each; with `follow` without end.

    Raises NotFoundError for a name or a run that there is not.
    """
    project = load(app)
    with reader(app, stage) as client:
        if client is None:
            raise NotFoundError("This app has written nothing yet.", hint="Start it: matinee dev")
        release = client.backend.store.release()
        if which.run_id:
            yield from _of_run(client, which, POLL_STAGE_S if stage else POLL_HERE_S)
        elif stage:
            yield from _on_stage(project, stage, release, which)
        else:
            yield from _here(project, client, release, which)


def _of_run(client: Client, which: Which, poll_s: float) -> Iterator[LogLine]:
    """Yield what one run wrote; with `follow` until it has ended."""
    seen, run = 0, found(client, which.run_id)[1]
    while True:
        run = client.run(run.id)
        lines = client.logs(run.id)
        for line in lines[seen:]:
            if line.at >= which.since:
                yield replace(line, component=run.predictor)
        seen = max(seen, len(lines))
        if not which.follow or run.status.is_final:
            return
        which.wait(poll_s)


# --- logs of a local app --------------------------------------------------------------------------------------------


def _here(project: Project, client: Client, release: Release | None, which: Which) -> Iterator[LogLine]:
    names_read = _names_here(release, which.name)
    logs, offsets, predictors = FolderLogs(project.data / "logs"), dict[Path, int](), dict[str, str]()
    while True:
        for line in logs.new_lines(offsets, which.since):
            named = _named(line, client, predictors)
            if not names_read or {named.component, line.component} & names_read:
                yield named
        if not which.follow:
            return
        which.wait(POLL_HERE_S)


def _names_here(release: Release | None, name: str) -> set[str]:
    """Return the names whose lines are asked for, () for all of them."""
    components = {c.name: [p.name for p in c.predictors] for c in (release.components if release else ())}
    known = {SHORT_ACCESS, *components, *(p for names in components.values() for p in names)}
    if name and name not in known:
        raise _unknown(name, known)
    is_own = name == SHORT_ACCESS and name not in components
    return {ACCESS} if is_own else {name, *components.get(name, ())} if name else set()


def _named(line: LogLine, client: Client, predictors: dict[str, str]) -> LogLine:
    """Return the line with its run's predictor as who wrote it: a worker's line names its component alone."""
    if line.run_id and line.run_id not in predictors:
        run = client.backend.store.run(line.run_id)  # None while a realtime run is not recorded
        predictors[line.run_id] = run.predictor if run else line.component
    return replace(line, component=predictors.get(line.run_id) or line.component)


# --- logs of a stage ------------------------------------------------------------------------------------------------


def _on_stage(project: Project, stage: str, release: Release | None, which: Which) -> Iterator[LogLine]:
    names, session = session_on(project, stage)
    try:
        groups = _groups(names, release, which.name)
        if which.follow:
            yield from _followed(session, groups, which)
        else:
            yield from _merged(session, groups, which.since, None)
    finally:
        session.close()


def _groups(names: Names, release: Release | None, name: str) -> dict[str, str]:
    """Return the log groups that are asked for, by what people call their part."""
    parts = {UI: UI, SHORT_DISPATCHER: DISPATCHER}
    components = {c.name: [p.name for p in c.predictors] for c in (release.components if release else ())}
    parts |= {p: p for predictors in components.values() for p in predictors}
    if name == SHORT_ACCESS and name not in {*parts, *components}:  # the UI writes them among its own
        return {ACCESS: names.log_group(UI)}
    known = {SHORT_ACCESS, *parts, *components}
    if name and name not in known:
        raise _unknown(name, known)
    names_read = [name] if name in parts else components.get(name, list(parts))
    return {part: names.log_group(parts[part]) for part in names_read}


def _merged(session: Session, groups: Mapping[str, str], since: float, until: float | None) -> Iterator[LogLine]:
    """Yield the lines of all groups in the order of time, holding a page of each."""
    streams = [_lines(session, part, group, since, until) for part, group in groups.items()]
    yield from (line for _, line in heapq.merge(*streams, key=lambda item: item[1].at))


def _lines(session: Session, part: str, group: str, since: float, until: float | None) -> Iterator[tuple[str, LogLine]]:
    for event in events_of(session, group, since, until):
        message = str(event["message"])
        if message.strip() and not message.startswith(_PLATFORM):
            line = decode(event)
            if part == ACCESS and line.component != ACCESS:
                continue
            # by the time CloudWatch has of it: a worker's clock may differ, and the order must be one
            yield str(event["eventId"]), replace(line, at=event["timestamp"] / 1000, component=part)


def _followed(session: Session, groups: Mapping[str, str], which: Which) -> Iterator[LogLine]:
    """Yield what there is, then look again and again; a line that shows late is given late, and none twice."""
    seen: dict[str, float] = {}
    since = which.since
    while True:
        fresh = []
        for part, group in groups.items():
            fresh += [item for item in _lines(session, part, group, since, None) if item[0] not in seen]
        for event_id, line in sorted(fresh, key=lambda item: item[1].at):
            seen[event_id] = line.at
            yield line
        newest = max(seen.values(), default=since)
        since = max(since, newest - LATE_S)
        seen = {event_id: at for event_id, at in seen.items() if at >= since - 1}
        which.wait(POLL_STAGE_S)


def _unknown(name: str, known: set[str]) -> NotFoundError:
    return NotFoundError(
        f"Nothing here is called {name!r}.", hint=nearest(name, known) or f"There is: {', '.join(sorted(known))}."
    )
