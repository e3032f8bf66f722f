"""`matinee rehearse`: the whole deployment, really running, on an emulated AWS on this machine.

    world      the emulator, and who plays behind it what AWS computes                  world
    deploy     the real one, told the emulator's endpoint and where images come from    rehearsal
    entry      people click; or a story is played and failures are injected             rehearse, failures
    destroy    the real one, which proves that nothing is left; then the world ends     rehearsal

Who deploys and destroys is a user with the policy that `matinee iam-policy` prints, never the account's root. What runs
is read back out of what was deployed, never taken from what we meant: each function's and task definition's command,
environment, secrets, role, memory and timeout, with temporary credentials of its own role. The first error of any
thread of the rehearsal ends it: nothing is swallowed.

Modules: `proxies` carries requests; `credentials` and `iam` say who may what; `machines` and `images` are what runs and
from where; `tasks`, `ecs`, `services` and `functions` play AWS.
"""

from __future__ import annotations

import fcntl
import os
import runpy
import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from matinee import secrets
from matinee.deploy.cloud import Report, Step, silent
from matinee.errors import ConflictError, MatineeError, UsageError
from matinee.images.engine import Engine
from matinee.names import check_stage
from matinee.project.load import load
from matinee.project.sections import SIGN_IN_MODES
from matinee.rehearsal.failures import KINDS
from matinee.rehearsal.images import EngineMachine, EngineSource, FolderImages, FolderSource
from matinee.rehearsal.machines import Machine
from matinee.rehearsal.rehearsal import Rehearsal, make_deployer, working_as
from matinee.rehearsal.world import REGION, World, processes, world
from matinee.settings import COOKIE_SECRET, SMTP_PASSWORD

__all__ = ["KINDS", "Rehearsal", "RehearseOptions", "Rehearsed", "check", "rehearse"]


@dataclass(frozen=True)
class RehearseOptions:
    """`breaks` are kinds of failure, injected in order; `script` a story; `keep` leaves `.matinee/rehearsal/`.

    `images`: everything runs in its image, on this machine's engine.
    """

    stage: str = "dev"
    script: Path | None = None
    breaks: Sequence[str] = ()
    keep: bool = False
    port: int = 0
    images: bool = False


@dataclass(frozen=True)
class Rehearsed:
    """What came of it: a sentence for every failure that was injected."""

    seconds_to_page: float
    sentences: tuple[str, ...] = ()


def rehearse(
    path: Path,
    options: RehearseOptions,
    report: Report = silent,
    stay: Callable[[Rehearsal], None] = lambda _stage: None,
    tell: Callable[[str], None] = lambda _sentence: None,
) -> Rehearsed:
    """Deploy the app at `path` to an emulated AWS, play what is asked for, then `stay` until it returns.

    `tell` gets the sentence that each injected failure ends in.

    Raises what `check` does, ConflictError while another rehearsal of the app runs, BackendError when the app does not
    do as it promises, and whatever the deploy or the story raises.
    """
    check(options)
    project = load(path).for_stage(options.stage)
    with _alone(project.data.resolve() / "rehearsal", keep=options.keep) as folder:
        return _rehearse(path, options, project.aws.region or REGION, folder, report, stay, tell)


def check(options: RehearseOptions) -> None:
    """Raise UsageError for an unknown kind of failure, a story that is not there, or what cannot be a stage."""
    unknown = [kind for kind in options.breaks if kind not in KINDS]
    if unknown:
        raise UsageError(f"There is no kind of failure {unknown[0]!r}.", hint=f"There is: {', '.join(KINDS)}.")
    if options.script is not None:
        check_script(options.script)
    check_stage(options.stage)


