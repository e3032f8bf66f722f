"""`matinee doctor --aws`: what stands, or would stand, in the way of a stage, each with the command that mends it.

app → credentials and region → permissions → quotas → service-linked roles → secrets → the stage as it is

It changes nothing. What one check may not ask is said, and the others go on; without credentials nothing can be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from matinee.backends.aws.errors import code_of
from matinee.backends.aws.identity import name_in
from matinee.client.stage import session_on
from matinee.environments.inspect import inspect_app
from matinee.errors import BackendError, MatineeError
from matinee.manifest import ComponentManifest, Release
from matinee.names import NETWORK_STACK, Names
from matinee.ops.deploy.cloud import Cloud, open_cloud
from matinee.ops.deploy.preflight import quotas, roles, secrets
from matinee.ops.deploy.preflight.model import Finding as Obstacle
from matinee.ops.deploy.preflight.names import check_names, check_region
from matinee.ops.deploy.preflight.permissions import check_permissions
from matinee.ops.deploy.stacks.state import describe
from matinee.ops.doctor import Finding
from matinee.ops.status_aws import parts_of
from matinee.project import Project, load
from matinee.settings import AwsSettings
from matinee.stack import Blueprint
from matinee.stack.sizes import problems

Json = Any
Report = Callable[[str, str], None]


def doctor_aws(path: Path, stage: str, report: Report | None = None) -> Iterator[Finding]:
    """Yield the checks of a stage one by one; raises ProjectError for a folder that holds no app."""
    project = load(path).for_stage(stage)
    names, session = session_on(project, stage)
    components = tuple(item.manifest for item in inspect_app(project, report))
    blueprint = Blueprint.of(project, stage, components)
    yield from _app(project, names, blueprint, components)
    wrong = _region(session.settings)
    if wrong:
        yield from wrong
        return
    try:
        cloud = open_cloud(names, session.settings)
    except MatineeError as error:
        yield _wrong("credentials", error.message, error.hint)
        return
    who = name_in(cloud.caller)
    yield _well("credentials", f"You are {who} in account {cloud.account}, region {cloud.region}.")
    try:
        yield from _account(cloud, blueprint)
        yield from _stage(cloud, project, blueprint)
    finally:
        cloud.session.close()


def _app(
    project: Project, names: Names, blueprint: Blueprint, components: Sequence[ComponentManifest]
) -> Iterator[Finding]:
    """What can be known without AWS: names it would not take, sizes it has not, components that do not load."""
    found = [
        _wrong(c.name, f"It does not load: {c.trouble.message}", c.trouble.hint or "matinee inspect")
        for c in components
        if c.trouble
    ]
    predictors = blueprint.predictors
    found += _found("app", check_names(names, [p.name for p in predictors]))
    found += [_wrong("app", e.message, e.hint) for e in problems(project.aws.ui, predictors)]
    yield from found or [_well("app", f"AWS takes its names and sizes ({len(predictors)} predictors).")]


def _region(settings: AwsSettings) -> list[Finding]:
    """Return what is wrong with the region, by the list that boto3 comes with."""
    if not settings.region or settings.endpoint:
        return []
    import boto3

    session = boto3.Session()
    known = [r for p in session.get_available_partitions() for r in session.get_available_regions("ecs", p)]
    return _found("region", check_region(settings.region, known))


# --- the account ----------------------------------------------------------------------------------------------------


def _account(cloud: Cloud, blueprint: Blueprint) -> Iterator[Finding]:
    yield from _asked("permissions", lambda: check_permissions(cloud), "You may do what a deployment does.")
    yield from _asked("quotas", lambda: _quotas(cloud, blueprint), "Lambda, Fargate and networks have room for it.")
    yield from _asked("roles", lambda: _roles(cloud, blueprint), "AWS's own roles of the services are there.")


def _quotas(cloud: Cloud, blueprint: Blueprint) -> list[Obstacle]:
    predictors = blueprint.predictors
    found = [
        *quotas.check_lambda(cloud, predictors),
        *quotas.check_fargate(cloud, predictors, blueprint.aws.ui.cpu),
        *quotas.check_gpu(cloud, predictors),
    ]
    if not blueprint.aws.vpc and describe(cloud, NETWORK_STACK) is None:
        found += quotas.check_vpcs(cloud)
    return found


def _roles(cloud: Cloud, blueprint: Blueprint) -> list[Obstacle]:
    """Return the service-linked roles that are missing: a deployment makes them, if it may."""
    wanted = [*roles.ALWAYS, *((roles.CLOUDFRONT,) if blueprint.aws.edge == "cloudfront" else ())]
    wanted += roles.GPU if blueprint.on_gpu else ()
    return [
        Obstacle(
            f"There is no service-linked role of {service} yet; a deployment makes it.",
            f"aws iam create-service-linked-role --aws-service-name {service}",
            stops=False,
        )
        for service in wanted
        if not cloud.call("iam", "list_roles", PathPrefix=f"/aws-service-role/{service}/", MaxItems=1)["Roles"]
    ]


# --- the stage ------------------------------------------------------------------------------------------------------


def _stage(cloud: Cloud, project: Project, blueprint: Blueprint) -> Iterator[Finding]:
    yield from _asked("secrets", lambda: _secrets(cloud, blueprint), "Every secret that is declared is set.")
    try:
        release = _release(cloud)
    except MatineeError as error:
        yield _doubtful("stage", error.message, error.hint)
        return
    if release is None:
        hint = f"matinee deploy --stage {cloud.names.stage}"
        yield _well("stage", f"Nothing is deployed on {cloud.names.stage} yet.", hint)
        return
    tell = {"ok": _well, "asleep": _well, "down": _wrong}
    for part in parts_of(cloud, project.aws, release):
        yield tell.get(part.state, _doubtful)(part.name, part.text, part.hint)


def _secrets(cloud: Cloud, blueprint: Blueprint) -> list[Obstacle]:
    wanted = dict.fromkeys(blueprint.ui_secrets, "the UI")
    for predictor in blueprint.predictors:
        wanted |= dict.fromkeys(predictor.resources.secrets, predictor.name)
    if not wanted:
        return []
    missing = [name for name in secrets.look(cloud, tuple(wanted)).missing if name not in blueprint.optional_secrets]
    made = [
        Obstacle(f"{name} is not set; the first deployment makes one.", stops=False)
        for name in secrets.makeable(missing)
    ]
    return [*secrets.check_secrets(cloud.names.stage, missing, wanted), *made]


def _release(cloud: Cloud) -> Release | None:
    """Return what is live, None while there is no table."""
    from matinee.backends.aws.store import DynamoStore

    try:
        return DynamoStore(cloud.session).release()
    except BackendError as error:
        if code_of(error.__cause__ or error) == "ResourceNotFoundException":
            return None
        raise


# --- helpers --------------------------------------------------------------------------------------------------------


def _asked(name: str, ask: Callable[[], list[Obstacle]], all_well: str) -> Iterator[Finding]:
    try:
        found = _found(name, ask())
    except MatineeError as error:  # what cannot be asked is no proof of anything
        found = [_doubtful(name, error.message, error.hint)]
    yield from found or [_well(name, all_well)]


def _found(name: str, findings: Iterable[Obstacle]) -> list[Finding]:
    return [(_wrong if f.stops else _doubtful)(name, f.message, f.hint) for f in findings]


def _well(what: str, detail: str, mend: str = "") -> Finding:
    return Finding(what, ok=True, detail=detail, mend=mend)


def _wrong(what: str, detail: str, mend: str) -> Finding:
    return Finding(what, ok=False, detail=detail, mend=mend)


def _doubtful(what: str, detail: str, mend: str) -> Finding:
    return Finding(what, ok=False, detail=detail, mend=mend, needed=False)
