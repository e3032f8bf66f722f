"""`matinee deploy`, from the folder to the URL:

    app             load, inspect, images named by content                                desired_state
    current state   the stacks (stuck ones brought out of it), the release, known images  current_state
    preflight       names, sizes, secrets; the first time permissions, quotas, roles      preflight
    summary         what is added, changed, replaced, removed; the person agrees          plan
    images          what the repository lacks is built and pushed, in parallel            registry, remote_build
    stacks          network and data, then the app's change set, with every resource's    stack_changes,
                    progress; a failure rolls back and says why                           stack_events
    versions        function versions, each called by number with an example              versions, publish
    release         history, aliases, then the one item that makes it live                current_state
    address         the public address, before whatever may fail                          publish
    extras          processes kept warm, the tag of costs, old images and versions        publish
    smoke run       one batch run; a release that fails it is taken back                  publish
    last            what only the former release had                                      pipeline

Every step looks before it acts, so the same command goes on where one was interrupted, at any point. Until the release
is put, callers are answered by the release before. Nothing is built, pushed or made before the person agrees: a stack
that a former deployment left stuck is brought out of that, and a change set is a question that is taken back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from matinee.deploy import current_state, desired_state, preflight, registry
from matinee.deploy.cloud import UI_COMPONENT, Report, Step, Tools, WantedImage, silent
from matinee.deploy.current_state import look_and_settle, open_stage, read_current_state
from matinee.deploy.desired_state import App, DesiredState, plan_desired_state, read_app, secrets_of
from matinee.deploy.drain import awake
from matinee.deploy.plan import (
    Confirm,
    DeployContext,
    Deployed,
    DeployOptions,
    Line,
    Summary,
    additions_of,
    address_removal,
    agree_always,
    lines_of,
)
from matinee.deploy.publish import finish
from matinee.deploy.releases import deploy_partial
from matinee.deploy.stack_changes import apply, delete_stack, discard, execute, make_change_set, settle
from matinee.deploy.stack_state import ChangeSet, StackSpec, StackState, describe
from matinee.errors import MatineeError, NotFoundError
from matinee.names import NETWORK_STACK
from matinee.settings import PASSWORD

__all__ = ["DeployOptions", "Deployed", "deploy"]


def deploy(
    path: Path, options: DeployOptions, tools: Tools, report: Report = silent, confirm: Confirm = agree_always
) -> Deployed:
    """Bring the app at `path` live on a stage. `confirm` is asked once, before anything is made that costs.

    Raises UsageError for what stands in the way, BackendError with the first cause of what failed; what was live before
    goes on.
    """
    began = time.monotonic()
    report(Step("Reading the app"))
    app = read_app(path, options.stage, tools, report, name=options.only, with_images=not options.data_only)
    cloud = open_stage(app.names, app.project.aws.region, tools)
    report(Step(f"Looking at {app.names.base} in account {cloud.account}, {cloud.region}"))
    current = read_current_state(
        cloud, look_and_settle(report, may_wait=options.may_wait), shared_network=not app.project.aws.vpc
    )
    context = DeployContext(cloud, tools, report, app, current, options)
    how = _deploy_data if options.data_only else deploy_partial if options.only else _deploy_all
    return replace(how(context, confirm), seconds=time.monotonic() - began)


def _deploy_all(context: DeployContext, confirm: Confirm) -> Deployed:
    optional, makeable = preflight.secrets_or_refuse(context.cloud, secrets_of(context.app))
    desired = plan_desired_state(context.app, context.current, optional)
    if context.current.app is not None:
        made: list[preflight.Made] = []

        def agreed_to(summary: Summary) -> bool:
            if confirm(summary):
                made.append(preflight.make_secrets(context.cloud, makeable))
            return bool(made)

        with _mention_password(made, context.options.stage):
            done = _deploy_again(context, desired, agreed_to)
        if not made and not done.declined:  # nothing to agree to, and one that was there is gone
            made.append(preflight.make_secrets(context.cloud, makeable))
        return replace(done, password=made[0].password if made else "")
    makes_network = context.current.network is None and not desired.blueprint.aws.vpc
    preflight.before_the_first(context.cloud, desired.blueprint, makes_network=makes_network, report=context.report)
    if not confirm(first_summary(context, desired)):
        return _declined_result(context)
    preflight.make_roles(context.cloud, desired.blueprint, context.report)
    first = preflight.make_secrets(context.cloud, makeable)
    with _mention_password([first], context.options.stage):
        return replace(_deploy_first(context, desired), password=first.password)


@contextmanager
def _mention_password(made: Sequence[preflight.Made], stage: str) -> Iterator[None]:
    """Have a failure say that a password was made: nobody has seen it, and the next deployment makes no other."""
    try:
        yield
    except MatineeError as error:
        if any(one.password for one in made):
            note = f"A password was made before, and not shown: matinee secret set {PASSWORD} --stage {stage}"
            error.hint = f"{error.hint} {note}".strip()
        raise


def _deploy_data(context: DeployContext, confirm: Confirm) -> Deployed:
    """Make table and bucket alone."""
    desired, state = plan_desired_state(context.app, context.current), context.current.data
    spec = desired_state.data_spec(context.cloud, context.tools, desired.blueprint)
    where = Deployed(context.options.stage, context.cloud.account, context.cloud.region)
    if state is not None and state.matches(spec):
        return where
    if not confirm(_summarise(context, desired, additions_of(spec), is_first=state is None)):
        return replace(where, declined=True)
    context.report(Step("Table and bucket"))
    apply(context.cloud, spec, context.report, may_wait=context.options.may_wait)
    return replace(where, changed=True)


# --- the first deployment -------------------------------------------------------------------------------------------


def first_summary(context: DeployContext, desired: DesiredState) -> Summary:
    """Return what a first deployment makes, from the templates alone."""
    blueprint, current = desired.blueprint, context.current
    specs = [*desired_state.preview_specs(context.tools, blueprint)]
    if current.data is None:
        specs.insert(0, desired_state.data_spec(context.cloud, context.tools, blueprint))
    if current.network is None and not blueprint.aws.vpc:
        specs.insert(0, desired_state.network_spec(context.cloud, context.tools, None))
    lines = tuple(line for spec in specs for line in additions_of(spec))
    return _summarise(context, desired, lines, preflight.warnings_of(blueprint), is_first=True)


def _deploy_first(context: DeployContext, desired: DesiredState) -> Deployed:
    network, data = _base_stacks(context, desired)
    # A table and a repository that were kept have a history and images.
    known, images = current_state.read_release(context.cloud), registry.images(context.cloud)
    current = replace(context.current, network=network, data=data, live=known, images=images)
    context = replace(context, current=current)
    desired = plan_desired_state(context.app, current, desired.blueprint.optional_secrets)
    digests = desired_state.digests(desired, current, push_images(context, desired))
    spec = _app_spec(context, desired, digests)
    context.report(Step("What runs"))
    state = apply(context.cloud, spec, context.report, may_wait=context.options.may_wait)
    return finish(context, desired, spec, state, digests)


def _base_stacks(context: DeployContext, desired: DesiredState) -> tuple[StackState | None, StackState]:
    """Bring data and network to what is wanted. Data comes first: it says that the network has an app (`destroy`)."""
    context.report(Step("What is kept: images, table, bucket"))
    spec = desired_state.data_spec(context.cloud, context.tools, desired.blueprint)
    data = apply(context.cloud, spec, context.report, may_wait=context.options.may_wait)
    if desired.blueprint.aws.vpc:
        return None, data
    context.report(Step("The network"))
    network = settle(context.cloud, NETWORK_STACK, context.report, may_wait=context.options.may_wait)
    if network is None or not desired_state.is_newer_network(network):
        spec = desired_state.network_spec(context.cloud, context.tools, network)
        network = apply(context.cloud, spec, context.report, may_wait=context.options.may_wait)
    return network, data


def push_images(context: DeployContext, desired: DesiredState) -> Mapping[str, str]:
    """Build and push what the repository lacks; return the digests by component."""
    if not desired.missing:
        return {}
    context.report(Step(f"Images: {', '.join(image.component for image in desired.missing)}"))
    return context.tools.images.push(desired.missing, context.cloud, context.report)


def _app_spec(
    context: DeployContext, desired: DesiredState, digests: Mapping[str, str], dropped: Mapping[str, str] | None = None
) -> StackSpec:
    """Return the app's stack; `dropped` are references of images that only the former release has."""
    inputs = desired_state.stack_inputs(context.cloud, desired, context.current.network, context.current.data)
    assert inputs is not None, "network and data are there"
    images = {**(dropped or {}), **desired_state.references(context.cloud, digests)}
    return desired_state.app_spec(context.cloud, context.tools, desired.blueprint, context.current.app, inputs, images)


