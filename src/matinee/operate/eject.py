"""`matinee eject`: the templates and Dockerfiles of an app as files, to be deployed by anybody with AWS's own tools.

app → manifests → templates (no AWS, no Docker) → a README with every command → images and what they are made of → a
script that makes it live. With these an app is deployed without Matinee.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matinee.environments.inspect import Inspection, inspect
from matinee.environments.prepare import Report
from matinee.errors import ComponentError, DiskError, UsageError
from matinee.manifest import Release, to_json
from matinee.names import NETWORK_STACK, Names, check_stage
from matinee.project.model import details
from matinee.settings import COOKIE_SECRET, LIVE, PASSWORD
from matinee.stack import blueprint
from matinee.stack.blueprint import (
    UI_COMPONENT,
    ZONES_WITHOUT_ORIGINS,
    Blueprint,
    definition_output,
    image_parameter,
    is_password_in_secrets_manager,
    label_parameter,
    problems,
)
from matinee.stack.deployer_policy import LINKED_SERVICES, LONGEST_POLICY, Scope, length, policy
from matinee.stack.templates import app_template, data_template, edge_template, network_template, to_text
from matinee.store_format import FORMAT

Json = Any
README = "README.md"
RELEASE = "release.json"
IMAGES = "images"
_SCRIPT = Path(__file__).with_name("ejected_release.py")


@dataclass(frozen=True)
class Ejected:
    """What was written: paths below `folder`, in the order in which people need them."""

    folder: Path
    stacks: tuple[str, ...]
    images: tuple[str, ...] = ()


def eject(
    path: Path, folder: Path, stage: str, *, images: bool = True, force: bool = False, report: Report | None = None
) -> Ejected:
    """Write a stage's templates, and with `images` what its images are built from, below `folder`.

    Raises UsageError for what can be no stage or a folder that has other files (unless `force`), ComponentError for a
    component that does not load, ProjectError for a size that AWS has not, DiskError where nothing can be written.
    """
    check_stage(stage)
    check_folder(folder, force=force)
    found = inspect(path, report, stage=stage)
    _check_loads(found)
    b = Blueprint.of(found.project, stage, [item.manifest for item in found.components])
    for problem in problems(b.aws.ui, b.predictors):
        raise problem
    try:
        stacks = _write_stacks(folder, found, b)
        built = _write_images(folder / IMAGES, found, b) if images else ()
    except OSError as error:
        why = error.strerror or error
        raise DiskError(f"{folder} cannot be written: {why}.", hint="Name another folder.") from error
    return Ejected(folder, stacks, built)


def check_folder(folder: Path, *, force: bool) -> None:
    """Raise UsageError for a folder that something else is in."""
    if folder.is_file():
        raise UsageError(f"{folder} is a file.", hint="Name a folder.")
    if not force and folder.is_dir() and any(folder.iterdir()) and not any(folder.glob("matinee-*.json")):
        raise UsageError(f"{folder} has files of its own.", hint="Name an empty folder, or say --force.")


def _check_loads(found: Inspection) -> None:
    for item in found.troubled:
        trouble = item.manifest.trouble
        assert trouble is not None
        raise ComponentError(
            f"{item.component.name}: {trouble.message}", hint=trouble.hint, file=trouble.file, line=trouble.line
        )


def _write_images(folder: Path, found: Inspection, b: Blueprint) -> tuple[str, ...]:
    from matinee.operate.build import write_images  # templates alone are made without what images need

    return write_images(folder, found, b)


def _write_stacks(folder: Path, found: Inspection, b: Blueprint) -> tuple[str, ...]:
    """Write the templates, the README and what makes the stacks live; return the files' names."""
    names = b.names
    made = {
        NETWORK_STACK: None if b.aws.vpc else network_template(),
        names.data_stack: data_template(b),
        names.base: app_template(b),
        names.edge_stack: edge_template(b),
    }
    templates = {name: template for name, template in made.items() if template is not None}
    folder.mkdir(parents=True, exist_ok=True)
    for name, template in templates.items():
        (folder / f"{name}.json").write_text(to_text(template), "utf-8")
    known = release_values(found, b, has_edge=names.edge_stack in templates)
    (folder / RELEASE).write_text(json.dumps(known, ensure_ascii=False, indent=1) + "\n", "utf-8")
    shutil.copyfile(_SCRIPT, folder / "release.py")
    (folder / README).write_text(readme(b, templates), "utf-8")
    return (*(f"{name}.json" for name in templates), RELEASE, "release.py", README)


