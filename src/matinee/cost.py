"""What an app costs a month: templates + how much it is used → lines, each a quantity times a dated price.

templates → what is there (`inventory`) → lines (`running`, `used`) → a bill, whose total is their sum and nothing else.
`monthly_cost` asks nobody; `report.cost_of` makes the templates of an app and compares what its switches would save.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matinee import prices
from matinee.environments.inspect import inspect_app
from matinee.errors import ComponentError
from matinee.manifest import ComponentManifest
from matinee.names import check_stage
from matinee.prices import Price
from matinee.project.aws import Aws, Capacity, OfficeHours
from matinee.project.load import load
from matinee.stack.blueprint import Blueprint
from matinee.stack.inventory import Function, Inventory, Machine, TemplateJson, take
from matinee.stack.templates import Template, app_template, data_template, edge_template, network_template

__all__ = ["Bill", "Line", "Usage", "monthly_cost"]


# --- a bill of lines --------------------------------------------------------------------------------------------------
# A bill: lines of quantity times price, and what is assumed of the app's use.


@dataclass(frozen=True)
class Usage:
    """One month. What people say is in the first line; the rest is assumed, and shown with the bill."""

    users: int = 5
    predictions: int = 1_000
    runs: int = 50  # of batch predictors

    prediction_s: float = 1.0
    run_s: float = 300.0
    mb_per_user: float = 100.0  # what a person's pages load
    kb_per_prediction: float = 10.0  # in S3 and the table, kept
    mb_per_run: float = 1.0
    log_kb_per_prediction: float = 2.0
    log_mb_per_run: float = 0.1
    log_mb_per_user: float = 1.0  # of the UI
    image_gb: float = 0.3  # of one component and version, beyond what versions share
    versions_kept: int = 5


IDLE = Usage(users=0, predictions=0, runs=0)  # deployed and not used


@dataclass(frozen=True)
class Line:
    """`quantity` of something in a month, of which `free` cost nothing. `subject` groups lines: UI, table, …"""

    subject: str
    item: str
    quantity: float
    price: Price
    note: str = ""
    share: float = 1.0  # of the price: Spot capacity

    @property
    def free(self) -> float:
        """How much of the quantity costs nothing."""
        return min(self.quantity, self.price.free)

    @property
    def usd(self) -> float:
        """(quantity - free) times price times share."""
        return (self.quantity - self.free) * self.price.usd * self.share


@dataclass(frozen=True)
class Bill:
    """`unpriced`: types of resources that are not known here, so that nothing is left out in silence."""

    lines: tuple[Line, ...]
    usage: Usage
    unpriced: tuple[str, ...] = ()

    @property
    def total_usd(self) -> float:
        """The sum of the lines."""
        return sum(line.usd for line in self.lines)

    def of(self, subject: str) -> float:
        """Return what one subject costs."""
        return sum(line.usd for line in self.lines if line.subject == subject)


# --- the monthly cost -------------------------------------------------------------------------------------------------
# `monthly_cost`: the lines of a month. First what runs whether anybody comes or not, then what use adds.

GB_KB, GB_MB = 1024.0**2, 1024.0
TICK_S = 0.2  # of the dispatcher, when there is nothing to do
TICK_READS = 4.0
TICK_LOG_KB = 0.6  # Lambda's three lines, and one of the queues
MONTH_DAYS = 30
READS_PER_USER = 20_000.0  # pages that follow a run look every two seconds
START_S = 60.0  # of a worker, until it works: pulling its image is paid for
REQUESTS_PER_USER = 2_000.0


def monthly_cost(
    templates: Sequence[TemplateJson], usage: Usage = IDLE, *, provisioned: Mapping[str, int] | None = None
) -> Bill:
    """Return what these templates cost a month (730 h) with this use.

    `provisioned`: kept warm, by the name of the function; that is no part of a template, since versions are not.
    """
    there = take(templates)
    lines = (*_running(there), *_warm(there.functions, provisioned or {}), *_used(there, usage))
    return Bill(tuple(line for line in lines if line.quantity), usage, there.unpriced)


# --- fixed costs ----------------------------------------------------------------------------------------------------


def _running(there: Inventory) -> Iterator[Line]:
    for service in there.services:
        hours, machine = service.hours, service.machine
        note = "" if hours == prices.MONTH_H else f"awake {hours:.0f} of {prices.MONTH_H:.0f} h"
        yield from _fargate("UI", "UI", machine, (service.tasks - service.on_spot) * hours, note)
        yield from _fargate("UI", "UI on Spot", machine, service.on_spot * hours, note, prices.SPOT_SHARE.usd)
        if service.is_public:
            yield Line("UI", "its public address", service.tasks * hours, prices.ADDRESS_H, "there is no NAT gateway")
    for is_public in there.balancers:
        kind = "public" if is_public else "internal"
        yield Line(
            "load balancer", f"{kind} load balancer", prices.MONTH_H, prices.BALANCER_H, "also while the UI is asleep"
        )
    yield Line(
        "load balancer",
        "its public addresses",
        there.addresses * prices.MONTH_H,
        prices.ADDRESS_H,
        "one in every subnet",
    )
    if there.capacity:
        yield Line("table", "read capacity, indexes too", there.capacity[0] * prices.MONTH_H, prices.DYNAMODB_READ_H)
        yield Line("table", "write capacity, indexes too", there.capacity[1] * prices.MONTH_H, prices.DYNAMODB_WRITE_H)
    yield from _watched(there)


def _watched(there: Inventory) -> Iterator[Line]:
    scaling = 2 * there.counts.get("AWS::ApplicationAutoScaling::ScalingPolicy", 0)  # AWS makes two alarms for each
    yield Line("watching", "alarms", there.counts.get("AWS::CloudWatch::Alarm", 0) + scaling, prices.ALARM)
    yield Line("watching", "dashboard", there.counts.get("AWS::CloudWatch::Dashboard", 0), prices.DASHBOARD)
    yield Line("watching", "metrics made of log lines", there.metrics, prices.METRIC)
    yield Line(
        "secrets", "secrets of Secrets Manager", there.counts.get("AWS::SecretsManager::Secret", 0), prices.SECRET
    )
    yield Line("network", "hosted zone", there.counts.get("AWS::Route53::HostedZone", 0), prices.ZONE)
    yield Line("network", "NAT gateways", there.counts.get("AWS::EC2::NatGateway", 0) * prices.MONTH_H, prices.NAT_H)


def _warm(functions: Sequence[Function], provisioned: Mapping[str, int]) -> Iterator[Line]:
    for function in functions:
        count = provisioned.get(function.name, 0)
        gb_s = count * function.memory_gb * prices.MONTH_H * prices.HOUR_S
        yield Line("realtime", f"{function.name} kept warm, {count} of it", gb_s, prices.LAMBDA_PROVISIONED_GB_S)


# --- costs of use ---------------------------------------------------------------------------------------------------


def _used(there: Inventory, usage: Usage) -> Iterator[Line]:
    yield from _called(there, usage)
    yield from _worked(there, usage)
    if there.tables:
        yield from _stored(there, usage)
    if there.counts.get("AWS::ECR::Repository"):
        versions = there.images * usage.versions_kept
        yield Line(
            "images", "images kept", versions * usage.image_gb, prices.IMAGE_GB, f"{versions} of {usage.image_gb} GB"
        )
    if there.counts.get("AWS::Logs::LogGroup"):
        yield from _logged(there, usage)
    yield from _sent(there, usage)


def _logged(there: Inventory, usage: Usage) -> Iterator[Line]:
    ticks = sum(f.calls for f in there.functions)
    written_kb = usage.predictions * usage.log_kb_per_prediction + ticks * TICK_LOG_KB
    written_mb = usage.runs * usage.log_mb_per_run + usage.users * usage.log_mb_per_user
    written = written_kb / GB_KB + written_mb / GB_MB
    months = there.retention_days / MONTH_DAYS
    note = f"{there.retention_days} days of them"
    yield Line("logs", "log lines written", written, prices.LOG_IN_GB, "the dispatcher's too")
    yield Line("logs", "log lines kept", written * months, prices.LOG_KEPT_GB, note)


def _called(there: Inventory, usage: Usage) -> Iterator[Line]:
    """Functions: predictions spread evenly over those that no schedule calls, and the dispatcher's ticks."""
    predictors = [f for f in there.functions if not f.calls]
    each = usage.predictions / len(predictors) if predictors else 0.0
    calls, gb_s, arm_gb_s = 0.0, 0.0, 0.0
    for function in there.functions:
        n = function.calls or each
        took = n * function.memory_gb * (TICK_S if function.calls else usage.prediction_s)
        calls, gb_s, arm_gb_s = calls + n, gb_s + took * (not function.is_arm), arm_gb_s + took * function.is_arm
    calls += 2 * usage.runs if there.workers else 0  # a submit pokes the dispatcher, and so does a worker's end
    yield Line("realtime", "calls of functions", calls, prices.LAMBDA_REQUEST, "the dispatcher looks every minute")
    yield Line("realtime", "time of functions (x86)", gb_s, prices.LAMBDA_GB_S)
    yield Line("realtime", "time of functions (ARM)", arm_gb_s, prices.LAMBDA_ARM_GB_S)
    ticks = sum(f.calls for f in there.functions)
    yield Line("realtime", "calls by schedules", ticks, prices.SCHEDULER_CALL)