@contextmanager
def _alone(folder: Path, *, keep: bool) -> Iterator[Path]:
    """Have the folder for this rehearsal alone, and remove it afterwards unless it is to be kept."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError("This app is being rehearsed already.", hint="Use that one, or end it first.") from None
        try:
            yield folder
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)


def _containers(_images: FolderImages, endpoint: str) -> Machine:
    return EngineMachine(Engine.detect(), lambda: endpoint)


def _rehearse(
    path: Path,
    options: RehearseOptions,
    region: str,
    folder: Path,
    report: Report,
    stay: Callable[[Rehearsal], None],
    tell: Callable[[str], None],
) -> Rehearsed:
    machine = _containers if options.images else processes
    with world(folder, region, machine=machine, port=options.port) as made, _first_error_of(made):
        deployer = make_deployer(made, path, options.stage)
        source = EngineSource() if options.images else FolderSource(made.images)
        stage = Rehearsal(made, path, options.stage, source, folder, deployer, report)
        return _play(stage, options, stay, tell)


def _play(
    stage: Rehearsal,
    options: RehearseOptions,
    stay: Callable[[Rehearsal], None],
    tell: Callable[[str], None],
) -> Rehearsed:
    report = stage.report
    with working_as(stage.world, stage.deployer):
        bring_secrets(stage)
        seconds = stage.deploy().seconds
        stage.await_usable()
        sentences = []
        if options.script is not None:
            report(Step(f"The story of {options.script.name}"))
            play(stage, options.script)
        for kind in options.breaks:
            report(Step(f"Failure: {kind}"))
            sentences.append(KINDS[kind](stage))
            tell(sentences[-1])
        stay(stage)
        stage.destroy()
        return Rehearsed(seconds, tuple(sentences))


@contextmanager
def _first_error_of(made: World) -> Iterator[None]:
    """Raise the rehearsal's own first error in place of what follows from it: the deploy only sees AWS refuse."""
    try:
        yield
    except Exception:
        made.hall.error.raise_it()
        raise
    made.hall.error.raise_it()


# --- secrets for a rehearsal ------------------------------------------------------------------------------------------
# Secrets for a rehearsal: those of `.env` and of this shell are put where `matinee secret set` would put them.

OWN = (
    COOKIE_SECRET,
    SMTP_PASSWORD,
    *(name for mode in SIGN_IN_MODES.values() for name in (*mode.variables, *mode.optional_variables)),
)


def bring_secrets(stage: Rehearsal) -> None:
    """Put what is set here; what is missing, the deploy says."""
    own = {name: os.environ[name] for name in OWN if os.environ.get(name)}
    ssm = stage.world.clients("ssm")
    for name, value in {**secrets.read(stage.project.folder), **own}.items():
        ssm.put_parameter(Name=stage.names.parameter(name), Value=value, Type="SecureString", Overwrite=True)


# --- the user's story -------------------------------------------------------------------------------------------------
# A user's own story, played against the deployed app: a Python file with `def story(stage): …`.
#
# `stage` is a `Rehearsal`: its `url`, `connect()`, `deploy()`, `rollback()`, `scale_ui()`.


class StoryError(MatineeError):
    """A story did not go as it is told."""


def check_script(script: Path) -> None:
    """Raise UsageError for a file that is none."""
    if not script.is_file():
        raise UsageError(f"There is no story {script}.", hint="Name a Python file with `def story(stage):` in it.")


def play(stage: Rehearsal, script: Path) -> None:
    """Run the story. Raises UsageError for a file without one, StoryError with the line where it went otherwise."""
    try:
        story = runpy.run_path(str(script)).get("story")
    except Exception as error:
        raise StoryError(f"{script.name} cannot be read: {_describe_error(error, script)}") from error
    if not callable(story):
        raise UsageError(f"{script.name} has no function story.", hint="Write `def story(stage):` in it.")
    try:
        story(stage)
    except Exception as error:
        hint = error.hint if isinstance(error, MatineeError) else ""
        raise StoryError(
            f"The story of {script.name} went otherwise: {_describe_error(error, script)}", hint=hint
        ) from error


def _describe_error(error: Exception, script: Path) -> str:
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == script]
    where = f" (line {lines[-1]})" if lines else ""
    text = f"{type(error).__name__}: {str(error) or 'it failed'}"
    if isinstance(error, MatineeError):
        text = error.message
    return f"{text}{where}"


# --- what a rehearsal covers ------------------------------------------------------------------------------------------
# What a rehearsal shows and what it cannot, in one table: nobody should believe more of it than it does.

COVERAGE: tuple[tuple[str, str], ...] = (
    ("Stacks, change sets, rollback", "emulated (MiniStack)"),
    ("IAM of every workload", "enforced: each works with temporary credentials of its own role"),
    ("DynamoDB, S3, SSM, CloudWatch Logs, ECR", "emulated (MiniStack)"),
    ("Lambda functions, versions, aliases", "run here: memory, timeout and payloads as Lambda limits them"),
    ("ECS tasks, UI service, circuit breaker", "run here: stop timeout, health check, restarts, replacement"),
    ("Schedules, task-stopped events", "played here, from the rules and schedules on record"),
    ("Load balancer, sticky sessions, WebSockets", "played here by one plain address"),
    ("CloudFront, TLS, VPC and security groups", "checked as template only"),
    ("Autoscaling, office hours, budget, alarms", "checked as template only"),
    ("GPU capacity, AWS Batch", "checked as template only"),
    ("Trust policies' aws:SourceAccount, the bucket's ban on plain HTTP", "checked as template only"),
    ("Quotas, cold-start times of AWS, cost, latency", "not covered"),
)
