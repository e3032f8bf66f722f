"""`matinee doctor`: what this machine has of what an app needs, and the command that mends what it has not.

Each check is a function that returns one Finding; `examine` calls them in order. Checks of an account are the stage's.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matinee.backends.aws.session import name_in
from matinee.client.connect import session_on
from matinee.deploy import preflight
from matinee.deploy.account import check_own_network, check_quotas, check_vpcs
from matinee.deploy.cloud import Cloud, open_cloud
from matinee.deploy.cloud import Finding as Obstacle
from matinee.deploy.current_state import read_release
from matinee.deploy.preflight import check_names, check_permissions, check_region
from matinee.deploy.stack_state import describe
from matinee.environments import prepare
from matinee.environments.inspect import inspect_app
from matinee.environments.prepare import OLDEST, cache_folder
from matinee.errors import BackendError, MatineeError
from matinee.images.engine import PLATFORMS, Engine
from matinee.lambda_api.sdk import code_of
from matinee.manifest import ComponentManifest, PredictorManifest, Release
from matinee.names import NETWORK_STACK, Names
from matinee.operate.status import parts_of_stage
from matinee.project.load import load
from matinee.project.model import Project
from matinee.settings import AwsSettings
from matinee.stack.blueprint import Blueprint, problems

ROOM_GB = 5.0  # what images of an ordinary app and what the builder keeps of them need


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `mend` is the command or the sentence that mends it, "" if nothing is to be done.

    What is not `needed` is missed by some commands only; `detail` says which.
    """

    what: str
    ok: bool
    detail: str
    mend: str = ""
    needed: bool = True


def examine(checks: Sequence[Callable[[], Finding]] = ()) -> tuple[Finding, ...]:
    """Look at this machine, then at what `checks` look at."""
    engine = _engine()
    here = (check_python(), check_uv(), _found(engine), *_of(engine), check_disk(engine))
    return (*here, *(check() for check in checks))


def check_python(version: tuple[int, int] = (sys.version_info[0], sys.version_info[1])) -> Finding:
    """Return whether this Python is new enough."""
    detail = f"Python {platform.python_version()}, {sys.executable}"
    if version >= OLDEST:
        return Finding("Python", ok=True, detail=detail)
    users = ".".join(map(str, OLDEST))
    return Finding("Python", ok=False, detail=f"{detail} is older than {users}", mend=f"uv python install {users}")


def check_uv() -> Finding:
    """Return whether uv, which makes environments and locks, can be started."""
    try:
        answer = prepare.run_uv("--version")
    except MatineeError as error:
        return Finding("uv", ok=False, detail=error.message, mend=error.hint)
    if answer.returncode:
        mend = f"{sys.executable} -m pip install --force-reinstall uv"
        return Finding("uv", ok=False, detail=f"uv does not start: {answer.stderr.strip()}", mend=mend)
    return Finding("uv", ok=True, detail=answer.stdout.strip())


def check_disk(engine: Engine | MatineeError | None = None) -> Finding:
    """Return whether there is room where environments and images are kept."""
    rooms = {folder: shutil.disk_usage(folder).free / 1e9 for folder in _folders(engine)}
    folder, free = min(rooms.items(), key=lambda room: room[1])
    detail = f"{free:.0f} GB free in {folder}"
    if free >= ROOM_GB:
        return Finding("Disk", ok=True, detail=detail)
    prune = "image prune --all --filter label=matinee.component"
    mend = f"{engine.command} {prune}" if isinstance(engine, Engine) else f"Make room, or rm -r {cache_folder().parent}"
    return Finding("Disk", ok=False, detail=f"{detail}; images need about {ROOM_GB:.0f}", mend=mend)


def check_emulation(engine: Engine) -> Finding:
    """Return whether images of the other architecture can run here, not only be made."""
    other = next(name for name in PLATFORMS if name != engine.platform)
    if engine.can_run(other):
        return Finding("Emulation", ok=True, detail=f"images for {engine.platform} and {other} run here", needed=False)
    return Finding(
        "Emulation",
        ok=False,
        detail=f"images for {other} can be made here, but not run: no Debian packages, slower starts",
        mend=f"{engine.command} run --privileged --rm tonistiigi/binfmt --install all",
        needed=False,
    )


def _engine() -> Engine | MatineeError:
    try:
        return Engine.detect()
    except MatineeError as error:
        return error


def _found(engine: Engine | MatineeError) -> Finding:
    if isinstance(engine, Engine):
        builder = "BuildKit" if engine.buildkit else "the legacy builder"
        return Finding("Docker", ok=True, detail=f"{engine.command} {engine.version} for {engine.platform}, {builder}")
    detail = f"{engine.message.rstrip('.')}: build, --containers and deploy need it"
    return Finding("Docker", ok=False, detail=detail, mend=engine.hint, needed=False)


def _of(engine: Engine | MatineeError) -> tuple[Finding, ...]:
    return (check_emulation(engine),) if isinstance(engine, Engine) else ()


def _folders(engine: Engine | MatineeError | None) -> list[Path]:
    """Return the folders, as far as they are this machine's: an engine may run in a machine of its own."""
    folders = [_nearest(cache_folder())]
    if isinstance(engine, Engine):
        root = Path(engine.run("info", "--format", "{{.DockerRootDir}}", check=False).stdout.strip())
        folders += [root] if root.is_absolute() and root.exists() else []
    return folders