def _worked(there: Inventory, usage: Usage) -> Iterator[Line]:
    """Batch runs spread evenly over the predictors with workers; a worker's start is paid for, too."""
    kinds = len(there.workers) + len(there.on_gpu)
    if not kinds or not usage.runs:
        return
    hours = usage.runs / kinds * (usage.run_s + START_S) / prices.HOUR_S
    share, note = (prices.SPOT_SHARE.usd, "on Spot, which varies") if there.are_workers_on_spot else (1.0, "")
    for machine, count in Counter(replace(worker, name="workers") for worker in there.workers).items():
        yield from _fargate("batch", "workers", machine, hours * count, note, share)
    yield Line("batch", "workers' public addresses", hours * len(there.workers), prices.ADDRESS_H)
    yield Line("batch", "workers with a GPU (g4dn.xlarge)", hours * len(there.on_gpu), prices.GPU_H)


def _fargate(
    subject: str, name: str, machine: Machine, hours: float, note: str = "", share: float = 1.0
) -> Iterator[Line]:
    kind = "ARM" if machine.is_arm else "x86"
    vcpu, gb = (
        (prices.FARGATE_ARM_VCPU_H, prices.FARGATE_ARM_GB_H)
        if machine.is_arm
        else (prices.FARGATE_VCPU_H, prices.FARGATE_GB_H)
    )
    yield Line(subject, f"{name}, {machine.vcpu:g} vCPU ({kind})", hours * machine.vcpu, vcpu, note, share)
    yield Line(subject, f"{name}, {machine.memory_gb:g} GB ({kind})", hours * machine.memory_gb, gb, note, share)


