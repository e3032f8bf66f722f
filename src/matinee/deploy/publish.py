"""After the stack: versions, release, smoke test, the public address. All of it may be done again."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from matinee.backends.aws.logs import CloudWatchLogs
from matinee.backends.factory import Backend
from matinee.client.core import Client
from matinee.deploy import current_state, desired_state, registry
from matinee.deploy import versions as deploy_versions
from matinee.deploy.cloud import Cloud, Note, Report, Step, Tools, Tried
from matinee.deploy.current_state import CurrentRelease
from matinee.deploy.desired_state import DesiredState
from matinee.deploy.drain import resume_stage
from matinee.deploy.plan import DeployContext, Deployed
from matinee.deploy.stack_changes import apply
from matinee.deploy.stack_state import StackSpec, StackState
from matinee.errors import BackendError, MatineeError
from matinee.lambda_api.outcome import read_result
from matinee.manifest import PredictorManifest, Release
from matinee.runs import Run, Status
from matinee.settings import LIVE, Settings
from matinee.stack import blueprint as stack_blueprint
from matinee.stack.blueprint import NAME_TAG, SLEEPING_KEY, Blueprint
from matinee.stack.edge import sleeping_page
from matinee.values import validate


def finish(
    context: DeployContext, desired: DesiredState, spec: StackSpec, state: StackState, digests: Mapping[str, str]
) -> Deployed:
    """Make what the stack now has live, and return what is.

    The address comes before everything that may fail: a live release never ends without one. A run that fails its
    example comes last, since it takes the release back.
    """
    mark = desired_state.content(desired, spec, state.id)
    is_live = context.current.live.aws.content == mark
    resume_stage(context.cloud, context.report)
    # Nothing to go back to is a release of `dev --data`, and one of before a destruction: its versions went with it.
    former = context.current.live.release if context.current.live.aws.stack == state.id else None
    release = former if is_live else _make_release_live(context, desired, state, digests, mark)
    url, is_new = _update_address(context, desired, state)
    if release is not None:
        keep_warm(context, release, None if is_live else former)  # an interrupted deployment may have left it undone
    if release is not None and not is_live:
        with failing_as_note(context.report, "The tag of costs could not be activated"):
            activate_tag(context.cloud, desired.blueprint, context.report)
        remove_old_versions(context, release)
        smoke_test(context, release, former)
    if url and (is_new or not is_live) and not context.cloud.endpoint:
        check_answers(context.cloud, url, context.report)
    with failing_as_note(context.report, "Images that no release needs could not be removed"):
        forget_images(context)
    return deployed(context, url=url, changed=not is_live or is_new)


def deployed(context: DeployContext, *, url: str, changed: bool) -> Deployed:
    """Return what is live on the stage."""
    now = context.current.live.store.release()
    return Deployed(
        context.options.stage,
        context.cloud.account,
        context.cloud.region,
        now.number if now else 0,
        url,
        {c.name: c.label for c in now.components} if now else {},
        changed=changed,
        sign_in=context.app.project.auth.mode,
    )


def _make_release_live(
    context: DeployContext, desired: DesiredState, state: StackState, digests: Mapping[str, str], mark: str
) -> Release:
    versions = _publish_versions(context, desired, state, digests)
    release = desired_state.release_of(
        context.cloud,
        desired,
        context.current,
        digests=digests,
        functions=versions,
        definitions=_definitions(desired, state),
        mark=mark,
        stack_id=state.id,
        url=context.current.live.aws.url,
    )
    context.report(Step(f"Release {release.number}"))
    current_state.go_live(context.cloud, context.current.live, release, versions, context.report, by=context.who)
    return release


def _publish_versions(
    context: DeployContext, desired: DesiredState, state: StackState, digests: Mapping[str, str]
) -> dict[str, str]:
    """Publish a version of every function, and try those that are new."""
    context.report(Step("Versions"))
    labels = {component.name: component.label for component in desired.components}
    versions: dict[str, str] = {}
    for predictor in desired.blueprint.realtime:
        image = registry.reference(context.cloud, digests[predictor.component])
        label = labels[predictor.component]
        versions[predictor.name] = deploy_versions.publish_version(context.cloud, predictor.name, image, label=label)
    if context.options.tries:
        aws = context.current.live.aws
        known = aws.functions if aws.stack == state.id else {}
        new = {name: version for name, version in versions.items() if known.get(name) != version}
        predictors = {predictor.name: predictor for predictor in desired.blueprint.realtime}
        try_versions(context.cloud, context.tools, predictors, new, context.report)
    return versions


def _definitions(desired: DesiredState, state: StackState) -> dict[str, str]:
    """Return what the workers of each predictor run, from the stack's own outputs."""
    names = [predictor.name for predictor in (*desired.blueprint.on_fargate, *desired.blueprint.on_gpu)]
    found = {name: state.outputs.get(stack_blueprint.definition_output(name), "") for name in names}
    return {name: arn for name, arn in found.items() if arn}