def _nearest(folder: Path) -> Path:
    """Return the folder, or what is there above it."""
    return next(path for path in (folder, *folder.parents) if path.exists())


# --- matinee doctor --aws ---------------------------------------------------------------------------------------------
# `matinee doctor --aws`: what stands, or would stand, in the way of a stage, each with the command that mends it.
#
# app → credentials and region → permissions → quotas → service-linked roles → secrets → the stage as it is
#
# It changes nothing. What one check may not ask is said, and the others go on; without credentials nothing can be
# asked.

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
    found += _found_on_aws("app", check_names(names, [p.name for p in predictors]))
    found += [_wrong("app", e.message, e.hint) for e in problems(project.aws.ui, predictors)]
    yield from found or [_well("app", f"AWS takes its names and sizes ({len(predictors)} predictors).")]


def _region(settings: AwsSettings) -> list[Finding]:
    """Return what is wrong with the region, by the list that boto3 comes with."""
    if not settings.region or settings.endpoint:
        return []
    import boto3

    session = boto3.Session()
    known = [r for p in session.get_available_partitions() for r in session.get_available_regions("ecs", p)]
    return _found_on_aws("region", check_region(settings.region, known))


# --- checks of the account ------------------------------------------------------------------------------------------


def _account(cloud: Cloud, blueprint: Blueprint) -> Iterator[Finding]:
    yield from _asked(
        "permissions",
        lambda: check_permissions(cloud, blueprint.aws.permissions_boundary),
        "You may do what a deployment does.",
    )
    yield from _asked("quotas", lambda: _quotas(cloud, blueprint), "Lambda, Fargate and networks have room for it.")
    yield from _asked("roles", lambda: _roles(cloud, blueprint), "AWS's own roles of the services are there.")


def _quotas(cloud: Cloud, blueprint: Blueprint) -> list[Obstacle]:
    found = check_quotas(cloud, blueprint, _live_predictors(cloud))
    if blueprint.aws.vpc:
        found += check_own_network(cloud, blueprint.aws)
    elif describe(cloud, NETWORK_STACK) is None:
        found += check_vpcs(cloud)
    return found


def _live_predictors(cloud: Cloud) -> tuple[PredictorManifest, ...]:
    """Return what runs on the stage now, () where there is no stage."""
    is_there = describe(cloud, cloud.names.data_stack) is not None
    release = read_release(cloud).release if is_there else None
    return release.predictors if release else ()


def _roles(cloud: Cloud, blueprint: Blueprint) -> list[Obstacle]:
    """Return the service-linked roles that are missing: a deployment makes them, if it may."""
    users = [*preflight.ROLES_ALWAYS, *((preflight.CLOUDFRONT_ROLE,) if blueprint.aws.edge == "cloudfront" else ())]
    users += preflight.GPU_ROLE if blueprint.on_gpu else ()
    return [
        Obstacle(
            f"There is no service-linked role of {service} yet; a deployment makes it.",
            f"aws iam create-service-linked-role --aws-service-name {service}",
            stops=False,
        )
        for service in users
        if not cloud.call("iam", "list_roles", PathPrefix=f"/aws-service-role/{service}/", MaxItems=1)["Roles"]
    ]


# --- checks of the stage --------------------------------------------------------------------------------------------


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
    for part in parts_of_stage(cloud, project.aws, release):
        yield tell.get(part.state, _doubtful)(part.name, part.text, part.hint)


def _secrets(cloud: Cloud, blueprint: Blueprint) -> list[Obstacle]:
    users = dict.fromkeys(blueprint.ui_secrets, "the UI")
    for predictor in blueprint.predictors:
        users |= dict.fromkeys(predictor.resources.secrets, predictor.name)
    if not users:
        return []
    missing = [
        name for name in preflight.find_secrets(cloud, tuple(users)).missing if name not in blueprint.optional_secrets
    ]
    made = [
        Obstacle(f"{name} is not set; the first deployment makes one.", stops=False)
        for name in preflight.makeable(missing)
    ]
    return [*preflight.check_secrets(cloud.names.stage, missing, users), *made]


def _release(cloud: Cloud) -> Release | None:
    """Return what is live, None while there is no table."""
    from matinee.backends.aws.store import DynamoStore

    try:
        return DynamoStore(cloud.session).release()
    except BackendError as error:
        if code_of(error.__cause__ or error) == "ResourceNotFoundException":
            return None
        raise


# --- results of checks ----------------------------------------------------------------------------------------------


def _asked(name: str, ask: Callable[[], list[Obstacle]], all_well: str) -> Iterator[Finding]:
    try:
        found = _found_on_aws(name, ask())
    except MatineeError as error:  # what cannot be asked is no proof of anything
        found = [_doubtful(name, error.message, error.hint)]
    yield from found or [_well(name, all_well)]


def _found_on_aws(name: str, findings: Iterable[Obstacle]) -> list[Finding]:
    return [(_wrong if f.stops else _doubtful)(name, f.message, f.hint) for f in findings]


def _well(what: str, detail: str, mend: str = "") -> Finding:
    return Finding(what, ok=True, detail=detail, mend=mend)


def _wrong(what: str, detail: str, mend: str) -> Finding:
    return Finding(what, ok=False, detail=detail, mend=mend)


def _doubtful(what: str, detail: str, mend: str) -> Finding:
    return Finding(what, ok=False, detail=detail, mend=mend, needed=False)