def _stored(there: Inventory, usage: Usage) -> Iterator[Line]:
    if there.capacity is None:
        beats = usage.runs * usage.run_s / prices.HEARTBEAT_S
        writes = usage.predictions * prices.REALTIME_WRITES + usage.runs * prices.BATCH_WRITES + beats
        ticks = sum(f.calls for f in there.functions)
        yield Line("table", "writes", writes, prices.DYNAMODB_WRITE)
        yield Line("table", "reads", ticks * TICK_READS + usage.users * READS_PER_USER, prices.DYNAMODB_READ)
    kept_gb = usage.predictions * usage.kb_per_prediction / GB_KB + usage.runs * usage.mb_per_run / GB_MB
    yield Line("table", "what it keeps", kept_gb / 2, prices.DYNAMODB_GB)
    if there.has_recovery:
        yield Line("table", "point-in-time recovery", kept_gb / 2, prices.DYNAMODB_RECOVERY_GB)
    yield Line("files", "what they keep", kept_gb / 2, prices.S3_GB, "of one month: it adds up")
    yield Line("files", "files written", usage.predictions + 2 * usage.runs, prices.S3_PUT, "at most one a prediction")
    yield Line("files", "files read", 2 * usage.predictions + 4 * usage.runs, prices.S3_GET)


