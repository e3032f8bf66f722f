"""`matinee plan`: what a deployment would do and cost. Nothing is built, pushed or changed; questions are taken back.

An unchanged app costs at most twenty calls: its stacks say by themselves which templates they were made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from matinee.deploy import desired_state, preflight
from matinee.deploy.cloud import Cloud, Note, Report, Step, Tools, silent
from matinee.deploy.current_state import CurrentState, open_stage, read_current_state
from matinee.deploy.desired_state import App, DesiredState, Version, plan_desired_state, read_app, secrets_of
from matinee.deploy.stack_changes import discard, make_change_set
from matinee.deploy.stack_events import kind_of
from matinee.deploy.stack_state import USABLE, Change, Effect, StackSpec, StackState


def plan(path: Path, stage: str, tools: Tools, report: Report = silent) -> Summary:
    """Return what `deploy` would do. Raises UsageError for what stands in its way."""
    report(Step("Reading the app"))
    app = read_app(path, stage, tools, report)
    cloud = open_stage(app.names, app.project.aws.region, tools)
    report(Step(f"Looking at {app.names.base} in account {cloud.account}, {cloud.region}"))
    current = read_current_state(cloud, shared_network=not app.project.aws.vpc)
    optional, _ = preflight.secrets_or_refuse(cloud, secrets_of(app))
    desired = plan_desired_state(app, current, optional)
    if current.app is None:
        makes_network = current.network is None and not desired.blueprint.aws.vpc
        preflight.before_the_first(cloud, desired.blueprint, makes_network=makes_network, report=report)
    lines = (*_base_lines(cloud, tools, desired, current, report), *_app_lines(cloud, tools, desired, current, report))
    summary = _summarise(app, cloud, current, desired)
    return replace(summary, lines=lines)


def _summarise(app: App, cloud: Cloud, current: CurrentState, desired: DesiredState) -> Summary:
    is_first = current.app is None
    warnings = preflight.warnings_of(desired.blueprint) if is_first else ()
    return Summary(
        app.stage,
        cloud.account,
        cloud.region,
        is_first,
        (),
        desired.versions,
        current.live.aws.monthly_usd,
        desired_state.monthly_usd(desired.blueprint),
        warnings,
    )


def _base_lines(
    cloud: Cloud, tools: Tools, desired: DesiredState, current: CurrentState, report: Report
) -> tuple[Line, ...]:
    lines = _compare(cloud, desired_state.data_spec(cloud, tools, desired.blueprint), current.data, report)
    if desired.blueprint.aws.vpc or desired_state.is_newer_network(current.network):
        return lines
    return (
        *_compare(cloud, desired_state.network_spec(cloud, tools, current.network), current.network, report),
        *lines,
    )


def _app_lines(
    cloud: Cloud, tools: Tools, desired: DesiredState, current: CurrentState, report: Report
) -> tuple[Line, ...]:
    inputs = desired_state.stack_inputs(cloud, desired, current.network, current.data)
    if current.app is None or inputs is None:
        return tuple(
            line for spec in desired_state.preview_specs(tools, desired.blueprint) for line in additions_of(spec)
        )
    images = desired_state.references(cloud, desired_state.digests(desired, current, {}))
    spec = desired_state.app_spec(cloud, tools, desired.blueprint, current.app, inputs, images)
    lines = _compare(cloud, spec, current.app, report)
    if current.edge is not None and desired.blueprint.aws.edge != "cloudfront":
        return (*lines, address_removal(cloud.names.edge_stack))
    edge = desired_state.edge_spec(cloud, tools, desired.blueprint, current.app)
    return (*lines, *(_compare(cloud, edge, current.edge, report) if edge else ()))


def _compare(cloud: Cloud, spec: StackSpec, state: StackState | None, report: Report) -> tuple[Line, ...]:
    """Return what would change of one stack; a stack that is stuck or busy is said and not compared."""
    if state is not None and state.matches(spec):
        return ()
    if state is not None and state.status not in USABLE:
        report(Note(f"The stack {spec.name} is in {state.status}: `matinee deploy` brings it out of that first."))
        return ()
    change_set = make_change_set(cloud, spec, is_new=state is None)
    if change_set is None:
        return ()
    discard(cloud, change_set)
    return lines_of(spec, change_set.changes)


# --- the summary of a plan --------------------------------------------------------------------------------------------
# What a deployment would do, as people understand it: what is added, changed, replaced, removed; what it costs.

Json = Any
# What holds people's data: that one of these goes is said in words of its own.
PRECIOUS = frozenset({"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::ECR::Repository"})
_NAMES = ("FunctionName", "ServiceName", "TableName", "BucketName", "RepositoryName", "ClusterName", "Family",
          "RoleName", "LogGroupName", "AlarmName", "DashboardName", "Name")  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One resource: what happens to it. `because` are the properties that change; `stack` says where it belongs."""

    effect: Effect
    kind: str
    name: str
    stack: str
    because: tuple[str, ...] = ()
    may_replace: bool = False
    is_precious: bool = False


