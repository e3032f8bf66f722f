"""The parts of a deployed stage, as AWS tells them: stacks, UI, functions; and what was billed this month.

A question that may not be asked makes its part "unknown" and leaves the others.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from matinee.errors import MatineeError
from matinee.manifest import Release
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.health import PATH
from matinee.ops.deploy.stacks.model import USABLE
from matinee.ops.deploy.stacks.state import describe
from matinee.ops.status import Cost, Part
from matinee.project import Aws
from matinee.settings import DISPATCHER

Json = Any
LIVE = "live"
ANSWER_S = 5.0  # how long an address may take
UI = "ui"


def parts_of(cloud: Cloud, aws: Aws, release: Release | None) -> tuple[Part, ...]:
    """Return the parts in the order in which a visitor meets them."""
    url = release.aws.url if release else ""
    parts = [_address(url)] if url and not cloud.endpoint else []
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


# --- stacks ---------------------------------------------------------------------------------------------------------


def _stacks(cloud: Cloud, aws: Aws) -> Iterator[Part]:
    """Yield the stacks that are not as they should be, or one line for all of them."""
    wanted = [cloud.names.data_stack, cloud.names.base]
    wanted += [cloud.names.edge_stack] if aws.edge == "cloudfront" else []
    found = {name: describe(cloud, name) for name in wanted}
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


# --- the UI ---------------------------------------------------------------------------------------------------------


def _ui(cloud: Cloud) -> list[Part]:
    answer = cloud.call(
        "ecs", "describe_services", absent=("ClusterNotFoundException",), cluster=cloud.names.base, services=[UI]
    )
    services = [one for one in (answer or {}).get("services", []) if one.get("status") != "INACTIVE"]
    if not services:
        return [Part("UI", "down", "There is no service of the UI.", _again(cloud))]
    return [_service(cloud, services[0])]


def _service(cloud: Cloud, service: Json) -> Part:
    running, wanted = int(service["runningCount"]), int(service["desiredCount"])
    if wanted == 0 and running == 0:
        return Part("UI", "asleep", "No task runs: it is outside its office hours.")
    healthy = _healthy(cloud, service)
    tasks = f"{running} of {wanted} tasks run, {healthy} answer."
    if min(running, healthy) >= wanted:
        return Part("UI", "ok", tasks)
    if running and healthy:
        return Part("UI", "attention", tasks, _last_event(service))
    hint = _why_stopped(cloud) or _last_event(service) or f"matinee logs ui --stage {cloud.names.stage}"
    return Part("UI", "down", tasks, hint)


def _healthy(cloud: Cloud, service: Json) -> int:
    """Return how many targets of the load balancer answer its health check."""
    targets = [told["targetGroupArn"] for told in service.get("loadBalancers", []) if told.get("targetGroupArn")]
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


# --- functions ------------------------------------------------------------------------------------------------------


def _function(cloud: Cloud, predictor: str, version: str, name: str = "") -> Part:
    name = name or predictor
    function = cloud.names.resource(predictor)
    answer = cloud.call(
        "lambda", "get_function", absent=("ResourceNotFoundException",), FunctionName=function, Qualifier=LIVE
    )
    if answer is None:
        return Part(name, "down", f"There is no function {function} with an alias {LIVE}.", _again(cloud))
    told = answer["Configuration"]
    state, live = told.get("State", "Active"), str(told.get("Version", ""))
    if state == "Failed" or told.get("LastUpdateStatus") == "Failed":
        why = told.get("StateReason") or told.get("LastUpdateStatusReason") or "AWS does not say why"
        return Part(name, "down", f"The function cannot run: {why}.", _again(cloud))
    if version and live != version:
        text = f"Version {live} is live, and the release says {version}."
        return Part(name, "attention", text, f"matinee rollback --stage {cloud.names.stage}")
    if state != "Active":  # Inactive after long idleness, Pending after a change: the first call waits a moment
        return Part(name, "ok", f"Version {live} is live; the first prediction wakes it ({state}).")
    return Part(name, "ok", f"Version {live} is live.")


# --- money ----------------------------------------------------------------------------------------------------------


def cost_of(cloud: Cloud, today: date | None = None) -> Cost:
    """Ask Cost Explorer, at $0.01, what was billed since the first of the month under the stage's tag.

    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html
    """
    from matinee.stack.sheet import NAME_TAG

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