def _sent(there: Inventory, usage: Usage) -> Iterator[Line]:
    sent_gb = usage.users * usage.mb_per_user / GB_MB
    if there.counts.get("AWS::S3::Bucket"):
        files_gb = usage.runs * usage.mb_per_run / GB_MB
        yield Line("files", "sent to people by S3", files_gb, prices.DATA_OUT_GB, "each result once")
    if there.has_cloudfront:
        yield Line("pages", "sent to people by CloudFront", sent_gb, prices.CLOUDFRONT_GB)
        yield Line("pages", "requests of CloudFront", usage.users * REQUESTS_PER_USER, prices.CLOUDFRONT_REQUEST)
    elif any(there.balancers):
        yield Line("pages", "sent to people", sent_gb, prices.DATA_OUT_GB)
    if there.balancers:
        yield Line("load balancer", "what goes through it", sent_gb, prices.BALANCER_LCU_H, "a GB an hour is one LCU")


# --- the layout of 2020 -----------------------------------------------------------------------------------------------
# The layout this framework began with in 2020, as a template: what it costs, beside what its document claimed.

Json = Any
CLAIMED_USD = (8.88, 1.17)  # a month; load balancer and public addresses were left out

_TASK = {"Cpu": "256", "Memory": "512", "ContainerDefinitions": [{"Name": "ui", "Image": "ui"}]}
_PUBLIC = {"AwsvpcConfiguration": {"AssignPublicIp": "ENABLED"}}
TEMPLATE: dict[str, Json] = {
    "Resources": {
        "LoadBalancer": {
            "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "Properties": {"Type": "application", "Scheme": "internet-facing"},
        },
        "Ui": {"Type": "AWS::ECS::TaskDefinition", "Properties": _TASK},
        "UiService": {
            "Type": "AWS::ECS::Service",
            "Properties": {"TaskDefinition": {"Ref": "Ui"}, "DesiredCount": 1, "NetworkConfiguration": _PUBLIC},
        },
        "Worker": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Cpu": "256", "Memory": "512"}},
        "Realtime": {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 512}},
        "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"BillingMode": "PAY_PER_REQUEST"}},
        "Bucket": {"Type": "AWS::S3::Bucket"},
    }
}


# --- the cost report --------------------------------------------------------------------------------------------------
# `matinee cost`: the bill of an app's stage, what its switches would save, and the layouts beside it.

Report = Callable[[str, str], None]
_SMALL_USD = 0.005
_WEEK = OfficeHours(("MON", "TUE", "WED", "THU", "FRI"), "08:00", "18:00")


@dataclass(frozen=True)
class Switch:
    """One line of `[aws]` and what the month would be with it. `saves_usd` is negative where it would cost more."""

    line: str
    monthly_usd: float
    saves_usd: float


@dataclass(frozen=True)
class CostReport:
    """A stage's bill, its switches (the largest saving first), the default layout and the one of 2020.

    `idle_usd` of the month are paid whether anybody comes or not; the rest is use.
    """

    stage: str
    bill: Bill
    idle_usd: float
    switches: tuple[Switch, ...]
    default_usd: float
    of_2020: Bill
    claimed_2020_usd: tuple[float, ...] = CLAIMED_USD

    @property
    def use_usd(self) -> float:
        """What use adds to the month."""
        return self.bill.total_usd - self.idle_usd


