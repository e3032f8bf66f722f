"""What there is in an app's templates that costs money. Reads CloudFormation as JSON values; prices nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matinee.errors import UsageError
from matinee.prices import MONTH_H
from matinee.schedule import parse
from matinee.settings import SPOT

Json = Any
TemplateJson = Mapping[str, Json]
_WEEKS = 4  # looked at to know how many hours of a month the UI is awake
_MONDAY = 345_600.0  # the first one of the epoch, midnight UTC
_BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
_ADDRESSES = 2  # of a public load balancer, where nobody says how many subnets there are: the least AWS allows

PRICED = {
    "AWS::ApplicationAutoScaling::ScalableTarget", "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::Batch::JobDefinition", "AWS::CloudFront::Distribution", "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard", "AWS::DynamoDB::Table", "AWS::EC2::NatGateway", "AWS::ECR::Repository",
    "AWS::ECS::Service", "AWS::ECS::TaskDefinition", "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::Lambda::Function", "AWS::Logs::LogGroup", "AWS::Logs::MetricFilter", "AWS::Route53::HostedZone",
    "AWS::S3::Bucket", "AWS::Scheduler::Schedule", "AWS::SecretsManager::Secret",
}  # fmt: skip
COSTS_NOTHING = {  # by itself: what it starts, keeps or lets through is priced elsewhere
    "AWS::Batch::ComputeEnvironment", "AWS::Batch::JobQueue", "AWS::Budgets::Budget", "AWS::CloudFront::Function",
    "AWS::CloudFront::OriginAccessControl", "AWS::CloudFront::ResponseHeadersPolicy", "AWS::CloudFront::VpcOrigin",
    "AWS::EC2::InternetGateway", "AWS::EC2::Route", "AWS::EC2::RouteTable", "AWS::EC2::SecurityGroup",
    "AWS::EC2::SecurityGroupEgress", "AWS::EC2::SecurityGroupIngress", "AWS::EC2::Subnet",
    "AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::VPC", "AWS::EC2::VPCEndpoint", "AWS::EC2::VPCGatewayAttachment",
    "AWS::ECS::CapacityProvider", "AWS::ECS::Cluster", "AWS::ECS::ClusterCapacityProviderAssociations",
    "AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancingV2::ListenerRule",
    "AWS::ElasticLoadBalancingV2::TargetGroup", "AWS::Events::Rule", "AWS::IAM::InstanceProfile", "AWS::IAM::Role",
    "AWS::Lambda::Alias", "AWS::Lambda::Permission", "AWS::Route53::RecordSet", "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription", "AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::Scheduler::ScheduleGroup",
}  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """A task on Fargate."""

    name: str
    vcpu: float
    memory_gb: float
    is_arm: bool


@dataclass(frozen=True)
class Service:
    """Tasks that always run: so many, so many hours a month, some of them on Spot capacity."""

    machine: Machine
    tasks: int
    on_spot: int
    hours: float
    is_public: bool


@dataclass(frozen=True)
class Function:
    """A Lambda function. `calls`: how often a schedule calls it in a month."""

    name: str
    memory_gb: float
    is_arm: bool
    calls: float = 0.0


@dataclass(frozen=True)
class Inventory:
    """What is there. `capacity` is (read, write) units in all, None = on demand."""

    services: tuple[Service, ...] = ()
    functions: tuple[Function, ...] = ()
    workers: tuple[Machine, ...] = ()
    are_workers_on_spot: bool = False
    on_gpu: tuple[str, ...] = ()
    balancers: tuple[bool, ...] = ()  # whether each is public
    addresses: int = 0  # public ones of the load balancers: one in every subnet of theirs
    metrics: int = 0  # made from log lines
    retention_days: int = 0  # of log lines: the longest of all groups
    tables: int = 0
    capacity: tuple[int, int] | None = None
    has_recovery: bool = False
    has_cloudfront: bool = False
    images: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)  # by type, of all resources

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Types nobody here knows."""
        return tuple(sorted(self.counts.keys() - PRICED - COSTS_NOTHING))


def take(templates: Sequence[TemplateJson]) -> Inventory:
    """Return what these templates have together."""
    found = [(name, item) for template in templates for name, item in template.get("Resources", {}).items()]
    counts: dict[str, int] = {}
    for _, item in found:
        counts[item["Type"]] = counts.get(item["Type"], 0) + 1
    definitions = dict(_of(found, "AWS::ECS::TaskDefinition"))
    services = tuple(_service(name, told, definitions, found) for name, told in _of(found, "AWS::ECS::Service"))
    serving = {service.machine.name for service in services}
    tables = [told for _, told in _of(found, "AWS::DynamoDB::Table")]
    functions = list(_of(found, "AWS::Lambda::Function"))
    return Inventory(
        services=services,
        functions=tuple(_function(name, told, found) for name, told in functions),
        workers=tuple(_machine(name, told) for name, told in definitions.items() if name not in serving),
        are_workers_on_spot=any(_environment(told).get(SPOT) == "1" for _, told in functions),
        on_gpu=tuple(name for name, _ in _of(found, "AWS::Batch::JobDefinition")),
        balancers=tuple(_is_public(balancer) for _, balancer in _of(found, _BALANCER)),
        addresses=sum(_addresses(balancer, counts) for _, balancer in _of(found, _BALANCER) if _is_public(balancer)),
        metrics=len(set(_metrics(found))),
        retention_days=max(
            (group.get("RetentionInDays", 0) for _, group in _of(found, "AWS::Logs::LogGroup")), default=0
        ),
        tables=len(tables),
        capacity=_capacity(tables),
        has_recovery=any(
            told.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled") for told in tables
        ),
        has_cloudfront="AWS::CloudFront::Distribution" in counts,
        images=len(set(_images(found))),
        counts=counts,
    )


