"""`deploy --only NAME`: one component goes live without a stack update.

push → a new function version, a new revision of its task definitions → try → aliases → release. The next full
deployment finds the image in the repository and the label in the history, and keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from matinee.errors import NotFoundError, UsageError
from matinee.manifest import ComponentManifest, Release
from matinee.ops.deploy import definitions, functions, history, live, registry
from matinee.ops.deploy.events import Step
from matinee.ops.deploy.finish import deployed, smoke_test
from matinee.ops.deploy.summary import Summary, Version
from matinee.ops.deploy.tools import WantedImage
from matinee.ops.deploy.trial import try_versions
from matinee.ops.deploy.work import Confirm, Deployed, Work

Json = Any


def deploy_only(work: Work, confirm: Confirm) -> Deployed:
    """Bring one component live. Raises UsageError when what changed needs the stack."""
    former = work.ground.live.release
    if former is None or work.ground.app is None or not work.ground.live.aws.stack:
        raise NotFoundError("Nothing is live on this stage yet.", hint="Deploy the whole app first: `matinee deploy`.")
    wanted = work.app.component(work.options.only)
    known = next((c for c in former.components if c.name == wanted.name), None)
    check_same_shape(wanted, known)
    assert known is not None, "an unknown component has no shape"
    url = work.ground.live.aws.url
    if known.hash == wanted.hash:
        return deployed(work, url=url, changed=_shared_anew(work, known))
    label = work.ground.live.written.label_of(wanted)
    if not confirm(_summary(work, Version(wanted.name, known.label, label, _is_missing(work, wanted)))):
        return Deployed(work.options.stage, work.cloud.account, work.cloud.region, declined=True)
    digest = _digest(work, wanted)
    component = replace(wanted, label=label, image=digest)
    _go_live(work, former, component)
    return deployed(work, url=url, changed=True)


def _shared_anew(work: Work, component: ComponentManifest) -> bool:
    """Give a version that has a part of the calls another part, or all of them; return whether it did."""
    changed = False
    for predictor in component.predictors:
        version = work.ground.live.aws.functions.get(predictor.name, "")
        former = functions.shares_with(work.cloud, predictor.name) if version else ""
        if former:
            functions.point(work.cloud, predictor.name, version, share=work.options.share, former=former)
            changed = True
    return changed


def check_same_shape(wanted: ComponentManifest, live: ComponentManifest | None) -> None:
    """Raise UsageError where the stack has to change too: other predictors, sizes, secrets or permissions."""
    if live is None:
        raise UsageError(f"The component {wanted.name} is not deployed yet.", hint="Deploy the whole app.")
    before = {p.name: p for p in live.predictors}
    after = {p.name: p for p in wanted.predictors}
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


def _image(work: Work, component: ComponentManifest) -> WantedImage:
    return next(image for image in work.app.images if image.component == component.name)


def _is_missing(work: Work, component: ComponentManifest) -> bool:
    return _image(work, component).tag not in work.ground.images


def _digest(work: Work, component: ComponentManifest) -> str:
    image = _image(work, component)
    known = work.ground.images.get(image.tag)
    if known:
        return known.digest
    work.report(Step(f"Image: {component.name}"))
    return work.tools.images.push((image,), work.cloud, work.report)[component.name]


def _go_live(work: Work, former: Release, component: ComponentManifest) -> None:
    image = registry.reference(work.cloud, component.image)
    aws = former.aws
    versions = _published(work, component, image, aws.functions)
    revisions = {
        predictor.name: definitions.with_image(work.cloud, arn, image, component.label)
        for predictor in component.predictors
        if (arn := aws.definitions.get(predictor.name))
    }
    release = _release(former, component, image, versions, revisions)
    work.report(Step(f"Release {release.number}"))
    note = f"only {component.name}"
    share = work.options.share
    live.go_live(work.cloud, work.ground.live, release, versions, work.report, by=work.who, note=note, share=share)
    smoke_test(work, release, former)


def _published(work: Work, component: ComponentManifest, image: str, known: Mapping[str, str]) -> dict[str, str]:
    work.report(Step("Versions"))
    versions = {}
    predictors = {p.name: p for p in component.predictors if p.kind == "realtime"}
    for name in predictors:
        functions.make_current(work.cloud, name, image, label=component.label)
        versions[name] = functions.publish(work.cloud, name)
    if work.options.tries:
        new = {name: version for name, version in versions.items() if known.get(name) != version}
        try_versions(work.cloud, work.tools, predictors, new, work.report)
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
    release = replace(former, number=former.number + 1, created_at=history.now(), components=components)
    return release.with_aws(aws)


def _summary(work: Work, version: Version) -> Summary:
    return Summary(work.options.stage, work.cloud.account, work.cloud.region, is_first=False, versions=(version,))
