"""`matinee cost`: the bill of an app's stage, what its switches would save, and the layouts beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matinee.environments.inspect import inspect_app
from matinee.errors import ComponentError
from matinee.manifest import ComponentManifest
from matinee.names import check_stage
from matinee.ops.cost.bill import Bill, Usage
from matinee.ops.cost.layout_2020 import CLAIMED_USD, TEMPLATE
from matinee.ops.cost.monthly import monthly_cost
from matinee.project import Aws, load
from matinee.project.aws import Capacity, OfficeHours
from matinee.stack import Blueprint, Template, app_template, data_template, edge_template, network_template

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
    """A stage's bill, its switches (the largest saving first), the default layout and the one of 2020."""

    stage: str
    bill: Bill
    switches: tuple[Switch, ...]
    default_usd: float
    of_2020: Bill
    claimed_2020_usd: tuple[float, ...] = CLAIMED_USD


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
