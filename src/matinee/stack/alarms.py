"""What is watched: alarms to an e-mail address, a dashboard, a budget.

Two numbers no service counts come from log lines, by metric filters: what the dispatcher says of its queues, and what
a worker says of a run that has failed for good (`runtime.dispatcher`, `runtime.supervisor`).
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/MonitoringLogData.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from troposphere import AWSHelperFn, GetAtt, Ref, Sub, budgets, cloudwatch, logs, sns

from matinee.manifest import PredictorManifest
from matinee.settings import DISPATCHER, LIVE
from matinee.stack import permissions
from matinee.stack.blueprint import NAME_TAG, Blueprint, digest, logical
from matinee.stack.builder import Sheet
from matinee.stack.ui import group_id

FAILED_RUNS, OLDEST_QUEUED = "FailedRuns", "OldestQueuedSeconds"
FAILED_PATTERN = '{ $.fields.event = "run_failed" }'
QUEUES_PATTERN = '{ $.event = "queues" }'
ERRORS = 3  # in five minutes
SLOW_PART = 0.8  # of a predictor's limit
WAITING_S = 900  # what has been queued for so long waits for something that is broken
_FIVE_MINUTES = 300


@dataclass(frozen=True)
class _Metric:
    """A number that CloudWatch keeps."""

    namespace: str
    name: str
    statistic: str
    dimensions: tuple[tuple[str, Any], ...] = ()

    def in_an_alarm(self) -> dict[str, Any]:
        kind = "ExtendedStatistic" if self.statistic.startswith("p") else "Statistic"
        dimensions = [cloudwatch.MetricDimension(Name=name, Value=value) for name, value in self.dimensions]
        return {"Namespace": self.namespace, "MetricName": self.name, kind: self.statistic, "Dimensions": dimensions}


def add_alarms(sheet: Sheet, b: Blueprint) -> None:
    """Add the metrics of log lines, the alarms if there is somebody to tell, the dashboard and the budget."""
    _filters(sheet, b)
    if b.aws.alarms_to:
        topic = _topic(sheet, b)
        for alarm in _alarms(b):
            alarm.AlarmActions = alarm.OKActions = [Ref(topic)]
            sheet.add(alarm)
    if b.aws.dashboard:
        sheet.add(cloudwatch.Dashboard("Dashboard", DashboardName=b.names.base, DashboardBody=_body(b)))
    if b.aws.budget_usd:
        sheet.add(_budget(b))


# --- metrics ----------------------------------------------------------------------------------------------------


def _own(b: Blueprint, name: str, statistic: str) -> _Metric:
    return _Metric(f"Matinee/{b.names.base}", name, statistic)


def _of_function(b: Blueprint, name: str, metric: str, statistic: str) -> _Metric:
    """Return a number of what callers see: of the alias, not of versions that are being tried."""
    function = b.names.resource(name)
    dimensions = (("FunctionName", function), ("Resource", f"{function}:{LIVE}"))
    return _Metric("AWS/Lambda", metric, statistic, dimensions)


def _of_balancer(b: Blueprint, metric: str, statistic: str) -> _Metric:
    dimensions = (
        ("LoadBalancer", GetAtt("LoadBalancer", "LoadBalancerFullName")),
        ("TargetGroup", GetAtt(group_id(b), "TargetGroupFullName")),
    )
    return _Metric("AWS/ApplicationELB", metric, statistic, dimensions)


def _filters(sheet: Sheet, b: Blueprint) -> None:
    sheet.add(_filter(b, "QueueFilter", DISPATCHER, QUEUES_PATTERN, OLDEST_QUEUED, "$.oldest_s"))
    for predictor in b.predictors:
        title = f"FailedRunsFilter{logical(predictor.name)}"
        sheet.add(_filter(b, title, predictor.name, FAILED_PATTERN, FAILED_RUNS, "1"))


def _filter(b: Blueprint, title: str, group: str, pattern: str, name: str, value: str) -> logs.MetricFilter:
    metric = logs.MetricTransformation(
        MetricNamespace=_own(b, name, "Sum").namespace, MetricName=name, MetricValue=value
    )
    return logs.MetricFilter(
        title, LogGroupName=b.names.log_group(group), FilterPattern=pattern, MetricTransformations=[metric]
    )


# --- alarms -----------------------------------------------------------------------------------------------------


def _topic(sheet: Sheet, b: Blueprint) -> sns.Topic:
    topic = sheet.add(
        sns.Topic(
            "AlarmTopic",
            TopicName=b.names.resource("alarms"),
            Subscription=[sns.Subscription(Endpoint=b.aws.alarms_to, Protocol="email")],
        )
    )
    sheet.add(sns.TopicPolicy("AlarmTopicPolicy", Topics=[Ref(topic)], PolicyDocument=permissions.topic_policy(b)))
    return topic


def _alarms(b: Blueprint) -> Iterator[cloudwatch.Alarm]:
    for predictor in b.realtime:
        yield from _of_predictor(b, predictor)
    broken = _of_function(b, DISPATCHER, "Errors", "Sum")
    yield _alarm(b, "DispatcherErrorsAlarm", "The dispatcher fails: no worker is started", broken, ">=", ERRORS)
    failed = _own(b, FAILED_RUNS, "Sum")
    yield _alarm(b, "FailedRunsAlarm", "Batch runs have failed", failed, ">=", 1)
    oldest = _own(b, OLDEST_QUEUED, "Maximum")
    minutes = WAITING_S // 60
    yield _alarm(b, "QueueAlarm", f"A run has been queued for more than {minutes} minutes", oldest, ">", WAITING_S)
    yield _of_ui(b)


def _of_predictor(b: Blueprint, predictor: PredictorManifest) -> Iterator[cloudwatch.Alarm]:
    name, part = predictor.name, logical(predictor.name)
    errors = _of_function(b, name, "Errors", "Sum")
    yield _alarm(b, f"ErrorsAlarm{part}", f"Predictions of {name} fail", errors, ">=", ERRORS)
    slow_ms = predictor.resources.timeout_s * 1000 * SLOW_PART
    slow = _of_function(b, name, "Duration", "p95")
    about = f"One prediction of {name} in twenty takes more than {SLOW_PART:.0%} of its limit"
    yield _alarm(b, f"SlowAlarm{part}", about, slow, ">", slow_ms, periods=3)


def _of_ui(b: Blueprint) -> cloudwatch.Alarm:
    if b.aws.office_hours:  # asleep there is no task, and nothing wrong
        unhealthy = _of_balancer(b, "UnHealthyHostCount", "Maximum")
        return _alarm(b, "UiAlarm", "A task of the UI does not answer", unhealthy, ">", 0)
    healthy = _of_balancer(b, "HealthyHostCount", "Minimum")
    return _alarm(b, "UiAlarm", "No task of the UI answers", healthy, "<", 1, missing="breaching")


_TESTS = {
    ">": "GreaterThanThreshold",
    ">=": "GreaterThanOrEqualToThreshold",
    "<": "LessThanThreshold",
}


def _alarm(
    b: Blueprint,
    title: str,
    about: str,
    metric: _Metric,
    test: str,
    threshold: float,
    *,
    periods: int = 1,
    missing: str = "notBreaching",
) -> cloudwatch.Alarm:
    return cloudwatch.Alarm(
        title,
        AlarmName=b.names.resource(title),
        AlarmDescription=f"{b.title} ({b.names.stage}): {about}.",
        **metric.in_an_alarm(),
        Period=_FIVE_MINUTES,
        EvaluationPeriods=periods,
        Threshold=threshold,
        ComparisonOperator=_TESTS[test],
        TreatMissingData=missing,
    )


# --- dashboard --------------------------------------------------------------------------------------------------


def _body(b: Blueprint) -> Sub:
    service = (("ClusterName", b.names.base), ("ServiceName", "ui"))
    rows: list[tuple[str, list[_Metric]]] = [
        ("Predictions", [_of_function(b, p.name, "Invocations", "Sum") for p in b.realtime]),
        ("Predictions that failed", [_of_function(b, p.name, "Errors", "Sum") for p in b.realtime]),
        ("Time of a prediction, 95 of 100 (ms)", [_of_function(b, p.name, "Duration", "p95") for p in b.realtime]),
        ("Age of the oldest queued run (s)", [_own(b, OLDEST_QUEUED, "Maximum")]),
        ("Batch runs that failed", [_own(b, FAILED_RUNS, "Sum")]),
        ("The dispatcher's errors", [_of_function(b, DISPATCHER, "Errors", "Sum")]),
        (
            "UI: CPU and memory (%)",
            [_Metric("AWS/ECS", f"{n}Utilization", "Average", service) for n in ("CPU", "Memory")],
        ),
        ("UI: tasks that answer", [_of_balancer(b, "HealthyHostCount", "Minimum")]),
        ("UI: requests", [_of_balancer(b, "RequestCount", "Sum")]),
    ]
    values: dict[str, Any] = {}
    widgets = [_widget(number, title, metrics, values) for number, (title, metrics) in enumerate(rows) if metrics]
    return Sub(json.dumps({"widgets": widgets}, separators=(",", ":")), **values)


def _widget(number: int, title: str, metrics: list[_Metric], values: dict[str, Any]) -> dict[str, Any]:
    def shown(metric: _Metric) -> list[Any]:
        parts = [part for name, value in metric.dimensions for part in (name, _filled(name, value, values))]
        return [metric.namespace, metric.name, *parts, {"stat": metric.statistic}]

    return {
        "type": "metric",
        "x": 8 * (number % 3),
        "y": 6 * (number // 3),
        "width": 8,
        "height": 6,
        "properties": {
            "title": title,
            "region": "${AWS::Region}",
            "period": _FIVE_MINUTES,
            "metrics": [shown(metric) for metric in metrics],
        },
    }


def _filled(name: str, value: Any, values: dict[str, Any]) -> str:
    """Return a dimension's value as text; what only CloudFormation knows becomes a variable of the text."""
    if not isinstance(value, AWSHelperFn):
        return str(value)
    values[name] = value
    return f"${{{name}}}"


