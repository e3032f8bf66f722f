"""After the stack: versions, release, smoke test, the public address. All of it may be done again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from matinee.errors import BackendError, MatineeError
from matinee.manifest import Release
from matinee.ops.deploy import functions, history, live, registry, smoke, specs, target
from matinee.ops.deploy.cloud import Cloud
from matinee.ops.deploy.events import Step
from matinee.ops.deploy.health import check_answers
from matinee.ops.deploy.money import activate_tag
from matinee.ops.deploy.quiet import rouse
from matinee.ops.deploy.stacks.apply import apply
from matinee.ops.deploy.stacks.model import StackSpec, StackState
from matinee.ops.deploy.target import Target
from matinee.ops.deploy.trial import try_versions
from matinee.ops.deploy.work import Deployed, Work
from matinee.stack import Blueprint
from matinee.stack import parameters as p
from matinee.stack.parameters import SLEEPING_KEY
from matinee.stack.sleeping import sleeping_page


def finish(work: Work, aimed: Target, spec: StackSpec, state: StackState, digests: Mapping[str, str]) -> Deployed:
    """Make what the stack now has live, and return what is."""
    mark = target.content(aimed, spec, state.id)
    is_live = work.ground.live.aws.content == mark
    rouse(work.cloud, work.report)
    if not is_live:
        _go_live(work, aimed, state, digests, mark)
    elif work.ground.live.release is not None:
        _keep_warm(work, work.ground.live.release, None)  # a deployment that was interrupted may have left it undone
    url, is_new = _edge(work, aimed, state)
    if url and (is_new or not is_live) and not work.cloud.endpoint:
        check_answers(work.cloud, url, work.report)
    forget_images(work)
    return deployed(work, url=url, changed=not is_live or is_new)


def deployed(work: Work, *, url: str, changed: bool) -> Deployed:
    """Return what is live on the stage."""
    now = work.ground.live.store.release()
    return Deployed(
        work.options.stage,
        work.cloud.account,
        work.cloud.region,
        now.number if now else 0,
        url,
        {c.name: c.label for c in now.components} if now else {},
        changed=changed,
        sign_in=work.app.project.auth.mode,
    )


def _go_live(work: Work, aimed: Target, state: StackState, digests: Mapping[str, str], mark: str) -> None:
    versions = _published(work, aimed, state, digests)
    # Nothing to go back to is one of `dev --data`, and one of before a destruction: its versions went with its stack.
    former = work.ground.live.release if work.ground.live.aws.stack == state.id else None
    release = target.release_of(
        work.cloud,
        aimed,
        work.ground,
        digests=digests,
        functions=versions,
        definitions=_definitions(aimed, state),
        mark=mark,
        stack_id=state.id,
        url=work.ground.live.aws.url,
    )
    work.report(Step(f"Release {release.number}"))
    live.go_live(work.cloud, work.ground.live, release, versions, work.report, by=work.who)
    _keep_warm(work, release, former)
    activate_tag(work.cloud, aimed.blueprint, work.report)
    smoke_test(work, release, former)


def _published(work: Work, aimed: Target, state: StackState, digests: Mapping[str, str]) -> dict[str, str]:
    """Publish a version of every function, and try those that are new."""
    work.report(Step("Versions"))
    labels = {component.name: component.label for component in aimed.components}
    versions: dict[str, str] = {}
    for predictor in aimed.blueprint.realtime:
        image = registry.reference(work.cloud, digests[predictor.component])
        functions.make_current(work.cloud, predictor.name, image, label=labels[predictor.component])
        versions[predictor.name] = functions.publish(work.cloud, predictor.name)
    if work.options.tries:
        aws = work.ground.live.aws
        known = aws.functions if aws.stack == state.id else {}
        new = {name: version for name, version in versions.items() if known.get(name) != version}
        predictors = {predictor.name: predictor for predictor in aimed.blueprint.realtime}
        try_versions(work.cloud, work.tools, predictors, new, work.report)
    return versions


def _definitions(aimed: Target, state: StackState) -> dict[str, str]:
    """Return what the workers of each predictor run, from the stack's own outputs."""
    names = [predictor.name for predictor in (*aimed.blueprint.on_fargate, *aimed.blueprint.on_gpu)]
    found = {name: state.outputs.get(p.definition_output(name), "") for name in names}
    return {name: arn for name, arn in found.items() if arn}


