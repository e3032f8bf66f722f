"""EventBridge Scheduler: the dispatcher's backstop, and predictors that run by the clock.

A predictor's schedule submits an ordinary run; the scheduled time is the run's idempotency key, so that a call which
comes twice is one run. Expressions are Scheduler's own, here as in `matinee.schedule`.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import json
from typing import Any

from troposphere import GetAtt, Ref, scheduler

from matinee.manifest import PredictorManifest
from matinee.schedule import TIMEZONE
from matinee.stack.blueprint import Blueprint
from matinee.stack.ids import logical, shortened
from matinee.stack.sheet import Sheet


def add_schedules(sheet: Sheet, b: Blueprint, dispatcher: Any) -> None:
    """Add the group of schedules, the backstop, and one for each predictor with a schedule."""
    group = sheet.add(scheduler.ScheduleGroup("ScheduleGroup", Name=b.names.base))
    sheet.add(_schedule(group, dispatcher, "BackstopSchedule", "backstop", "rate(1 minute)", "{}"))
    for predictor in b.scheduled:
        sheet.add(_of(group, dispatcher, predictor))


def _of(group: Any, dispatcher: Any, predictor: PredictorManifest) -> scheduler.Schedule:
    told = {"predictor": predictor.name, "scheduled": "<aws.scheduler.scheduled-time>"}
    title = f"Schedule{logical(predictor.name)}"
    name = shortened(predictor.name)
    return _schedule(group, dispatcher, title, name, predictor.resources.schedule, json.dumps(told))


def _schedule(group: Any, dispatcher: Any, title: str, name: str, when: str, said: str) -> scheduler.Schedule:
    return scheduler.Schedule(
        title,
        GroupName=Ref(group),
        Name=name,
        ScheduleExpression=when,
        ScheduleExpressionTimezone=TIMEZONE,
        FlexibleTimeWindow=scheduler.FlexibleTimeWindow(Mode="OFF"),
        State="ENABLED",
        Target=scheduler.Target(
            Arn=Ref(dispatcher),
            RoleArn=GetAtt("SchedulerRole", "Arn"),
            Input=said,
            # What cannot be delivered for so long is stale: the next call does the same.
            RetryPolicy=scheduler.RetryPolicy(MaximumEventAgeInSeconds=300, MaximumRetryAttempts=3),
        ),
    )