# --- the budget -------------------------------------------------------------------------------------------------


def _budget(b: Blueprint) -> budgets.Budget:
    """It counts by tag, so it stays empty until the tag is activated for cost allocation: the tool says how.

    Whom it tells cannot be changed, only made anew beside the old one: so its name follows from that.
    https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html
    """
    subscriber = budgets.Subscriber(SubscriptionType="EMAIL", Address=b.aws.alarms_to)
    notices = [
        budgets.NotificationWithSubscribers(
            Notification=budgets.Notification(
                NotificationType=kind, ComparisonOperator="GREATER_THAN", Threshold=percent, ThresholdType="PERCENTAGE"
            ),
            Subscribers=[subscriber],
        )
        for kind, percent in (("ACTUAL", 80), ("FORECASTED", 100))
    ]
    return budgets.Budget(
        "Budget",
        Budget=budgets.BudgetData(
            BudgetName=f"{b.names.base}-{digest(b.aws.alarms_to)}",
            BudgetType="COST",
            TimeUnit="MONTHLY",
            BudgetLimit=budgets.Spend(Amount=b.aws.budget_usd, Unit="USD"),
            CostFilters={"TagKeyValue": [f"user:{NAME_TAG}${b.names.base}"]},
        ),
        NotificationsWithSubscribers=notices,
    )