@contextmanager
def failing_as_note(report: Report, text: str) -> Iterator[None]:
    """Say that an extra failed instead of raising: the release is live, and has its address."""
    try:
        yield
    except BackendError as error:
        report(Note(f"{text}: {error.message}", error.hint))


def keep_warm(context: DeployContext, release: Release, former: Release | None) -> None:
    """Have as many processes warm as the release asks for; what AWS refuses is a note."""
    before = {q.name: q.resources.provisioned for q in former.predictors} if former else {}
    for predictor in release.predictors:
        name, processes = predictor.name, predictor.resources.provisioned
        text = f"{name} answers, but its {processes} warm processes could not be had"
        if predictor.kind == "realtime":
            with failing_as_note(context.report, text):
                deploy_versions.keep_warm(context.cloud, name, processes, before=before.get(name, 0))


def remove_old_versions(context: DeployContext, release: Release) -> None:
    """Delete function versions that no release to go back to runs; what AWS refuses is a note."""
    history = current_state.read_history(context.current.live.store)
    if any(past.functions is None for past in history.releases):
        return  # one of an older Matinee does not say which versions it runs
    for name, live_version in release.aws.functions.items():
        needed = {past.functions.get(name, "") for past in history.releases if past.functions is not None}
        with failing_as_note(context.report, f"Old versions of {name} could not be removed"):
            deploy_versions.remove_versions(context.cloud, name, needed, below=live_version)


def smoke_test(context: DeployContext, release: Release, former: Release | None) -> None:
    """Run one batch example on what is live now. If it fails, what was live before is live again.

    Raises BackendError when it fails.
    """
    predictor = pick_smoke_run(release, former) if context.options.tries else None
    if predictor is None:
        return
    context.report(Step(f"A run of {predictor.name}"))
    try:
        try_batch(context.cloud, context.tools, context.current.live, predictor, context.report)
    except MatineeError as error:
        if former is None:
            raise BackendError(f"The app is live, but {error.message}", hint=error.hint) from error
        take_back(context, release, former)
        raise BackendError(f"{error.message} What was live before is live again.", hint=error.hint) from error


def take_back(context: DeployContext, release: Release, former: Release) -> None:
    """Make the former release live again, as one more release."""
    again = replace(former, number=release.number + 1, created_at=current_state.now())
    note = f"release {release.number} taken back"
    versions = again.aws.functions
    current_state.go_live(
        context.cloud,
        current_state.read_release(context.cloud),
        again,
        versions,
        context.report,
        by=context.who,
        note=note,
    )


def _update_address(context: DeployContext, desired: DesiredState, state: StackState) -> tuple[str, bool]:
    """Bring the public address to what is wanted; return it, and whether it is new. The release is told where it is."""
    put_sleeping_page(context.cloud, desired.blueprint)
    spec = desired_state.edge_spec(context.cloud, context.tools, desired.blueprint, state)
    url, is_new = state.outputs.get(stack_blueprint.URL, ""), False
    if spec is not None:
        edge = context.current.edge
        if edge is None or not edge.matches(spec):
            context.report(Step("The public address (the first time takes minutes)"))
            edge, is_new = _apply_edge(context, spec), True
        url = edge.outputs.get(stack_blueprint.URL, "")
    current_state.record_url(context.current.live.store, url)
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