def release_values(found: Inspection, b: Blueprint, *, has_edge: bool) -> dict[str, Json]:
    """Return what `release.py` must know to write the release item: all of it that the stacks do not say."""
    names = b.names
    release = Release(names.app, b.title, 0, 0.0, b.components, details(found.project, blueprint.APP_FOLDER))
    return {
        "format": FORMAT,
        "stage": names.stage,
        "table": names.base,
        "stack": names.base,
        "edge": names.edge_stack if has_edge else "",
        "functions": {p.name: names.resource(p.name) for p in b.realtime},
        "definitions": {p.name: definition_output(p.name) for p in (*b.on_fargate, *b.on_gpu)},
        "images": {name: image_parameter(name) for name in (*(c.name for c in b.components), UI_COMPONENT)},
        "labels": {c.name: label_parameter(c.name) for c in b.components},
        "release": to_json(release),
    }


# --- the README of an ejected app -------------------------------------------------------------------------------------
# How to deploy what was ejected, as commands for a shell: AWS's CLI, Docker, and Python with boto3 for the last one.

INLINE_BYTES = 51_200  # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html


def readme(b: Blueprint, templates: Mapping[str, Mapping[str, Json]]) -> str:
    """Return the README: all commands in the order in which they are run, in one shell."""
    base, data = b.names.base, b.names.data_stack
    first = [name for name in templates if name in (NETWORK_STACK, data)]
    last = [name for name in templates if name not in first]
    lines = [
        f"# {b.title} ({b.names.stage}) on AWS, by hand\n",
        "Made by `matinee eject`. Run what follows in this folder, in one shell and in this order. It needs the AWS",
        "CLI, Docker (with BuildKit or the classic builder, as Debian has it) and, at the end, Python with boto3.",
        f"Matinee is not needed: what images have of it is below `{IMAGES}/`.\n",
        *_section("Names", _names(b)),
        *_section("Secrets", _secrets(b)),
        *_section("Service-linked roles, which a new account lacks", _roles(b)),
    ]
    for name in first:
        lines += _section(name, [_deploy(b, name, templates[name])], str(templates[name]["Description"]))
    lines += _section("Images", _images(b), "An image's tag never moves: another build has another `VERSION`.")
    for name in last:
        lines += _section(name, [_deploy(b, name, templates[name])], str(templates[name]["Description"]))
    text = f"This makes it live: a version of each function, the alias `{LIVE}`, and the release in the table {base}."
    lines += _section("Live", ["python3 release.py"], text)
    return "\n".join(lines) + "\n"


def _section(title: str, commands: Sequence[str], text: str = "") -> list[str]:
    if not commands:
        return []
    return [f"## {title}\n", *([f"{text.rstrip('.')}.\n"] if text else []), "```sh", *commands, "```\n"]


def _names(b: Blueprint) -> list[str]:
    without = "|".join(sorted(ZONES_WITHOUT_ORIGINS))
    listed = "aws ec2 describe-availability-zones --filters Name=state,Values=available"
    return [
        "export AWS_REGION=${AWS_REGION:-$(aws configure get region)}",
        "ACCOUNT=$(aws sts get-caller-identity --query Account --output text)",
        f'BUCKET={b.names.base}-$(printf %s "$ACCOUNT/$AWS_REGION" | sha256sum | cut -c1-10)',
        f"REPOSITORY=$ACCOUNT.dkr.ecr.$AWS_REGION.amazonaws.com/{b.names.base}",
        "VERSION=$(date +%Y%m%d%H%M%S)",
        f"ZONES=$({listed} Name=zone-type,Values=availability-zone \\",
        "    --query 'AvailabilityZones[].[ZoneId,ZoneName]' --output text \\",
        f"    | grep -Ev '^({without})' | cut -f2 | sort | sed -n 1,3p | paste -sd, -)",
        "PREFIX_LIST=$(aws ec2 describe-managed-prefix-lists --output text \\",
        "    --filters Name=prefix-list-name,Values=com.amazonaws.global.cloudfront.origin-facing \\",
        "    --query 'PrefixLists[0].PrefixListId')",
        "output() {  # STACK KEY: what a stack gives",
        '    aws cloudformation describe-stacks --stack-name "$1" --output text \\',
        """        --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue"; }""",
    ]


def _secrets(b: Blueprint) -> list[str]:
    """Return a command for each secret; one that any random text will do for is made."""
    elsewhere = {PASSWORD} if is_password_in_secrets_manager(b) else set()
    needed = dict.fromkeys((*b.ui_secrets, *(name for p in b.predictors for name in p.resources.secrets)))
    return [
        f"aws ssm put-parameter --type SecureString --name {b.names.parameter(name)} \\\n    --value "
        + ('"$(openssl rand -hex 32)"' if name == COOKIE_SECRET else f"'{name} …'")
        for name in needed
        if name not in elsewhere
    ]