def _keep_warm(work: Work, release: Release, former: Release | None) -> None:
    before = {q.name: q.resources.provisioned for q in former.predictors} if former else {}
    for predictor in release.predictors:
        if predictor.kind == "realtime":
            wanted = predictor.resources.provisioned
            functions.keep_warm(work.cloud, predictor.name, wanted, before=before.get(predictor.name, 0))


def smoke_test(work: Work, release: Release, former: Release | None) -> None:
    """Run one batch example on what is live now. If it fails, what was live before is live again.

    Raises BackendError when it fails.
    """
    predictor = smoke.pick(release, former) if work.options.tries else None
    if predictor is None:
        return
    work.report(Step(f"A run of {predictor.name}"))
    try:
        smoke.try_batch(work.cloud, work.tools, work.ground.live, predictor, work.report)
    except MatineeError as error:
        if former is None:
            raise BackendError(f"The app is live, but {error.message}", hint=error.hint) from error
        take_back(work, release, former)
        raise BackendError(f"{error.message} What was live before is live again.", hint=error.hint) from error


def take_back(work: Work, release: Release, former: Release) -> None:
    """Make the former release live again, as one more release."""
    again = replace(former, number=release.number + 1, created_at=history.now())
    note = f"release {release.number} taken back"
    versions = again.aws.functions
    live.go_live(work.cloud, live.look(work.cloud), again, versions, work.report, by=work.who, note=note)


def _edge(work: Work, aimed: Target, state: StackState) -> tuple[str, bool]:
    """Bring the public address to what is wanted; return it, and whether it is new. The release is told where it is."""
    put_sleeping_page(work.cloud, aimed.blueprint)
    spec = specs.edge_spec(work.cloud, work.tools, aimed.blueprint, state)
    url, is_new = state.outputs.get(p.URL, ""), False
    if spec is not None:
        edge = work.ground.edge
        if edge is None or not edge.is_as(spec):
            work.report(Step("The public address (the first time takes minutes)"))
            edge, is_new = _apply_edge(work, spec), True
        url = edge.outputs.get(p.URL, "")
    live.tell_url(work.ground.live.store, url)
    return url, is_new


def put_sleeping_page(cloud: Cloud, blueprint: Blueprint) -> None:
    """Put what CloudFront shows outside office hours: it has the title and the hours, so it is put anew each time."""
    hours = blueprint.aws.office_hours
    if hours is None or blueprint.aws.edge != "cloudfront":
        return
    cloud.call(
        "s3",
        "put_object",
        on=cloud.bucket,
        Bucket=cloud.bucket,
        Key=SLEEPING_KEY,
        Body=sleeping_page(blueprint.title, hours).encode(),
        ContentType="text/html; charset=utf-8",
        CacheControl="max-age=60",
    )


def _apply_edge(work: Work, spec: StackSpec) -> StackState:
    try:
        return apply(work.cloud, spec, work.report, may_wait=work.options.may_wait)
    except BackendError as error:
        what = "The app is live, and has no public address" if work.ground.edge is None else "The app is live"
        raise BackendError(f"{what}. {error.message}", hint=error.hint) from error


def forget_images(work: Work) -> None:
    """Delete images that none of the kept releases runs, once there are that many."""
    kept = history.read(work.ground.live.store)
    if len(kept.releases) < history.KEPT:
        return
    oldest = kept.releases[0].created_at
    registry.remove_unneeded(work.cloud, work.ground.images, history.needed_images(kept), oldest)
