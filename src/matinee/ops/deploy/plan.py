"""`matinee plan`: what a deployment would do and cost. Nothing is built, pushed or changed; questions are taken back.

An unchanged app costs at most twenty calls: its stacks say by themselves which templates they were made from.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from matinee.ops.deploy import specs, target
from matinee.ops.deploy.app import App, read_app, secrets_of
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Note, Report, Step, silent
from matinee.ops.deploy.ground import Ground, open_stage, survey
from matinee.ops.deploy.preflight import checks
from matinee.ops.deploy.stacks.changes import discard, make_change_set
from matinee.ops.deploy.stacks.model import USABLE, StackSpec, StackState
from matinee.ops.deploy.summary import Line, Summary, address_goes, all_of, lines_of
from matinee.ops.deploy.target import Target, aim
from matinee.ops.deploy.tools import Tools


def plan(path: Path, stage: str, tools: Tools, report: Report = silent) -> Summary:
    """Return what `deploy` would do. Raises UsageError for what stands in its way."""
    report(Step("Reading the app"))
    app = read_app(path, stage, tools, report)
    cloud = open_stage(app.names, app.project.aws.region, tools)
    report(Step(f"Looking at {app.names.base} in account {cloud.account}, {cloud.region}"))
    ground = survey(cloud, shared_network=not app.project.aws.vpc)
    optional, _ = checks.secrets_or_refuse(cloud, secrets_of(app))
    aimed = aim(app, ground, optional)
    if ground.app is None:
        makes_network = ground.network is None and not aimed.blueprint.aws.vpc
        checks.before_the_first(cloud, aimed.blueprint, makes_network=makes_network, report=report)
    lines = (*_base(cloud, tools, aimed, ground, report), *_app(cloud, tools, aimed, ground, report))
    summary = _summary(app, cloud, ground, aimed)
    return replace(summary, lines=lines)


def _summary(app: App, cloud: Cloud, ground: Ground, aimed: Target) -> Summary:
    is_first = ground.app is None
    warnings = checks.warnings_of(aimed.blueprint) if is_first else ()
    return Summary(
        app.stage,
        cloud.account,
        cloud.region,
        is_first,
        (),
        aimed.versions,
        ground.live.aws.monthly_usd,
        target.monthly_usd(aimed.blueprint),
        warnings,
    )


def _base(cloud: Cloud, tools: Tools, aimed: Target, ground: Ground, report: Report) -> tuple[Line, ...]:
    lines = _lines(cloud, specs.data_spec(cloud, tools, aimed.blueprint), ground.data, report)
    if aimed.blueprint.aws.vpc:
        return lines
    return (*_lines(cloud, specs.network_spec(cloud, tools, ground.network), ground.network, report), *lines)


def _app(cloud: Cloud, tools: Tools, aimed: Target, ground: Ground, report: Report) -> tuple[Line, ...]:
    told = target.facts(cloud, aimed, ground.network, ground.data)
    if ground.app is None or told is None:
        return tuple(line for spec in specs.sketch(tools, aimed.blueprint) for line in all_of(spec))
    images = target.references(cloud, target.digests(aimed, ground, {}))
    spec = specs.app_spec(cloud, tools, aimed.blueprint, ground.app, told, images)
    lines = _lines(cloud, spec, ground.app, report)
    if ground.edge is not None and aimed.blueprint.aws.edge != "cloudfront":
        return (*lines, address_goes(cloud.names.edge_stack))
    edge = specs.edge_spec(cloud, tools, aimed.blueprint, ground.app)
    return (*lines, *(_lines(cloud, edge, ground.edge, report) if edge else ()))


def _lines(cloud: Cloud, spec: StackSpec, state: StackState | None, report: Report) -> tuple[Line, ...]:
    """Return what would change of one stack; a stack that is stuck or busy is said and not compared."""
    if state is not None and state.is_as(spec):
        return ()
    if state is not None and state.status not in USABLE:
        report(Note(f"The stack {spec.name} is in {state.status}: `matinee deploy` brings it out of that first."))
        return ()
    change_set = make_change_set(cloud, spec, is_new=state is None)
    if change_set is None:
        return ()
    discard(cloud, change_set)
    return lines_of(spec, change_set.changes)