@dataclass(frozen=True)
class Summary:
    """`monthly_usd` is None where it is not known, before and after."""

    stage: str
    account: str
    region: str
    is_first: bool
    lines: tuple[Line, ...] = ()
    versions: tuple[Version, ...] = ()
    monthly_usd_before: float | None = None
    monthly_usd_after: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.lines and all(v.before == v.after for v in self.versions)

    def count(self, effect: Effect) -> int:
        """Return how many resources this happens to."""
        return sum(line.effect == effect for line in self.lines)

    @property
    def lost(self) -> tuple[Line, ...]:
        """What holds people's data and would go."""
        return tuple(line for line in self.lines if line.is_precious and line.effect in ("remove", "replace"))


def lines_of(spec: StackSpec, changes: Iterable[Change]) -> tuple[Line, ...]:
    """Return a change set's changes."""
    resources: Mapping[str, Json] = spec.template.get("Resources", {})
    return tuple(
        Line(
            change.effect,
            kind_of(change.type),
            _name(change.resource, resources.get(change.resource, {}), change.physical),
            spec.name,
            change.properties,
            change.may_replace,
            change.type in PRECIOUS,
        )
        for change in changes
    )


def address_removal(stack: str) -> Line:
    """Return that CloudFront's address goes with its stack."""
    return Line("remove", "public address", "CloudFront", stack)


def additions_of(spec: StackSpec) -> tuple[Line, ...]:
    """Return what a stack adds that does not exist yet."""
    found = spec.template.get("Resources", {}).items()
    return lines_of(spec, (Change("add", name, resource["Type"]) for name, resource in found))


def _name(logical: str, resource: Mapping[str, Json], physical: str) -> str:
    properties = resource.get("Properties", {})
    own = next((properties[key] for key in _NAMES if isinstance(properties.get(key), str)), "")
    return own or (physical if physical and ":" not in physical else "") or logical


# --- the context of a deployment --------------------------------------------------------------------------------------
# What all steps of one deployment share, and what comes of it.

Confirm = Callable[[Summary], bool]
DEFAULT_STAGE = "dev"


@dataclass(frozen=True)
class DeployOptions:
    """`may_wait`: for another deployment to end. `tries`: whether examples are run. `data_only`: table and bucket.

    `only`: a component, or a predictor of it, that goes live without a stack update. `share`: what part of the calls of
    its realtime predictors the new version gets.
    """

    stage: str = DEFAULT_STAGE
    only: str = ""
    share: float = 1.0
    data_only: bool = False
    may_wait: bool = True
    tries: bool = True


@dataclass(frozen=True)
class Deployed:
    """What is live now. `changed` is off when there was nothing to do, `declined` on when the person said no.

    `versions` are labels by component; `sign_in` is the mode of `[auth]`; `password` was made now and is shown once.
    """

    stage: str
    account: str
    region: str
    release: int = 0
    url: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    changed: bool = False
    declined: bool = False
    sign_in: str = ""
    password: str = field(default="", repr=False)
    seconds: float = 0.0


@dataclass(frozen=True)
class DeployContext:
    """One deployment on its way."""

    cloud: Cloud
    tools: Tools
    report: Report
    app: App
    current: CurrentState
    options: DeployOptions

    @property
    def who(self) -> str:
        """Who deploys, as a person is known: the last part of the caller's ARN."""
        return who(self.cloud)


def who(cloud: Cloud) -> str:
    """Return who asks, as a person is known."""
    return cloud.caller.rpartition("/")[2].rpartition(":")[2]


def agree_always(_: Summary) -> bool:
    """Agree to everything."""
    return True