def cost_of(path: Path, stage: str, usage: Usage, report: Report | None = None) -> CostReport:
    """Return what the app at `path` would cost on a stage; no AWS is asked.

    Raises UsageError for what can be no stage, ProjectError, ComponentError.
    """
    check_stage(stage)
    project = load(path).for_stage(stage)
    components = tuple(item.manifest for item in inspect_app(project, report))
    _check_loaded(components)
    return compared(Blueprint.of(project, stage, components), usage)


def compared(blueprint: Blueprint, usage: Usage) -> CostReport:
    """Return the report of a blueprint."""
    bill = bill_of(blueprint, usage)
    default = bill_of(replace(blueprint, aws=Aws()), usage)
    return CostReport(
        blueprint.names.stage,
        bill,
        bill_of(blueprint, IDLE).total_usd,
        tuple(sorted(_switches(blueprint, usage, bill.total_usd), key=lambda s: -s.saves_usd)),
        default.total_usd,
        monthly_cost([TEMPLATE], usage),
    )


def bill_of(blueprint: Blueprint, usage: Usage) -> Bill:
    """Return the bill of all the stacks of a blueprint."""
    warm = {
        blueprint.names.resource(p.name): p.resources.provisioned for p in blueprint.realtime if p.resources.provisioned
    }
    return monthly_cost(templates_of(blueprint), usage, provisioned=warm)


def templates_of(blueprint: Blueprint) -> tuple[Template, ...]:
    """Return the templates of all stacks; with subnets of its own the app makes no network."""
    network = () if blueprint.aws.vpc else (network_template(),)
    edge = edge_template(blueprint)
    return (*network, data_template(blueprint), app_template(blueprint), *((edge,) if edge else ()))


def _switches(blueprint: Blueprint, usage: Usage, now_usd: float) -> Iterator[Switch]:
    for line, aws in _other_options(blueprint.aws):
        monthly_usd = bill_of(replace(blueprint, aws=aws), usage).total_usd
        if abs(now_usd - monthly_usd) >= _SMALL_USD:
            yield Switch(line, monthly_usd, now_usd - monthly_usd)


def _other_options(aws: Aws) -> Iterator[tuple[str, Aws]]:
    """Yield each switch that is not as it is now, as a line of `[aws]` and what it makes."""
    if aws.office_hours is None:
        line = 'office_hours = { days = "MON-FRI", start = "08:00", end = "18:00" }'
        yield line, replace(aws, office_hours=_WEEK)
    edge = "alb" if aws.edge == "cloudfront" else "cloudfront"
    if edge == "cloudfront" or aws.office_hours is None:  # only CloudFront shows the page of a sleeping app
        yield f'edge = "{edge}"', replace(aws, edge=edge)
    architecture = "x86_64" if aws.architecture == "arm64" else "arm64"
    yield f'architecture = "{architecture}"', replace(aws, architecture=architecture)
    yield f"spot = {str(not aws.spot).lower()}", replace(aws, spot=not aws.spot)
    yield f"dashboard = {str(not aws.dashboard).lower()}", replace(aws, dashboard=not aws.dashboard)
    if aws.table is None:
        yield "table = { read = 1, write = 1 }", replace(aws, table=Capacity(1, 1))
    if aws.ui.min > 1:
        yield "ui = { min = 1 }", replace(aws, ui=replace(aws.ui, min=1))
    if (aws.ui.cpu, aws.ui.memory_mb) != (0.25, 512):
        yield "ui = { cpu = 0.25, memory_mb = 512 }", replace(aws, ui=replace(aws.ui, cpu=0.25, memory_mb=512))
    if aws.password_in == "secrets-manager":  # noqa: S105 - where it is
        yield 'password_in = "ssm"', replace(aws, password_in="ssm")  # noqa: S106


def _check_loaded(components: Sequence[ComponentManifest]) -> None:
    for component in components:
        if component.trouble:
            trouble = component.trouble
            raise ComponentError(
                f"The component {component.name} does not load: {trouble.message}",
                hint=trouble.hint,
                file=trouble.file,
                line=trouble.line,
            )