def _roles(b: Blueprint) -> list[str]:
    services = [name for name in LINKED_SERVICES if b.on_gpu or name not in ("batch", "ecs-compute")]
    return [
        f"for service in {' '.join(services)}; do",
        "    aws iam create-service-linked-role --aws-service-name $service.amazonaws.com || true  # it is there",
        "done",
    ]


def _images(b: Blueprint) -> list[str]:
    commands = [
        "aws ecr get-login-password | docker login --username AWS --password-stdin ${REPOSITORY%%/*}",
        "export BUILDX_NO_DEFAULT_ATTESTATIONS=1  # Lambda takes no image index",
        "digest() {  # IMAGE: its digest in the repository",
        f"    aws ecr describe-images --repository-name {b.names.base} --image-ids imageTag=$1-$VERSION \\",
        "        --query 'imageDetails[0].imageDigest' --output text; }",
    ]
    for name in (*(c.name for c in b.components), UI_COMPONENT):
        platform = "linux/arm64" if b.architecture(name) == "arm64" else "linux/amd64"
        commands += [
            f"docker build --platform {platform} -f {IMAGES}/{name}/Dockerfile -t $REPOSITORY:{name}-$VERSION {IMAGES}",
            f"docker push $REPOSITORY:{name}-$VERSION",
        ]
    return commands


def _deploy(b: Blueprint, name: str, template: Mapping[str, Json]) -> str:
    """Return the command that makes a stack; one too large for a request goes by the bucket."""
    words = [f"aws cloudformation deploy --stack-name {name} --template-file {name}.json"]
    if len(to_text(dict(template)).encode()) > INLINE_BYTES:
        words.append("--s3-bucket $BUCKET --s3-prefix deploy/templates")
    words.append("--capabilities CAPABILITY_NAMED_IAM --no-fail-on-empty-changeset")
    values = _parameters(b)
    parameters = [f"{key}={values[key]}" for key in template.get("Parameters", {})]
    if parameters:
        words.append("--parameter-overrides")
        words += [f"    {parameter}" for parameter in parameters]
    return " \\\n    ".join(words)


def _parameters(b: Blueprint) -> dict[str, str]:
    """Return what each parameter of a template is, in the shell of the README."""
    base, data = b.names.base, b.names.data_stack
    own = {blueprint.VPC: b.aws.vpc, blueprint.SUBNETS: ",".join(b.aws.subnets)}
    own[blueprint.VPC_CIDR] = (
        f"$(aws ec2 describe-vpcs --vpc-ids {b.aws.vpc} --query 'Vpcs[0].CidrBlock' --output text)"
    )
    shared = {key: f"$(output {NETWORK_STACK} {key})" for key in own}
    images = (*(c.name for c in b.components), UI_COMPONENT)
    return {
        **(own if b.aws.vpc else shared),
        blueprint.ZONES: "$ZONES",
        blueprint.BUCKET: "$BUCKET",
        blueprint.PREFIX_LIST: "$PREFIX_LIST",
        blueprint.PASSWORD_SECRET: f"$(output {data} {blueprint.PASSWORD_SECRET})",
        **{image_parameter(name): f"$REPOSITORY@$(digest {name})" for name in images},
        **{label_parameter(c.name): "v1" for c in b.components},
        **{key: f"$(output {base} {key})" for key in (blueprint.BALANCER, blueprint.BALANCER_DNS)},
    }


# --- matinee iam-policy -----------------------------------------------------------------------------------------------
# `matinee iam-policy`: what the person who deploys must be allowed, and no more.


@dataclass(frozen=True)
class DeployerPolicy:
    """The policy, and what is to be known of it."""

    document: dict[str, Json]
    characters: int
    is_bounded: bool  # whether every role it can make has a permissions boundary

    @property
    def fits(self) -> bool:
        """Whether IAM takes it as one managed policy."""
        return self.characters <= LONGEST_POLICY


def iam_policy(
    path: Path, stage: str, *, account: str = "", remote_builds: bool = False, report: Report | None = None
) -> DeployerPolicy:
    """Return the policy for one stage of the app at `path`; `account` "" is any. Nothing is asked of AWS.

    Raises UsageError for what can be no stage or no account.
    """
    check_stage(stage)
    if account and not re.fullmatch("[0-9]{12}", account):
        raise UsageError(f"{account!r} is no AWS account.", hint="It has 12 digits: aws sts get-caller-identity")
    found = inspect(path, report)
    project = found.project.for_stage(stage)
    gpu = any(p.resources.gpu for item in found.components for p in item.manifest.predictors)
    scope = Scope(
        Names(project.name, stage),
        project.aws,
        region=project.aws.region or "*",
        account=account or "*",
        gpu=gpu,
        remote_builds=remote_builds,
    )
    document = policy(scope)
    return DeployerPolicy(document, length(document), bool(project.aws.permissions_boundary))