# --- later deployments ----------------------------------------------------------------------------------------------


def _deploy_again(context: DeployContext, desired: DesiredState, confirm: Confirm) -> Deployed:
    sets = base_changes(context, desired)
    current = context.current
    if sets or desired_state.stack_inputs(context.cloud, desired, current.network, current.data) is None:
        return _deploy_base_changes(context, desired, sets, confirm)
    assert current.app is not None, "later means that it is there"
    spec = _app_spec(context, desired, desired_state.digests(desired, current, {}))
    if not current.app.matches(spec):
        live = current.live.release.predictors if current.live.release else ()
        preflight.before_a_change(context.cloud, desired.blueprint, context.report, live)
    change_set = app_changes(context, spec)
    lines = (*(lines_of(spec, change_set.changes) if change_set else ()), *edge_lines(context, desired))
    summary = _summarise(context, desired, lines)
    mark = desired_state.content(desired, spec, current.app.id)
    is_live = summary.is_empty and not desired.missing and current.live.aws.content == mark
    if not is_live and not confirm(summary):
        if change_set:
            discard(context.cloud, change_set)
        return _declined_result(context)
    if change_set and desired.missing:  # it names images that are only built now
        discard(context.cloud, change_set)
        change_set = None
    return _deploy_app(context, desired, change_set)


