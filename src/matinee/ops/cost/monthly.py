"""`monthly_cost`: the lines of a month. First what runs whether anybody comes or not, then what use adds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from matinee import prices as p
from matinee.ops.cost.bill import IDLE, Bill, Line, Usage
from matinee.ops.cost.inventory import Function, Inventory, Machine, Template, take

GB_KB, GB_MB = 1024.0**2, 1024.0
TICK_S = 0.2  # of the dispatcher, when there is nothing to do
TICK_READS = 4.0
READS_PER_USER = 20_000.0  # pages that follow a run look every two seconds
START_S = 60.0  # of a worker, until it works: pulling its image is paid for
REQUESTS_PER_USER = 2_000.0


def monthly_cost(
    templates: Sequence[Template], usage: Usage = IDLE, *, provisioned: Mapping[str, int] | None = None
) -> Bill:
    """Return what these templates cost a month (730 h) with this use.

    `provisioned`: kept warm, by the name of the function; that is no part of a template, since versions are not.
    """
    there = take(templates)
    lines = (*_running(there), *_warm(there.functions, provisioned or {}), *_used(there, usage))
    return Bill(tuple(line for line in lines if line.quantity), usage, there.unpriced)


# --- what runs anyway -----------------------------------------------------------------------------------------------


def _running(there: Inventory) -> Iterator[Line]:
    for service in there.services:
        hours, machine = service.hours, service.machine
        note = "" if hours == p.MONTH_H else f"awake {hours:.0f} of {p.MONTH_H:.0f} h"
        yield from _fargate("UI", "UI", machine, (service.tasks - service.on_spot) * hours, note)
        yield from _fargate("UI", "UI on Spot", machine, service.on_spot * hours, note, p.SPOT_SHARE.usd)
        if service.is_public:
            yield Line("UI", "its public address", service.tasks * hours, p.ADDRESS_H, "there is no NAT gateway")
    for is_public in there.balancers:
        kind = "public" if is_public else "internal"
        yield Line("load balancer", f"{kind} load balancer", p.MONTH_H, p.BALANCER_H, "also while the UI is asleep")
    yield Line("load balancer", "its public addresses", there.addresses * p.MONTH_H, p.ADDRESS_H, "one in every subnet")
    if there.capacity:
        yield Line("table", "read capacity, indexes too", there.capacity[0] * p.MONTH_H, p.DYNAMODB_READ_H)
        yield Line("table", "write capacity, indexes too", there.capacity[1] * p.MONTH_H, p.DYNAMODB_WRITE_H)
    yield from _watched(there)


def _watched(there: Inventory) -> Iterator[Line]:
    scaling = 2 * there.counts.get("AWS::ApplicationAutoScaling::ScalingPolicy", 0)  # AWS makes two alarms for each
    yield Line("watching", "alarms", there.counts.get("AWS::CloudWatch::Alarm", 0) + scaling, p.ALARM)
    yield Line("watching", "dashboard", there.counts.get("AWS::CloudWatch::Dashboard", 0), p.DASHBOARD)
    yield Line("watching", "metrics made of log lines", there.counts.get("AWS::Logs::MetricFilter", 0), p.METRIC)
    yield Line("secrets", "secrets of Secrets Manager", there.counts.get("AWS::SecretsManager::Secret", 0), p.SECRET)
    yield Line("network", "hosted zone", there.counts.get("AWS::Route53::HostedZone", 0), p.ZONE)
    yield Line("network", "NAT gateways", there.counts.get("AWS::EC2::NatGateway", 0) * p.MONTH_H, p.NAT_H)


def _warm(functions: Sequence[Function], provisioned: Mapping[str, int]) -> Iterator[Line]:
    for function in functions:
        kept = provisioned.get(function.name, 0)
        gb_s = kept * function.memory_gb * p.MONTH_H * p.HOUR_S
        yield Line("realtime", f"{function.name} kept warm, {kept} of it", gb_s, p.LAMBDA_PROVISIONED_GB_S)


# --- what use adds --------------------------------------------------------------------------------------------------


def _used(there: Inventory, usage: Usage) -> Iterator[Line]:
    yield from _called(there, usage)
    yield from _worked(there, usage)
    if there.tables:
        yield from _stored(there, usage)
    if there.counts.get("AWS::ECR::Repository"):
        versions = there.images * usage.versions_kept
        yield Line("images", "images kept", versions * usage.image_gb, p.IMAGE_GB, f"{versions} of {usage.image_gb} GB")
    if there.counts.get("AWS::Logs::LogGroup"):
        written = (usage.predictions * usage.log_kb_per_prediction) / GB_KB + usage.runs * usage.log_mb_per_run / GB_MB
        yield Line("logs", "log lines written", written, p.LOG_IN_GB)
        yield Line("logs", "log lines kept", written, p.LOG_KEPT_GB)
    yield from _sent(there, usage)


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
    yield Line("realtime", "calls of functions", calls, p.LAMBDA_REQUEST, "the dispatcher looks every minute")
    yield Line("realtime", "time of functions (x86)", gb_s, p.LAMBDA_GB_S)
    yield Line("realtime", "time of functions (ARM)", arm_gb_s, p.LAMBDA_ARM_GB_S)
    ticks = sum(f.calls for f in there.functions)
    yield Line("realtime", "calls by schedules", ticks, p.SCHEDULER_CALL)


def _worked(there: Inventory, usage: Usage) -> Iterator[Line]:
    """Batch runs spread evenly over the predictors with workers; a worker's start is paid for, too."""
    kinds = len(there.workers) + len(there.on_gpu)
    if not kinds or not usage.runs:
        return
    hours = usage.runs / kinds * (usage.run_s + START_S) / p.HOUR_S
    share, note = (p.SPOT_SHARE.usd, "on Spot, which varies") if there.are_workers_on_spot else (1.0, "")
    for machine, count in Counter(replace(worker, name="workers") for worker in there.workers).items():
        yield from _fargate("batch", "workers", machine, hours * count, note, share)
    yield Line("batch", "workers' public addresses", hours * len(there.workers), p.ADDRESS_H)
    yield Line("batch", "workers with a GPU (g4dn.xlarge)", hours * len(there.on_gpu), p.GPU_H)


