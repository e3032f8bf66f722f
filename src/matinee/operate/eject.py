"""`matinee eject`: the templates and Dockerfiles of an app as files, to be deployed by anybody with AWS's own tools.

app → manifests → templates (no AWS, no Docker) → a README that says in which order → images and what they are made of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matinee.environments.inspect import Inspection, inspect
from matinee.environments.prepare import Report
from matinee.errors import ComponentError, DiskError, UsageError
from matinee.names import NETWORK_STACK, Names, check_stage
from matinee.settings import LIVE
from matinee.stack.blueprint import Blueprint, problems
from matinee.stack.deployer_policy import LONGEST_POLICY, Scope, length, policy
from matinee.stack.templates import app_template, data_template, edge_template, network_template, to_text

Json = Any
README = "README.md"
IMAGES = "images"


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
        stacks = _write_stacks(folder, b)
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


def _write_stacks(folder: Path, b: Blueprint) -> tuple[str, ...]:
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
    (folder / README).write_text(_readme(b.title, names, templates), "utf-8")
    return (*(f"{name}.json" for name in templates), README)


def _readme(title: str, names: Names, templates: dict[str, dict[str, Json]]) -> str:
    lines = [
        f"# {title} ({names.stage}) on AWS, by hand\n",
        f"Made by `matinee eject`. Build the images below `{IMAGES}/`, put the secrets into SSM, and make the stacks",
        "in this order; each is told what those before it gave (`aws cloudformation describe-stacks`).",
        "Images are pushed after the repository is there and before what runs them.\n",
    ]
    for name, template in templates.items():
        lines += [f"## {name}\n", template["Description"] + ".\n", "```console"]
        told = [f"{parameter}=…" for parameter in template.get("Parameters", {})]
        command = f"$ aws cloudformation deploy --stack-name {name} --template-file {name}.json"
        lines += [f"{command} \\", "    --capabilities CAPABILITY_NAMED_IAM" + (" \\" if told else "")]
        lines += [f"    --parameter-overrides {' '.join(told)}"] if told else []
        lines += ["```\n", "| told | what |", "| --- | --- |"]
        lines += [f"| `{key}` | {p['Description']} |" for key, p in template.get("Parameters", {}).items()]
        lines += ["\n| gives | what |", "| --- | --- |"]
        lines += [f"| `{key}` | {o['Description']} |" for key, o in template["Outputs"].items()]
        lines.append("")
    lines += ["## After the stacks\n", *_AFTER.format(live=LIVE).splitlines()]
    return "\n".join(lines) + "\n"


_AFTER = """Callers use the alias `{live}` of each function. Publish a version and move it whenever an image changes:

```console
$ aws lambda publish-version --function-name NAME
$ aws lambda update-alias --function-name NAME --name {live} --function-version N
```

UI and dispatcher read what is live (the release) from the table; `matinee deploy` writes it as its last step."""


# --- iam policy -------------------------------------------------------------------------------------------------------
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
