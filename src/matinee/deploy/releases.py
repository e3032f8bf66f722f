"""Partial deploys and going back: `deploy --only NAME`, `rollback`, `versions`. None of them updates a stack.

A partial deploy: push → a new function version, a new revision of its task definitions → canary call → aliases →
release. The next full deployment finds the image in the repository and the label in the history, and keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matinee.deploy import current_state, registry
from matinee.deploy import versions as deploy_versions
from matinee.deploy.cloud import Cloud, Report, Step, Tools, WantedImage, silent
from matinee.deploy.current_state import CurrentRelease, History, Past, open_stage
from matinee.deploy.desired_state import Version, find_component
from matinee.deploy.plan import Confirm, DeployContext, Deployed, Summary, who
from matinee.deploy.publish import deployed, remove_old_versions, smoke_test, try_versions
from matinee.deploy.stack_state import describe
from matinee.errors import BackendError, ConflictError, NotFoundError, UsageError
from matinee.manifest import ComponentManifest, Release
from matinee.names import Names
from matinee.project.load import load
from matinee.stack.blueprint import shortened

Json = Any


def deploy_partial(context: DeployContext, confirm: Confirm) -> Deployed:
    """Bring one component live. Raises UsageError when what changed needs the stack."""
    former = context.current.live.release
    if former is None or context.current.app is None or not context.current.live.aws.stack:
        raise NotFoundError("Nothing is live on this stage yet.", hint="Deploy the whole app first: `matinee deploy`.")
    chosen = context.app.component(context.options.only)
    known = next((c for c in former.components if c.name == chosen.name), None)
    check_same_shape(chosen, known)
    assert known is not None, "an unknown component has no shape"
    url = context.current.live.aws.url
    if known.hash == chosen.hash:
        return deployed(context, url=url, changed=_change_share(context, known))
    label = context.current.live.written.label_of(chosen)
    if not confirm(_summary(context, Version(chosen.name, known.label, label, _is_missing(context, chosen)))):
        return Deployed(context.options.stage, context.cloud.account, context.cloud.region, declined=True)
    digest = _find_or_push(context, chosen)
    component = replace(chosen, label=label, image=digest)
    _make_component_live(context, former, component)
    return deployed(context, url=url, changed=True)


def _change_share(context: DeployContext, component: ComponentManifest) -> bool:
    """Give a version that has a part of the calls another part, or all of them; return whether it did."""
    changed = False
    for predictor in component.predictors:
        version = context.current.live.aws.functions.get(predictor.name, "")
        former = deploy_versions.shares_with(context.cloud, predictor.name) if version else ""
        if former:
            deploy_versions.point_alias(
                context.cloud, predictor.name, version, share=context.options.share, former=former
            )
            changed = True
    return changed


def check_same_shape(component: ComponentManifest, live: ComponentManifest | None) -> None:
    """Raise UsageError where the stack has to change too: other predictors, sizes, secrets or permissions."""
    if live is None:
        raise UsageError(f"The component {component.name} is not deployed yet.", hint="Deploy the whole app.")
    before = {p.name: p for p in live.predictors}
    after = {p.name: p for p in component.predictors}
    reasons = [f"{name} is new" for name in after.keys() - before.keys()]
    reasons += [f"{name} is gone" for name in before.keys() - after.keys()]
    for name in sorted(before.keys() & after.keys()):
        old, new = before[name], after[name]
        if old.kind != new.kind:
            reasons.append(f"{name} is {new.kind} now")
        if old.resources != new.resources:
            changed = [field for field, value in vars(new.resources).items() if getattr(old.resources, field) != value]
            reasons.append(f"{', '.join(changed)} of {name} changed")
        if set(old.calls) != set(new.calls):
            reasons.append(f"{name} calls other predictors")
    if reasons:
        raise UsageError(
            f"--only cannot do this: {'; '.join(reasons)}.", hint="Deploy the whole app: `matinee deploy`."
        )


def _image(context: DeployContext, component: ComponentManifest) -> WantedImage:
    return next(image for image in context.app.images if image.component == component.name)


def _is_missing(context: DeployContext, component: ComponentManifest) -> bool:
    return _image(context, component).tag not in context.current.images


def _find_or_push(context: DeployContext, component: ComponentManifest) -> str:
    image = _image(context, component)
    known = context.current.images.get(image.tag)
    if known:
        return known.digest
    context.report(Step(f"Image: {component.name}"))
    return context.tools.images.push((image,), context.cloud, context.report)[component.name]


def _make_component_live(context: DeployContext, former: Release, component: ComponentManifest) -> None:
    image = registry.reference(context.cloud, component.image)
    aws = former.aws
    versions = _publish_versions(context, component, image, aws.functions)
    revisions = {
        predictor.name: deploy_versions.register_with_image(context.cloud, arn, image, component.label)
        for predictor in component.predictors
        if (arn := aws.definitions.get(predictor.name))
    }
    release = _release(former, component, image, versions, revisions)
    context.report(Step(f"Release {release.number}"))
    note = f"only {component.name}"
    share = context.options.share
    current_state.go_live(
        context.cloud, context.current.live, release, versions, context.report, by=context.who, note=note, share=share
    )
    remove_old_versions(context, release)
    smoke_test(context, release, former)


def _publish_versions(
    context: DeployContext, component: ComponentManifest, image: str, known: Mapping[str, str]
) -> dict[str, str]:
    context.report(Step("Versions"))
    versions = {}
    predictors = {p.name: p for p in component.predictors if p.kind == "realtime"}
    for name in predictors:
        versions[name] = deploy_versions.publish_version(context.cloud, name, image, label=component.label)
    if context.options.tries:
        new = {name: version for name, version in versions.items() if known.get(name) != version}
        try_versions(context.cloud, context.tools, predictors, new, context.report)
    return versions


def _release(
    former: Release,
    component: ComponentManifest,
    image: str,
    versions: Mapping[str, str],
    revisions: Mapping[str, str],
) -> Release:
    """Return the former release with this component in it. What the stack was made of stays unsaid: it has moved on."""
    aws = replace(
        former.aws,
        functions={**former.aws.functions, **versions},
        definitions={**former.aws.definitions, **revisions},
        images={**former.aws.images, component.name: image},
        content="",
    )
    components = tuple(component if c.name == component.name else c for c in former.components)
    release = replace(former, number=former.number + 1, created_at=current_state.now(), components=components)
    return release.with_aws(aws)


def _summary(context: DeployContext, version: Version) -> Summary:
    return Summary(
        context.options.stage, context.cloud.account, context.cloud.region, is_first=False, versions=(version,)
    )


# --- rollback and versions --------------------------------------------------------------------------------------------
# `matinee rollback` and `matinee versions`: what was live before is one step away, without a stack update.
#
# Nothing is built: function versions, task-definition revisions and images of the kept releases are all still there.


@dataclass(frozen=True)
class VersionRow:
    """A version of a component: when it first went live, in which release, and whether it serves now."""

    component: str
    label: str
    hash: str
    released_at: float
    release: int
    by: str
    is_live: bool


@dataclass(frozen=True)
class Versions:
    """All versions that can be gone back to, newest first; and the releases."""

    stage: str
    live: int
    rows: tuple[VersionRow, ...]
    releases: tuple[Past, ...]


@dataclass(frozen=True)
class RolledBack:
    """What is live again: labels by component, before and after."""

    stage: str
    release: int
    before: Mapping[str, str]
    after: Mapping[str, str]


def versions(path: Path, stage: str, tools: Tools) -> Versions:
    """Return the versions of a stage. Raises NotFoundError when nothing is live there."""
    _, found = _open(path, stage, tools)
    now = {c.name: c.label for c in found.past.components}
    rows: dict[tuple[str, str], VersionRow] = {}
    for past in found.history.releases:
        for c in past.components:
            row = VersionRow(c.name, c.label, c.hash, past.created_at, past.number, past.by, now.get(c.name) == c.label)
            rows.setdefault((c.name, c.label), row)
    ordered = sorted(rows.values(), key=lambda row: (row.component, -row.release))
    return Versions(stage, found.number, tuple(ordered), found.history.releases[::-1])


def _open(path: Path, stage: str, tools: Tools) -> tuple[Cloud, CurrentRelease]:
    project = load(path).for_stage(stage)
    cloud = open_stage(Names(project.name, stage), project.aws.region, tools)
    is_there = describe(cloud, cloud.names.data_stack) is not None
    found = current_state.read_release(cloud) if is_there else current_state.no_release(cloud)
    if found.release is None or not found.aws.stack:
        raise NotFoundError(f"Nothing is live on the stage {stage} yet.", hint="`matinee deploy` deploys it.")
    return cloud, found


def rollback(
    path: Path, stage: str, tools: Tools, *, name: str = "", to: str = "", report: Report = silent
) -> RolledBack:
    """Make a former version live: of one component (or the one that holds predictor `name`), or the whole app.

    `to` is a version ("v6") of the component; for the whole app a release's number. "" is what was live before.
    Raises NotFoundError for what is not kept, BackendError when AWS has lost a part of it.
    """
    cloud, found = _open(path, stage, tools)
    assert found.release is not None
    component = find_component(found.release.components, name).name if name else ""
    past = _find_goal(found.history, found.past, component, to)
    again = current_state.read_whole_release(found.files, past)
    if again.aws.stack != found.aws.stack:
        raise ConflictError(
            f"Release {past.number} is of before the stage was destroyed: its versions went with it.",
            hint="Deploy that version from its source.",
        )
    goal = _merge_releases(found.release, again, component)
    _check_reachable(cloud, found.release, goal)
    report(Step(f"Release {goal.number}: {_labels(goal)}"))
    changed = {
        predictor: version
        for predictor, version in goal.aws.functions.items()
        if found.aws.functions.get(predictor) != version
    }
    note = f"rollback{f' of {component}' if component else ''} to release {past.number}"
    current_state.go_live(cloud, found, goal, changed, report, by=who(cloud), note=note)
    before, after = ({c.name: c.label for c in release.components} for release in (found.release, goal))
    return RolledBack(stage, goal.number, before, after)


def _find_goal(history: History, now: Past, component: str, to: str) -> Past:
    if not to:
        return history.before(now, component)
    if component:
        past = history.with_label(component, to)
        current, former = now.component(component), past.component(component)
        if current and former and current.hash == former.hash:
            raise ConflictError(f"{component} {to} is live already.", hint="`matinee versions` lists the others.")
        return past
    if not to.lstrip("#").isdigit():
        hint = f"Name the component, as in `matinee rollback recommend --to {to}`; the whole app has release numbers."
        raise UsageError(f"{to!r} is a component's version.", hint=hint)
    number = int(to.lstrip("#"))
    past_release = next((past for past in history.releases if past.number == number), None)
    if past_release is None:
        known = ", ".join(str(past.number) for past in history.releases)
        raise NotFoundError(f"There is no release {number} to go back to.", hint=f"There is: {known}.")
    if past_release.number == now.number:
        raise ConflictError(f"Release {number} is live already.", hint="`matinee versions` lists the others.")
    return past_release


def _merge_releases(now: Release, past: Release, component: str) -> Release:
    """Return what is live with one component as it was, or with all of them; what belongs to the stack stays."""
    names = {component} if component else {c.name for c in past.components}
    returned = {c.name: c for c in past.components if c.name in names}
    components = tuple(returned.get(c.name, c) for c in now.components)
    if not component:
        components = tuple(past.components)
    images = {name: image for name, image in past.aws.images.items() if name in names}
    aws = replace(
        now.aws,
        functions=_merge_by_predictor(components, now.aws.functions, past.aws.functions, returned),
        definitions=_merge_by_predictor(components, now.aws.definitions, past.aws.definitions, returned),
        images={**now.aws.images, **images},
        content="",
    )
    details = (now if component else past).details
    release = replace(
        now, number=now.number + 1, created_at=current_state.now(), components=components, details=details
    )
    return release.with_aws(aws)


def _merge_by_predictor(
    components: tuple[ComponentManifest, ...],
    now: Mapping[str, str],
    past: Mapping[str, str],
    returned: Mapping[str, ComponentManifest],
) -> dict[str, str]:
    """Return by predictor what it runs: as it was in the components that return, as it is in the others."""
    found = {p.name: (past if c.name in returned else now).get(p.name, "") for c in components for p in c.predictors}
    return {name: value for name, value in found.items() if value}


def _check_reachable(cloud: Cloud, now: Release, goal: Release) -> None:
    """Raise where a part of it is gone: a function that was removed since, a version, a task definition."""
    aws = goal.aws
    for name, version in aws.functions.items():
        if now.aws.functions.get(name) != version:
            deploy_versions.check_version(cloud, name, version)
    known = now.aws.definitions
    for name in aws.definitions.keys() - known.keys():
        _check_role(cloud, name)
    deploy_versions.check_active(cloud, {n: arn for n, arn in aws.definitions.items() if known.get(n) != arn})


def _check_role(cloud: Cloud, predictor: str) -> None:
    """Raise for a predictor that the stack has no more: its definitions are kept, and its role is not."""
    name = shortened(cloud.names.resource(predictor) + "-worker")
    if cloud.call("iam", "get_role", absent=("NoSuchEntity",), on=name, RoleName=name) is None:
        raise BackendError(
            f"{predictor} cannot go back: it was taken out of the app since, and its role with it.",
            hint="Deploy that version from its source.",
        )


def _labels(release: Release) -> str:
    return ", ".join(f"{c.name} {c.label}" for c in release.components)