def _deploy_app(context: DeployContext, desired: DesiredState, change_set: ChangeSet | None = None) -> Deployed:
    """Push what is missing, update the app's stack and make the release live; then remove what only the former had."""
    digests = desired_state.digests(desired, context.current, push_images(context, desired))
    spec = _app_spec(context, desired, digests)
    between = _spec_with_dropped(context, desired, digests)
    if between and change_set:
        discard(context.cloud, change_set)
        change_set = None
    state = _execute_app_changes(context, desired, change_set or app_changes(context, between or spec))
    done = finish(context, desired, spec, state, digests)
    if between:
        context.report(Step("What only the former release had"))
        apply(context.cloud, spec, context.report, may_wait=context.options.may_wait)
    return done


def _spec_with_dropped(context: DeployContext, desired: DesiredState, digests: Mapping[str, str]) -> StackSpec | None:
    """Return the app's stack with the predictors that this deployment drops: they answer until the release is live.

    None when none is dropped.
    """
    blueprint, images = desired_state.with_dropped(desired.blueprint, context.current)
    if blueprint is desired.blueprint:
        return None
    between = replace(desired, blueprint=blueprint)
    return _app_spec(context, between, digests, images)


def base_changes(context: DeployContext, desired: DesiredState) -> list[tuple[StackSpec, ChangeSet]]:
    """Return what would change of network and data."""
    stacks = [(desired_state.data_spec(context.cloud, context.tools, desired.blueprint), context.current.data)]
    network = context.current.network
    if not desired.blueprint.aws.vpc and not desired_state.is_newer_network(network):
        stacks.append((desired_state.network_spec(context.cloud, context.tools, network), network))
    found = []
    for spec, state in stacks:
        if state is None or not state.matches(spec):
            change_set = make_change_set(context.cloud, spec, is_new=state is None)
            found += [(spec, change_set)] if change_set else []
    return found


def app_changes(context: DeployContext, spec: StackSpec) -> ChangeSet | None:
    """Return what would change of the app, None for nothing."""
    state = context.current.app
    assert state is not None, "asked for an app that is there"
    return None if state.matches(spec) else make_change_set(context.cloud, spec, is_new=False)


def edge_lines(context: DeployContext, desired: DesiredState) -> tuple[Line, ...]:
    """Return what the public address adds, where it is not there yet; or that it goes."""
    if context.current.edge is not None and desired.blueprint.aws.edge != "cloudfront":
        return (address_removal(context.cloud.names.edge_stack),)
    if context.current.edge is not None or context.current.app is None:
        return ()
    spec = desired_state.edge_spec(context.cloud, context.tools, desired.blueprint, context.current.app)
    return additions_of(spec) if spec else ()