def _apply_edge(context: DeployContext, spec: StackSpec) -> StackState:
    try:
        return apply(context.cloud, spec, context.report, may_wait=context.options.may_wait)
    except BackendError as error:
        what = "The app is live, and has no public address" if context.current.edge is None else "The app is live"
        raise BackendError(f"{what}. {error.message}", hint=error.hint) from error


def forget_images(context: DeployContext) -> None:
    """Delete images that none of the kept releases runs, once there are that many."""
    history = current_state.read_history(context.current.live.store)
    if len(history.releases) < current_state.KEPT_RELEASES:
        return
    oldest = history.releases[0].created_at
    registry.remove_unneeded(context.cloud, context.current.images, current_state.needed_images(history), oldest)


# --- a smoke run ------------------------------------------------------------------------------------------------------
# One batch run on what has just gone live: queue, dispatcher, Fargate, table and bucket, all at once.

START_S = 240.0  # for Fargate to start a task with a large image
LONGEST_SMOKE_S = 600.0  # of the run itself: a longer one is not waited for to its end


def pick_smoke_run(release: Release, former: Release | None) -> PredictorManifest | None:
    """Return a batch predictor to try: one with an example whose version is new; None when there is none."""
    known = {(c.name, c.hash) for c in former.components} if former else set()
    for component in release.components:
        for predictor in component.predictors:
            is_new = (component.name, component.hash) not in known
            if is_new and predictor.kind == "batch" and predictor.examples and not predictor.resources.gpu:
                return predictor
    return None


def try_batch(cloud: Cloud, tools: Tools, live: CurrentRelease, predictor: PredictorManifest, report: Report) -> None:
    """Submit the predictor's first example and wait. Raises BackendError when the run does not succeed."""
    logs = CloudWatchLogs(cloud.session, live.store.run, prefix=cloud.names.prefix)
    backend = Backend(live.store, live.files, tools.invoker_at(cloud, LIVE), logs)
    settings = Settings("aws", cloud.names.app, function_prefix=cloud.names.prefix)
    client = Client(backend, settings, USER, owner=True)
    began = time.monotonic()
    try:
        run = client.submit(predictor.name, predictor.examples[0], idempotency_key=f"deploy-{time.time_ns()}")
        run = client.wait(run.id, timeout_s=START_S + min(predictor.resources.timeout_s, LONGEST_SMOKE_S))
        problem = _problem(client, run)
    except MatineeError as error:
        problem = str(error)
    report(Tried(predictor.name, run_version(live), time.monotonic() - began, problem))
    if problem:
        raise BackendError(
            f"{predictor.name} fails its first example on AWS: {problem}",
            hint=f"`matinee test {predictor.name}` runs it here; `matinee logs {predictor.name}` shows what it wrote.",
        )
    if not run.status.is_final:
        report(
            Note(
                f"The example of {predictor.name} still runs.",
                f"matinee runs show {run.id} --stage {cloud.names.stage}",
            )
        )


def run_version(live: CurrentRelease) -> str:
    """Return the number of the release that is live."""
    release = live.store.release()
    return f"release {release.number}" if release else ""


def _problem(client: Client, run: Run) -> str:
    if run.status is Status.FAILED and run.failure is not None:
        return f"{run.failure.message} {run.failure.hint}".strip()
    if run.status is Status.QUEUED:
        return f"No worker has started within {START_S / 60:.0f} minutes. {client.why_waiting(run)}".strip()
    return ""


# --- canary calls -----------------------------------------------------------------------------------------------------
# Tries what is about to be live: each realtime predictor's first example, on its new version by number.

Json = Any
USER = "deploy"  # whose calls these are


