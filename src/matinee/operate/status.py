"""`matinee status`: is it well, what is live, who waits, what failed last; of the app here, or of a deployed stage.

release → versions · queues and workers from the store · on a stage its parts, as AWS tells them (`status_aws`)
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from matinee.backends.local.dev_record import running_dev
from matinee.client.connect import session_on
from matinee.client.core import Client
from matinee.deploy.cloud import Cloud, open_cloud
from matinee.deploy.publish import PATH
from matinee.deploy.stack_state import USABLE, describe
from matinee.errors import MatineeError, NotFoundError
from matinee.manifest import Release
from matinee.operate.runs import reader
from matinee.operate.ui_process import answers
from matinee.ports import RunQuery
from matinee.project.aws import Aws
from matinee.project.load import load
from matinee.project.model import Project
from matinee.runs import Run, Status
from matinee.settings import DISPATCHER

State = Literal["ok", "asleep", "attention", "down", "unknown"]
ERRORS = 5
COUNTED = 1000
UI_TIMEOUT_S = 3.0
LONG_S = 900.0  # a run that waits longer than this is worth a word; the alarm of the stage says the same


@dataclass(frozen=True)
class Part:
    """Something that is to work. `hint` says what to do when it does not."""

    name: str
    state: State
    text: str
    hint: str = ""


@dataclass(frozen=True)
class Version:
    """A live component. `problem` is why it does not load, "" if it does."""

    component: str
    label: str
    predictors: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True)
class Queue:
    """One batch predictor's queue and its workers. `note` says why nothing starts; `oldest_s` how long one waits.

    No more than COUNTED runs are counted.
    """

    predictor: str
    waiting: int
    running: int
    workers: int
    max_workers: int
    oldest_s: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Cost:
    """What AWS has billed since the first of the month; `usd` is None where it does not say, `text` why."""

    usd: float | None
    text: str = ""


@dataclass(frozen=True)
class AppStatus:
    """An app as it is. `release` is 0 and `parts` say so while nothing is live."""

    app: str
    stage: str  # "" = here
    url: str
    release: int
    released_at: float
    parts: tuple[Part, ...]
    versions: tuple[Version, ...]
    queues: tuple[Queue, ...]
    errors: tuple[Run, ...]
    cost: Cost | None = None

    @property
    def is_well(self) -> bool:
        """Whether nothing is down."""
        return all(part.state != "down" for part in self.parts)


def status_of(app: Path, *, stage: str = "", with_cost: bool = False) -> AppStatus:
    """Return the status. With `with_cost` Cost Explorer is asked, which AWS charges $0.01 for.

    Raises NotFoundError for a stage on which nothing is deployed, BackendError without credentials.
    """
    project = load(app)
    with reader(app, stage) as client:
        release = client.backend.store.release() if client else None
        queues = _queues(client, release) if client and release else ()
        errors = _errors(client) if client else ()
    parts, url, cost = _on_stage(project, stage, release, with_cost) if stage else _here(project, release)
    return AppStatus(
        project.name,
        stage,
        url,
        release.number if release else 0,
        release.created_at if release else 0.0,
        (*parts, *_troubles(release, queues)),
        _versions(release),
        queues,
        errors,
        cost,
    )


def _here(project: Project, release: Release | None) -> tuple[tuple[Part, ...], str, None]:
    dev = running_dev(project.data)
    if dev is None:
        return (Part("dev", "asleep", "`matinee dev` does not run on this app."),), "", None
    live = "" if release else " and nothing is live yet"
    parts = [Part("dev", "ok", f"`matinee dev` runs (process {dev.pid}){live}.")]
    if dev.url:
        parts.append(_ui_here(dev.url))
    return tuple(parts), dev.url, None


def _ui_here(url: str) -> Part:
    if answers(url, UI_TIMEOUT_S):
        return Part("ui", "ok", f"It answers at {url}.")
    hint = "`matinee dev` starts it again by itself when it ends; its lines there say why."
    return Part("ui", "down", f"It does not answer at {url}.", hint)


def _on_stage(
    project: Project, stage: str, release: Release | None, with_cost: bool
) -> tuple[tuple[Part, ...], str, Cost | None]:

    cloud = cloud_of(project, stage)
    try:
        url = release.aws.url if release else ""
        parts = parts_of_stage(cloud, project.for_stage(stage).aws, release)
        return parts, url, cost_of_stage(cloud) if with_cost else None
    finally:
        cloud.session.close()


def _versions(release: Release | None) -> tuple[Version, ...]:
    return tuple(
        Version(c.name, c.label, tuple(p.name for p in c.predictors), c.trouble.message if c.trouble else "")
        for c in (release.components if release else ())
    )


def _queues(client: Client, release: Release) -> tuple[Queue, ...]:
    """Return the queue of each batch predictor, and of realtime ones whose rows are being worked off."""
    busy = set(client.backend.store.pools())
    shown = [p for p in release.predictors if p.kind == "batch" or p.name in busy]
    return tuple(_queue(client, p.name, p.resources.max_workers) for p in shown)


def _queue(client: Client, predictor: str, max_workers: int) -> Queue:
    store, now = client.backend.store, time.time()
    entries, pool = store.entries(predictor, COUNTED), store.pool(predictor)
    held = {entry.run_id for entry in store.leased(predictor)}
    waiting = [entry.run_id for entry in entries if entry.run_id not in held]
    oldest = store.run(min(waiting)) if waiting else None  # ids sort by time
    oldest_s = now - oldest.created_at if oldest else 0.0
    return Queue(predictor, len(waiting), len(held), len(pool.slots), max_workers, max(0.0, oldest_s), pool.note)


def _troubles(release: Release | None, queues: tuple[Queue, ...]) -> tuple[Part, ...]:
    """Return what the store knows to be wrong: components that do not load, runs that wait too long."""
    parts = [
        Part(c.name, "down", f"It does not load: {c.trouble.message}", c.trouble.hint)
        for c in (release.components if release else ())
        if c.trouble
    ]
    for queue in queues:
        if queue.oldest_s > LONG_S or (queue.note and queue.waiting):
            why = queue.note or "its workers are busy, or none starts"
            text = f"A run has been waiting for {queue.oldest_s / 60:.0f} min: {why}"
            parts.append(Part(queue.predictor, "attention", text, f"matinee logs {queue.predictor} --since 1h"))
    return tuple(parts)


def _errors(client: Client) -> tuple[Run, ...]:
    return tuple(client.runs(RunQuery(statuses=frozenset({Status.FAILED}), limit=ERRORS)))


# --- the status of a stage --------------------------------------------------------------------------------------------
# The parts of a deployed stage, as AWS tells them: stacks, UI, functions; and what was billed this month.
#
# A question that may not be asked makes its part "unknown" and leaves the others.

Json = Any
LIVE = "live"
ANSWER_S = 5.0  # how long an address may take
UI = "ui"


def parts_of_stage(cloud: Cloud, aws: Aws, release: Release | None) -> tuple[Part, ...]:
    """Return the parts in the order in which a visitor meets them."""
    url = release.aws.url if release else ""
    is_there = bool(url) and (not cloud.endpoint or url.startswith("http://127.0.0.1"))  # a rehearsal has one
    parts = [_address(url)] if is_there else []
    parts += [*_asked("stacks", lambda: _stacks(cloud, aws)), *_asked("UI", lambda: _ui(cloud))]
    functions = _functions_of(release)
    for predictor, version in functions.items():
        parts += _asked(predictor, lambda p=predictor, v=version: [_function(cloud, p, v)])  # type: ignore[misc]
    return (*parts, *_asked("dispatcher", lambda: [_function(cloud, DISPATCHER, "", "dispatcher")]))


def _asked(name: str, ask: Callable[[], Iterator[Part] | list[Part]]) -> list[Part]:
    try:
        return list(ask())
    except MatineeError as error:
        return [Part(name, "unknown", error.message, error.hint)]


def _functions_of(release: Release | None) -> Mapping[str, str]:
    """Return the version that the release says, by realtime predictor."""
    if release is None:
        return {}
    return {p.name: release.aws.functions.get(p.name, "") for p in release.predictors if p.kind == "realtime"}


def _address(url: str) -> Part:
    """Ask the address as a visitor would; an app that is asleep answers too."""
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(url + PATH, timeout=ANSWER_S):  # noqa: S310 - our own address
            return Part("address", "ok", f"{url} answers in {(time.monotonic() - begun) * 1000:.0f} ms.")
    except urllib.error.HTTPError as error:
        why = f"answers {error.code}"
    except OSError as error:
        why = f"does not answer ({getattr(error, 'reason', None) or error})"
    return Part("address", "down", f"{url} {why}.", "What is wrong behind it says the rest of this list.")


# --- the status of stacks -------------------------------------------------------------------------------------------


def _stacks(cloud: Cloud, aws: Aws) -> Iterator[Part]:
    """Yield the stacks that are not as they should be, or one line for all of them."""
    expected = [cloud.names.data_stack, cloud.names.base]
    expected += [cloud.names.edge_stack] if aws.edge == "cloudfront" else []
    found = {name: describe(cloud, name) for name in expected}
    wrong = False
    for name, state in found.items():
        if state is None:
            wrong = True
            yield Part("stacks", "attention", f"There is no stack {name}.", _again(cloud))
        elif state.is_busy:
            wrong = True
            yield Part("stacks", "attention", f"{name} is being changed ({state.status}).", "Wait until that is over.")
        elif state.status not in USABLE:
            wrong = True
            reason = f" ({state.reason})" if state.reason else ""
            yield Part("stacks", "attention", f"{name} is in {state.status}{reason}.", _again(cloud))
    if not wrong:
        yield Part("stacks", "ok", f"{len(found)} stacks are complete.")


def _again(cloud: Cloud) -> str:
    return f"`matinee deploy --stage {cloud.names.stage}` puts it right."


# --- the status of the UI -------------------------------------------------------------------------------------------


def _ui(cloud: Cloud) -> list[Part]:
    answer = cloud.call(
        "ecs", "describe_services", absent=("ClusterNotFoundException",), cluster=cloud.names.base, services=[UI]
    )
    services = [one for one in (answer or {}).get("services", []) if one.get("status") != "INACTIVE"]
    if not services:
        return [Part("UI", "down", "There is no service of the UI.", _again(cloud))]
    return [_service(cloud, services[0])]


def _service(cloud: Cloud, service: Json) -> Part:
    running, expected = int(service["runningCount"]), int(service["desiredCount"])
    if expected == 0 and running == 0:
        return Part("UI", "asleep", "No task runs: it is outside its office hours.")
    healthy = _healthy(cloud, service)
    tasks = f"{running} of {expected} tasks run, {healthy} answer."
    if min(running, healthy) >= expected:
        return Part("UI", "ok", tasks)
    if running and healthy:
        return Part("UI", "attention", tasks, _last_event(service))
    hint = _why_stopped(cloud) or _last_event(service) or f"matinee logs ui --stage {cloud.names.stage}"
    return Part("UI", "down", tasks, hint)


def _healthy(cloud: Cloud, service: Json) -> int:
    """Return how many targets of the load balancer answer its health check."""
    targets = [one["targetGroupArn"] for one in service.get("loadBalancers", []) if one.get("targetGroupArn")]
    if not targets:
        return int(service["runningCount"])
    answer = cloud.call("elbv2", "describe_target_health", TargetGroupArn=targets[0])
    return sum(one["TargetHealth"]["State"] == "healthy" for one in answer["TargetHealthDescriptions"])


def _last_event(service: Json) -> str:
    events = service.get("events") or []
    return str(events[0]["message"]) if events else ""


def _why_stopped(cloud: Cloud) -> str:
    """Return why the last task of the UI stopped, "" if none did lately."""
    found = cloud.call(
        "ecs", "list_tasks", cluster=cloud.names.base, serviceName=UI, desiredStatus="STOPPED", maxResults=1
    )
    if not found["taskArns"]:
        return ""
    tasks = cloud.call("ecs", "describe_tasks", cluster=cloud.names.base, tasks=found["taskArns"])["tasks"]
    return str(tasks[0].get("stoppedReason", "")) if tasks else ""


# --- the status of functions ----------------------------------------------------------------------------------------


def _function(cloud: Cloud, predictor: str, version: str, name: str = "") -> Part:
    name = name or predictor
    function = cloud.names.resource(predictor)
    answer = cloud.call(
        "lambda", "get_function", absent=("ResourceNotFoundException",), FunctionName=function, Qualifier=LIVE
    )
    if answer is None:
        return Part(name, "down", f"There is no function {function} with an alias {LIVE}.", _again(cloud))
    configuration = answer["Configuration"]
    state, live = configuration.get("State", "Active"), str(configuration.get("Version", ""))
    if state == "Failed" or configuration.get("LastUpdateStatus") == "Failed":
        why = configuration.get("StateReason") or configuration.get("LastUpdateStatusReason") or "AWS does not say why"
        return Part(name, "down", f"The function cannot run: {why}.", _again(cloud))
    if version and live != version:
        text = f"Version {live} is live, and the release says {version}."
        return Part(name, "attention", text, f"matinee rollback --stage {cloud.names.stage}")
    if state != "Active":  # Inactive after long idleness, Pending after a change: the first call waits a moment
        return Part(name, "ok", f"Version {live} is live; the first prediction wakes it ({state}).")
    return Part(name, "ok", f"Version {live} is live.")


# --- costs of the month ---------------------------------------------------------------------------------------------


def cost_of_stage(cloud: Cloud, today: date | None = None) -> Cost:
    """Ask Cost Explorer, at $0.01, what was billed since the first of the month under the stage's tag.

    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html
    """
    from matinee.stack.blueprint import NAME_TAG

    today = today or datetime.now(UTC).date()
    period = {"Start": today.replace(day=1).isoformat(), "End": (today + timedelta(days=1)).isoformat()}
    tags = {"Tags": {"Key": NAME_TAG, "Values": [cloud.names.base], "MatchOptions": ["EQUALS"]}}
    try:
        answer = cloud.call(
            "ce",
            "get_cost_and_usage",
            on="*",
            TimePeriod=period,
            Granularity="MONTHLY",
            Metrics=["UnblendedCost"],
            Filter=tags,
        )
    except MatineeError as error:
        return Cost(None, str(error))
    usd = sum(float(one["Total"]["UnblendedCost"]["Amount"]) for one in answer["ResultsByTime"] if one.get("Total"))
    if usd == 0:
        return Cost(
            None,
            f"AWS has no cost under the tag {NAME_TAG} yet: activate it under Billing, Cost allocation tags; "
            "what is used from then on shows a day later.",
        )
    return Cost(usd, f"since {period['Start']}, as billed so far; AWS is a day behind")


# --- the cloud of a stage ---------------------------------------------------------------------------------------------
# The cloud of a stage, for commands that look after a deployed app.


def cloud_of(project: Project, stage: str) -> Cloud:
    """Return a stage's cloud; AWS is asked who we are. BackendError without credentials or region."""
    names, session = session_on(project, stage)
    return open_cloud(names, session.settings)


# --- matinee open -----------------------------------------------------------------------------------------------------
# `matinee open`: the address of the app here, or of a deployed stage, and a browser on it.


@dataclass(frozen=True)
class Opened:
    """Where the app is. `in_browser`: whether a browser was started."""

    url: str
    in_browser: bool


def open_app(app: Path, *, stage: str = "", start: Callable[[str], bool] = webbrowser.open) -> Opened:
    """Open the app; NotFoundError when it has no address: dev does not run, or nothing is deployed."""
    url = _of_stage(app, stage) if stage else _url_here(app)
    return Opened(url, start(url))


def _url_here(app: Path) -> str:
    dev = running_dev(load(app).data)
    if dev is None:
        raise NotFoundError("`matinee dev` does not run on this app.", hint="Start it: matinee dev")
    if not dev.url:
        raise NotFoundError("`matinee dev` runs on this app without its UI.", hint="Start it without --no-ui.")
    return dev.url


def _of_stage(app: Path, stage: str) -> str:
    with reader(app, stage) as client:
        release = client.backend.store.release() if client else None
    url = release.aws.url if release else ""
    if not url:
        raise NotFoundError(
            f"The stage {stage} has no address yet.", hint=f"`matinee deploy --stage {stage}` gives it one."
        )
    return url