def _of(found: Sequence[tuple[str, Json]], kind: str) -> Iterator[tuple[str, Json]]:
    return ((name, item.get("Properties", {})) for name, item in found if item["Type"] == kind)


def _is_public(balancer: Json) -> bool:
    return bool(balancer.get("Scheme", "internet-facing") == "internet-facing")


def _addresses(balancer: Json, counts: Mapping[str, int]) -> int:
    """Return how many subnets a load balancer is in: those it names, else those that are made."""
    subnets = balancer.get("Subnets")
    return len(subnets) if isinstance(subnets, list) else max(_ADDRESSES, counts.get("AWS::EC2::Subnet", 0))


def _metrics(found: Sequence[tuple[str, Json]]) -> Iterator[tuple[str, str]]:
    """Yield namespace and name of each metric that filters write: two filters may write the same."""
    for name, one in _of(found, "AWS::Logs::MetricFilter"):
        for metric in one.get("MetricTransformations", [{}]):
            yield str(metric.get("MetricNamespace", "")), str(metric.get("MetricName", name))


def _images(found: Sequence[tuple[str, Json]]) -> Iterator[str]:
    for _, told in _of(found, "AWS::Lambda::Function"):
        yield str(told.get("Code", {}).get("ImageUri"))
    for _, told in _of(found, "AWS::ECS::TaskDefinition"):
        yield from (str(container.get("Image")) for container in told.get("ContainerDefinitions", []))


def _environment(function: Json) -> Mapping[str, Json]:
    told: Mapping[str, Json] = function.get("Environment", {}).get("Variables", {})
    return told


def _machine(name: str, told: Json) -> Machine:
    is_arm = told.get("RuntimePlatform", {}).get("CpuArchitecture") == "ARM64"
    return Machine(name, int(told.get("Cpu", 256)) / 1024, int(told.get("Memory", 512)) / 1024, is_arm)


def _service(name: str, told: Json, definitions: Mapping[str, Json], found: Sequence[tuple[str, Json]]) -> Service:
    definition = told["TaskDefinition"]["Ref"]
    network = told.get("NetworkConfiguration", {}).get("AwsvpcConfiguration", {})
    tasks, hours = int(told.get("DesiredCount", 1)), MONTH_H
    for _, target in _of(found, "AWS::ApplicationAutoScaling::ScalableTarget"):
        if name in str(target.get("ResourceId")):
            tasks, hours = int(target["MinCapacity"]), awake_hours(target.get("ScheduledActions") or [])
    machine = _machine(definition, definitions[definition])
    return Service(machine, tasks, _on_spot(told, tasks), hours, network.get("AssignPublicIp") == "ENABLED")


def _on_spot(service: Json, tasks: int) -> int:
    """Return how many of the tasks are on Spot capacity: those beyond the base, if there is any Spot at all."""
    strategy = {item["CapacityProvider"]: item for item in service.get("CapacityProviderStrategy", [])}
    return max(0, tasks - int(strategy.get("FARGATE", {}).get("Base", 0))) if "FARGATE_SPOT" in strategy else 0


def awake_hours(actions: Sequence[Json]) -> float:
    """Return how many hours of a month a service runs that these actions put to sleep (capacity 0) and wake."""
    end = _MONDAY + _WEEKS * 7 * 86_400
    moments: list[tuple[float, bool]] = []
    for action in actions:
        wakes = int(action["ScalableTargetAction"].get("MaxCapacity", 1)) > 0
        moments += [(at, wakes) for at in _times(action["Schedule"], _MONDAY, end)]
    if not moments:
        return MONTH_H
    moments.sort()
    is_awake, since, awake_s = moments[-1][1], _MONDAY, 0.0  # as the week before has ended
    for at, wakes in [*moments, (end, False)]:
        awake_s += (at - since) if is_awake else 0.0
        is_awake, since = wakes, at
    return MONTH_H * awake_s / (end - _MONDAY)


def _times(expression: str, after: float, until: float) -> Iterator[float]:
    schedule, at = parse(expression), after - 1
    while (found := schedule.next_after(at)) is not None and found < until:
        yield found
        at = found


def _function(name: str, told: Json, found: Sequence[tuple[str, Json]]) -> Function:
    calls = sum(_calls(schedule) for _, schedule in _of(found, "AWS::Scheduler::Schedule") if _targets(schedule, name))
    is_arm = told.get("Architectures") == ["arm64"]
    return Function(str(told.get("FunctionName", name)), int(told.get("MemorySize", 128)) / 1024, is_arm, calls)


def _targets(schedule: Json, function: str) -> bool:
    """Whether a schedule calls this function: by itself, or by an alias that is called as it is."""
    target = str(schedule.get("Target", {}).get("Arn"))
    return function in target or function.removesuffix("Function") + "Alias" in target


def _calls(schedule: Json) -> float:
    """Return how often a schedule is due in a month."""
    if schedule.get("State") == "DISABLED":
        return 0.0
    end = _MONDAY + _WEEKS * 7 * 86_400
    try:
        due = sum(1 for _ in _times(schedule["ScheduleExpression"], _MONDAY, end))
    except UsageError:  # at(…): once
        return 1.0
    return due * MONTH_H * 3600 / (end - _MONDAY)


def _capacity(tables: Sequence[Json]) -> tuple[int, int] | None:
    """Return the read and write units of tables and indexes, None where they are paid by request."""
    given = [
        one["ProvisionedThroughput"]
        for told in tables
        if told.get("BillingMode") == "PROVISIONED"
        for one in (told, *told.get("GlobalSecondaryIndexes", []))
    ]
    if not given:
        return None
    return sum(int(g["ReadCapacityUnits"]) for g in given), sum(int(g["WriteCapacityUnits"]) for g in given)