def try_versions(
    cloud: Cloud,
    tools: Tools,
    predictors: Mapping[str, PredictorManifest],
    versions: Mapping[str, str],
    report: Report,
) -> None:
    """Call each predictor's version with its first example. Raises BackendError for the first that fails."""
    for name, version in versions.items():
        predictor = predictors[name]
        if not predictor.examples:
            report(Note(f"{name} has no example, so its new version was not tried.", "Add examples=[{…}] to it."))
            continue
        _call_example(cloud, tools, predictor, version, report)


def _call_example(cloud: Cloud, tools: Tools, predictor: PredictorManifest, version: str, report: Report) -> None:
    began = time.monotonic()
    try:
        problem, hint = _canary_problem(cloud, tools, predictor, version)
    except MatineeError as error:
        problem, hint = error.message, error.hint
    report(Tried(predictor.name, version, time.monotonic() - began, problem))
    if problem:
        raise BackendError(
            f"{predictor.name} fails its first example on AWS: {problem}",
            hint=f"{hint} What was live before goes on. `matinee test {predictor.name}` runs the example here.".strip(),
        )


def _canary_problem(cloud: Cloud, tools: Tools, predictor: PredictorManifest, version: str) -> tuple[str, str]:
    example = predictor.examples[0]["event"] if predictor.plain else predictor.examples[0]
    inputs = json.dumps(example, separators=(",", ":")).encode()
    answer = tools.invoker_at(cloud, version).invoke(predictor.name, inputs, context={"user": USER})
    result, failure = read_result(answer, predictor)
    if failure:
        return failure.message, failure.hint
    if isinstance(result, dict) and "$payload" in result:
        return "", ""  # too large to travel in the answer: it was stored, so it came about
    wrong = validate.problems(predictor.result, result)
    return (f"The result does not fit its type: {wrong[0]}", "Mend its return annotation.") if wrong else ("", "")


# --- check of the address ---------------------------------------------------------------------------------------------
# Whether the address answers: the last thing a deployment looks at. A new name takes a while to be known.

PATH = "/_stcore/health"
LONGEST_HEALTH_S = 120.0
_ANSWER_S = 10.0


def check_answers(cloud: Cloud, url: str, report: Report) -> bool:
    """Ask until the UI is well; say so if it is not within LONGEST_S. An app that is asleep answers too."""
    begun, why = cloud.clock(), ""
    while True:
        try:
            with urllib.request.urlopen(url + PATH, timeout=_ANSWER_S):  # noqa: S310 - our own address
                return True
        except urllib.error.HTTPError as error:
            why = f"it answers {error.code}"
        except OSError as error:
            why = str(getattr(error, "reason", error))
        if cloud.clock() - begun > LONGEST_HEALTH_S:
            report(Note(f"{url} does not answer yet: {why}.", "A new address may take some minutes to be known."))
            return False
        cloud.pause()


# --- the cost allocation tag ------------------------------------------------------------------------------------------
# Costs by tag: budgets and bills of a stage stay empty until its tag is activated for cost allocation.
#
# AWS knows a tag for this only a day after something carried it, so the first deployment is usually too early; it is
# tried at every one that changes something.
# https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html

_TAGS = (NAME_TAG, "matinee:app", "matinee:stage")
_REFUSED = frozenset({"AccessDeniedException", "LimitExceededException", "ValidationException"})


def activate_tag(cloud: Cloud, blueprint: Blueprint, report: Report) -> None:
    """Activate the tag where the stage has a budget; where that is not possible yet, say what to do."""
    if not blueprint.aws.budget_usd or cloud.endpoint:
        return
    answer = cloud.call(
        "ce",
        "update_cost_allocation_tags_status",
        absent=_REFUSED,
        CostAllocationTagsStatus=[{"TagKey": key, "Status": "Active"} for key in _TAGS],
    )
    if answer is None or answer.get("Errors"):
        report(
            Note(
                f"The budget counts what has the tag {NAME_TAG}, and AWS cannot activate that tag yet.",
                "A day from now: deploy again, or activate it under Billing, Cost allocation tags.",
            )
        )