def _deploy_base_changes(
    context: DeployContext, desired: DesiredState, sets: list[tuple[StackSpec, ChangeSet]], confirm: Confirm
) -> Deployed:
    """Ask for network and data, then bring the app along: its stack's parameters come from theirs."""
    lines = tuple(line for spec, change_set in sets for line in lines_of(spec, change_set.changes))
    warnings = ("What runs follows from that; it is not compared beforehand.",)
    if not confirm(_summarise(context, desired, lines, warnings)):
        for _, change_set in sets:
            discard(context.cloud, change_set)
        return _declined_result(context)
    for spec, change_set in sets:
        context.report(Step(f"The stack {spec.name}"))
        execute(context.cloud, change_set, context.report)
    network, data = _base_stacks(context, desired)
    return _deploy_app(replace(context, current=replace(context.current, network=network, data=data)), desired)


def _execute_app_changes(context: DeployContext, desired: DesiredState, change_set: ChangeSet | None) -> StackState:
    state = context.current.app
    assert state is not None, "asked for an app that is there"
    _without_edge(context, desired)
    if change_set is None:
        return state
    context.report(Step("What runs"))
    with awake(context.cloud, context.report):
        return execute(context.cloud, change_set, context.report)


def _without_edge(context: DeployContext, desired: DesiredState) -> None:
    """Remove an address that is not wanted any more: it holds the load balancer that is about to go, and its name."""
    if context.current.edge is not None and desired.blueprint.aws.edge != "cloudfront":
        context.report(Step("The former public address (CloudFront takes minutes)"))
        delete_stack(context.cloud, context.current.edge, context.report)


# --- summary of a deployment ----------------------------------------------------------------------------------------


def _summarise(
    context: DeployContext,
    desired: DesiredState,
    lines: tuple[Line, ...],
    warnings: tuple[str, ...] = (),
    *,
    is_first: bool = False,
) -> Summary:
    cloud = context.cloud
    return Summary(
        cloud.names.stage,
        cloud.account,
        cloud.region,
        is_first,
        lines,
        desired.versions,
        context.current.live.aws.monthly_usd,
        None if context.options.data_only else desired_state.monthly_usd(desired.blueprint),
        warnings,
    )


def _declined_result(context: DeployContext) -> Deployed:
    return Deployed(context.options.stage, context.cloud.account, context.cloud.region, declined=True)


# --- pushing images ---------------------------------------------------------------------------------------------------
# `matinee push`: images alone, ahead of a deployment. What the repository has costs one question.


@dataclass(frozen=True)
class PushedImage:
    """An image in the repository. `was_there`: nothing had to be uploaded."""

    component: str
    tag: str
    reference: str
    was_there: bool


def push(path: Path, stage: str, tools: Tools, *, name: str = "", report: Report = silent) -> tuple[PushedImage, ...]:
    """Upload the images of all components and the UI, or of one component.

    Raises NotFoundError for an unknown component, or while the stage has no repository.
    """
    app = read_app(path, stage, tools, report, name="" if name == UI_COMPONENT else name)
    images = (_image(app, name),) if name else app.images
    cloud = open_stage(app.names, app.project.aws.region, tools)
    known = registry.images(cloud)
    if not known and describe(cloud, cloud.names.data_stack) is None:
        hint = f"Make it first: `matinee deploy --stage {stage} --data-only`, or deploy the app."
        raise NotFoundError(f"The stage {stage} has no image repository yet.", hint=hint)
    missing = tuple(image for image in images if image.tag not in known)
    if missing:
        report(Step(f"Images: {', '.join(image.component for image in missing)}"))
    pushed = tools.images.push(missing, cloud, report) if missing else {}
    return tuple(
        PushedImage(
            image.component,
            image.tag,
            registry.reference(cloud, pushed.get(image.component) or known[image.tag].digest),
            image.component not in pushed,
        )
        for image in images
    )


def _image(app: App, name: str) -> WantedImage:
    component = name if name == UI_COMPONENT else app.component(name).name
    return next(image for image in app.images if image.component == component)
