"""`matinee deploy`, from the folder to the URL:

    app        load, inspect, images named by content                                  app
    ground     the stacks (stuck ones brought out of it), what is live, known images   ground
    preflight  names, sizes, secrets; the first time permissions, quotas, roles        preflight/
    images     what the repository lacks is built and pushed, in parallel              tools, registry
    stacks     network and data, then the app's change set                             specs, stacks/
    summary    what is added, changed, replaced, removed; the person agrees            summary
    execute    with every resource's progress; a failure rolls back and tells why      stacks/
    publish    function versions, each tried by number with an example                 functions, trial
    release    history, aliases, then the one item that makes it live                  history, live
    smoke      one batch run; what fails is taken back                                 smoke
    edge       the public address                                                      finish

Every step looks before it acts, so the same command goes on where one was interrupted, at any point. Until the release
is put, callers are answered by what was live before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from matinee.deploy import current_state, desired_state, preflight, registry
from matinee.deploy.cloud import UI_COMPONENT, Report, Step, Tools, WantedImage, silent
from matinee.deploy.current_state import open_stage, settled, survey
from matinee.deploy.desired_state import App, Target, aim, read_app, secrets_of
from matinee.deploy.drain import awake
from matinee.deploy.plan import (
    Confirm,
    Deployed,
    DeployOptions,
    Line,
    Summary,
    Work,
    address_goes,
    agreed,
    all_of,
    lines_of,
)
from matinee.deploy.publish import finish
from matinee.deploy.releases import deploy_only
from matinee.deploy.stack_changes import apply, delete_stack, discard, execute, make_change_set
from matinee.deploy.stack_state import ChangeSet, StackSpec, StackState, describe
from matinee.errors import MatineeError, NotFoundError
from matinee.settings import PASSWORD

__all__ = ["DeployOptions", "Deployed", "deploy"]


def deploy(
    path: Path, options: DeployOptions, tools: Tools, report: Report = silent, confirm: Confirm = agreed
) -> Deployed:
    """Bring the app at `path` live on a stage. `confirm` is asked once, before anything is made that costs.

    Raises UsageError for what stands in the way, BackendError with the first cause of what failed; what was live before
    goes on.
    """
    began = time.monotonic()
    report(Step("Reading the app"))
    app = read_app(path, options.stage, tools, report)
    cloud = open_stage(app.names, app.project.aws.region, tools)
    report(Step(f"Looking at {app.names.base} in account {cloud.account}, {cloud.region}"))
    ground = survey(cloud, settled(report, may_wait=options.may_wait), shared_network=not app.project.aws.vpc)
    work = Work(cloud, tools, report, app, ground, options)
    how = _data_only if options.data_only else deploy_only if options.only else _all
    return replace(how(work, confirm), seconds=time.monotonic() - began)


def _all(work: Work, confirm: Confirm) -> Deployed:
    optional, makeable = preflight.secrets_or_refuse(work.cloud, secrets_of(work.app))
    aimed = aim(work.app, work.ground, optional)
    if work.ground.app is not None:
        made: list[preflight.Made] = []

        def agreed_to(summary: Summary) -> bool:
            if confirm(summary):
                made.append(preflight.make_secrets(work.cloud, makeable))
            return bool(made)

        with _telling_of(made, work.options.stage):
            done = _later(work, aimed, agreed_to)
        if not made and not done.declined:  # nothing to agree to, and one that was there is gone
            made.append(preflight.make_secrets(work.cloud, makeable))
        return replace(done, password=made[0].password if made else "")
    makes_network = work.ground.network is None and not aimed.blueprint.aws.vpc
    preflight.before_the_first(work.cloud, aimed.blueprint, makes_network=makes_network, report=work.report)
    if not confirm(first_summary(work, aimed)):
        return _declined(work)
    preflight.make_roles(work.cloud, aimed.blueprint, work.report)
    first = preflight.make_secrets(work.cloud, makeable)
    with _telling_of([first], work.options.stage):
        return replace(_first(work, aimed), password=first.password)


@contextmanager
def _telling_of(made: Sequence[preflight.Made], stage: str) -> Iterator[None]:
    """Have a failure say that a password was made: nobody has seen it, and the next deployment makes no other."""
    try:
        yield
    except MatineeError as error:
        if any(one.password for one in made):
            told = f"A password was made before, and not shown: matinee secret set {PASSWORD} --stage {stage}"
            error.hint = f"{error.hint} {told}".strip()
        raise


def _data_only(work: Work, confirm: Confirm) -> Deployed:
    """Make table and bucket alone."""
    aimed, state = aim(work.app, work.ground), work.ground.data
    spec = desired_state.data_spec(work.cloud, work.tools, aimed.blueprint)
    where = Deployed(work.options.stage, work.cloud.account, work.cloud.region)
    if state is not None and state.is_as(spec):
        return where
    if not confirm(_summary(work, aimed, all_of(spec), is_first=state is None)):
        return replace(where, declined=True)
    work.report(Step("Table and bucket"))
    apply(work.cloud, spec, work.report, may_wait=work.options.may_wait)
    return replace(where, changed=True)


# --- the first time -------------------------------------------------------------------------------------------------


def first_summary(work: Work, aimed: Target) -> Summary:
    """Return what a first deployment makes, from the templates alone."""
    blueprint, ground = aimed.blueprint, work.ground
    wanted = [*desired_state.sketch(work.tools, blueprint)]
    if ground.data is None:
        wanted.insert(0, desired_state.data_spec(work.cloud, work.tools, blueprint))
    if ground.network is None and not blueprint.aws.vpc:
        wanted.insert(0, desired_state.network_spec(work.cloud, work.tools, None))
    lines = tuple(line for spec in wanted for line in all_of(spec))
    return _summary(work, aimed, lines, preflight.warnings_of(blueprint), is_first=True)


def _first(work: Work, aimed: Target) -> Deployed:
    network, data = _base_stacks(work, aimed)
    # A table and a repository that were kept have a history and images.
    known, images = current_state.read_release(work.cloud), registry.images(work.cloud)
    ground = replace(work.ground, network=network, data=data, live=known, images=images)
    work = replace(work, ground=ground)
    aimed = aim(work.app, ground, aimed.blueprint.optional_secrets)
    digests = desired_state.digests(aimed, ground, _pushed(work, aimed))
    spec = _app_spec(work, aimed, digests)
    work.report(Step("What runs"))
    state = apply(work.cloud, spec, work.report, may_wait=work.options.may_wait)
    return finish(work, aimed, spec, state, digests)


def _base_stacks(work: Work, aimed: Target) -> tuple[StackState | None, StackState]:
    """Bring network and data to what is wanted."""
    network = work.ground.network
    if not aimed.blueprint.aws.vpc:
        work.report(Step("The network"))
        spec = desired_state.network_spec(work.cloud, work.tools, network)
        network = apply(work.cloud, spec, work.report, may_wait=work.options.may_wait)
    work.report(Step("What is kept: images, table, bucket"))
    spec = desired_state.data_spec(work.cloud, work.tools, aimed.blueprint)
    return network, apply(work.cloud, spec, work.report, may_wait=work.options.may_wait)


def _pushed(work: Work, aimed: Target) -> Mapping[str, str]:
    if not aimed.missing:
        return {}
    work.report(Step(f"Images: {', '.join(image.component for image in aimed.missing)}"))
    return work.tools.images.push(aimed.missing, work.cloud, work.report)


def _app_spec(work: Work, aimed: Target, digests: Mapping[str, str]) -> StackSpec:
    told = desired_state.facts(work.cloud, aimed, work.ground.network, work.ground.data)
    assert told is not None, "network and data are there"
    images = desired_state.references(work.cloud, digests)
    return desired_state.app_spec(work.cloud, work.tools, aimed.blueprint, work.ground.app, told, images)


# --- every later time -----------------------------------------------------------------------------------------------


def _later(work: Work, aimed: Target, confirm: Confirm) -> Deployed:
    digests = desired_state.digests(aimed, work.ground, _pushed(work, aimed))
    sets = base_changes(work, aimed)
    if sets or desired_state.facts(work.cloud, aimed, work.ground.network, work.ground.data) is None:
        return _with_base_changes(work, aimed, digests, sets, confirm)
    spec = _app_spec(work, aimed, digests)
    if work.ground.app is not None and not work.ground.app.is_as(spec):
        preflight.before_a_change(work.cloud, aimed.blueprint, work.report)
    change_set = app_changes(work, spec)
    lines = (*(lines_of(spec, change_set.changes) if change_set else ()), *edge_lines(work, aimed))
    summary = _summary(work, aimed, lines)
    assert work.ground.app is not None, "later means that it is there"
    mark = desired_state.content(aimed, spec, work.ground.app.id)
    is_live = summary.is_empty and work.ground.live.aws.content == mark
    if not is_live and not confirm(summary):
        if change_set:
            discard(work.cloud, change_set)
        return _declined(work)
    return finish(work, aimed, spec, _executed(work, aimed, change_set), digests)


def base_changes(work: Work, aimed: Target) -> list[tuple[StackSpec, ChangeSet]]:
    """Return what would change of network and data."""
    wanted = [(desired_state.data_spec(work.cloud, work.tools, aimed.blueprint), work.ground.data)]
    if not aimed.blueprint.aws.vpc:
        network = work.ground.network
        wanted.insert(0, (desired_state.network_spec(work.cloud, work.tools, network), network))
    found = []
    for spec, state in wanted:
        if state is None or not state.is_as(spec):
            change_set = make_change_set(work.cloud, spec, is_new=state is None)
            found += [(spec, change_set)] if change_set else []
    return found


def app_changes(work: Work, spec: StackSpec) -> ChangeSet | None:
    """Return what would change of the app, None for nothing."""
    state = work.ground.app
    assert state is not None, "asked for an app that is there"
    return None if state.is_as(spec) else make_change_set(work.cloud, spec, is_new=False)


def edge_lines(work: Work, aimed: Target) -> tuple[Line, ...]:
    """Return what the public address adds, where it is not there yet; or that it goes."""
    if work.ground.edge is not None and aimed.blueprint.aws.edge != "cloudfront":
        return (address_goes(work.cloud.names.edge_stack),)
    if work.ground.edge is not None or work.ground.app is None:
        return ()
    spec = desired_state.edge_spec(work.cloud, work.tools, aimed.blueprint, work.ground.app)
    return all_of(spec) if spec else ()


def _with_base_changes(
    work: Work, aimed: Target, digests: Mapping[str, str], sets: list[tuple[StackSpec, ChangeSet]], confirm: Confirm
) -> Deployed:
    """Ask for network and data, then bring the app along: what it is told comes from them."""
    lines = tuple(line for spec, change_set in sets for line in lines_of(spec, change_set.changes))
    if not confirm(_summary(work, aimed, lines, ("What runs follows from that; it is not compared beforehand.",))):
        for _, change_set in sets:
            discard(work.cloud, change_set)
        return _declined(work)
    for spec, change_set in sets:
        work.report(Step(f"The stack {spec.name}"))
        execute(work.cloud, change_set, work.report)
    network, data = _base_stacks(work, aimed)
    work = replace(work, ground=replace(work.ground, network=network, data=data))
    spec = _app_spec(work, aimed, digests)
    return finish(work, aimed, spec, _executed(work, aimed, app_changes(work, spec)), digests)


def _executed(work: Work, aimed: Target, change_set: ChangeSet | None) -> StackState:
    state = work.ground.app
    assert state is not None, "asked for an app that is there"
    _without_edge(work, aimed)
    if change_set is None:
        return state
    work.report(Step("What runs"))
    with awake(work.cloud, work.report):
        return execute(work.cloud, change_set, work.report)


def _without_edge(work: Work, aimed: Target) -> None:
    """Remove an address that is not wanted any more: it holds the load balancer that is about to go, and its name."""
    if work.ground.edge is not None and aimed.blueprint.aws.edge != "cloudfront":
        work.report(Step("The former public address (CloudFront takes minutes)"))
        delete_stack(work.cloud, work.ground.edge, work.report)


# --- in words -------------------------------------------------------------------------------------------------------


def _summary(
    work: Work, aimed: Target, lines: tuple[Line, ...], warnings: tuple[str, ...] = (), *, is_first: bool = False
) -> Summary:
    cloud = work.cloud
    return Summary(
        cloud.names.stage,
        cloud.account,
        cloud.region,
        is_first,
        lines,
        aimed.versions,
        work.ground.live.aws.monthly_usd,
        None if work.options.data_only else desired_state.monthly_usd(aimed.blueprint),
        warnings,
    )


def _declined(work: Work) -> Deployed:
    return Deployed(work.options.stage, work.cloud.account, work.cloud.region, declined=True)


# --- push -------------------------------------------------------------------------------------------------------------
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
    app = read_app(path, stage, tools, report)
    wanted = (_image(app, name),) if name else app.images
    cloud = open_stage(app.names, app.project.aws.region, tools)
    known = registry.images(cloud)
    if not known and describe(cloud, cloud.names.data_stack) is None:
        hint = f"Make it first: `matinee deploy --stage {stage} --data-only`, or deploy the app."
        raise NotFoundError(f"The stage {stage} has no image repository yet.", hint=hint)
    missing = tuple(image for image in wanted if image.tag not in known)
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
        for image in wanted
    )


def _image(app: App, name: str) -> WantedImage:
    component = name if name == UI_COMPONENT else app.component(name).name
    return next(image for image in app.images if image.component == component)