def _fargate(
    subject: str, name: str, machine: Machine, hours: float, note: str = "", share: float = 1.0
) -> Iterator[Line]:
    kind = "ARM" if machine.is_arm else "x86"
    vcpu, gb = (p.FARGATE_ARM_VCPU_H, p.FARGATE_ARM_GB_H) if machine.is_arm else (p.FARGATE_VCPU_H, p.FARGATE_GB_H)
    yield Line(subject, f"{name}, {machine.vcpu:g} vCPU ({kind})", hours * machine.vcpu, vcpu, note, share)
    yield Line(subject, f"{name}, {machine.memory_gb:g} GB ({kind})", hours * machine.memory_gb, gb, note, share)


def _stored(there: Inventory, usage: Usage) -> Iterator[Line]:
    if there.capacity is None:
        beats = usage.runs * usage.run_s / p.HEARTBEAT_S
        writes = usage.predictions * p.REALTIME_WRITES + usage.runs * p.BATCH_WRITES + beats
        ticks = sum(f.calls for f in there.functions)
        yield Line("table", "writes", writes, p.DYNAMODB_WRITE)
        yield Line("table", "reads", ticks * TICK_READS + usage.users * READS_PER_USER, p.DYNAMODB_READ)
    kept_gb = usage.predictions * usage.kb_per_prediction / GB_KB + usage.runs * usage.mb_per_run / GB_MB
    yield Line("table", "what it keeps", kept_gb / 2, p.DYNAMODB_GB)
    if there.has_recovery:
        yield Line("table", "point-in-time recovery", kept_gb / 2, p.DYNAMODB_RECOVERY_GB)
    yield Line("files", "what they keep", kept_gb / 2, p.S3_GB, "of one month: it adds up")
    yield Line("files", "files written", usage.predictions + 2 * usage.runs, p.S3_PUT, "at most one a prediction")
    yield Line("files", "files read", 2 * usage.predictions + 4 * usage.runs, p.S3_GET)


def _sent(there: Inventory, usage: Usage) -> Iterator[Line]:
    sent_gb = usage.users * usage.mb_per_user / GB_MB
    if there.has_cloudfront:
        yield Line("pages", "sent to people by CloudFront", sent_gb, p.CLOUDFRONT_GB)
        yield Line("pages", "requests of CloudFront", usage.users * REQUESTS_PER_USER, p.CLOUDFRONT_REQUEST)
    elif any(there.balancers):
        yield Line("pages", "sent to people", sent_gb, p.DATA_OUT_GB)
    if there.balancers:
        yield Line("load balancer", "what goes through it", sent_gb, p.BALANCER_LCU_H, "a GB an hour is one LCU")
